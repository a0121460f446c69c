"""Every setting as a line of a table: its variable, what it does, its default, what it may be.

In comes the class of the settings; out go rows, for `prozess settings` and for the page `/docs/settings`.
"""

from dataclasses import dataclass
from typing import Literal, cast, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from services.kit.documented import TABLE
from services.kit.settings import Settings, variable


@dataclass(frozen=True, slots=True)
class Row:
    """One setting. `default` and `may_be` are empty where there is nothing to say."""

    name: str
    variable: str
    meaning: str
    default: str
    may_be: str
    documents: str


def rows() -> list[Row]:
    """All settings, in the order in which they are declared."""
    return [
        Row(name, variable(name), field.description or "", _default(field), _may_be(field), _documents(name))
        for name, field in Settings.model_fields.items()
    ]


def page() -> str:
    """The table in Markdown, and what the documents name beside it."""
    head = "# Settings\n\nEach is an environment variable; many are options of `prozess` too.\n\n"
    lines = ["| variable | meaning | default | may be | in the documents |", "|---|---|---|---|---|"]
    lines += [
        f"| `{row.variable}` | {_cell(row.meaning)} | {_cell(row.default)} | {_cell(row.may_be)} | {row.documents} |" for row in rows()
    ]
    beside = [f"- {one.document}: {one.name}: {one.instead}." for one in TABLE if not one.setting]
    tail = "\nWith `PROZESS_PROFILE=documented` the settings of documents 000 and 001 have the documents' values and ranges.\n"
    return head + "\n".join(lines) + "\n" + tail + "\nWhat the documents name and is not needed here:\n\n" + "\n".join(beside) + "\n"


def _default(field: FieldInfo) -> str:
    default: object = field.get_default(call_default_factory=True, validated_data={})
    if default in (None, "", (), {}, PydanticUndefined):
        return ""
    return ", ".join(map(str, cast("tuple[object, ...]", default))) if isinstance(default, tuple) else str(default)


def _may_be(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{one}`" for one in get_args(field.annotation) if one)
    words: list[str] = []
    for bound in field.metadata:
        match bound:
            case Ge(low):
                words.append(f"from {low:,}")  # pyright: ignore[reportUnknownMemberType]
            case Gt(low):
                words.append(f"more than {low:,}")
            case Le(high):
                words.append(f"to {high:,}")
            case Lt(high):
                words.append(f"less than {high:,}")
            case _:
                continue
    return " ".join(words)


def _documents(name: str) -> str:
    return "; ".join(f"{one.document}: {one.name}" for one in TABLE if one.setting == name)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
