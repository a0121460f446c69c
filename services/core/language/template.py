"""Templates of the flow language (astron.md 4.6): constants and placeholders.

In comes a template and the names that may stand in it; out go its units in order. What is no placeholder of these
names stays in the text as it is, braces and all.
"""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from pydantic import JsonValue

from services.core.codes import Code
from services.core.language.values import text_of
from services.core.problems import Problem

_SEGMENT = r"[A-Za-z0-9_-]+(?:\[-?[0-9]+\])*"
_PLACEHOLDER = re.compile(r"\{\{(" + _SEGMENT + r"(?:\." + _SEGMENT + r")*)\}\}")
_STEP = re.compile(r"([A-Za-z0-9_-]+)|\[(-?[0-9]+)\]")


@dataclass(frozen=True, slots=True)
class Constant:
    """Text that stands in the template."""

    text: str


@dataclass(frozen=True, slots=True)
class Placeholder:
    """`name` of an input, and the path into its value; `path` is empty where the whole value is meant."""

    name: str
    path: tuple[str | int, ...] = ()
    written: str = ""


Unit = Constant | Placeholder

MAX_TEXT = 4_000_000
"""Characters of a rendered template: a few joiners one after the other could ask for more than there is memory."""


def parse(template: str, names: Collection[str]) -> tuple[Unit, ...]:
    """The units in order: constants between placeholders, no empty ones but the last, which is always a constant."""
    units: list[Unit] = []
    at = 0
    for found in _PLACEHOLDER.finditer(template):
        head, *path = (name or int(index) for name, index in _STEP.findall(found[1]))
        if head not in names:
            continue
        if found.start() > at:
            units.append(Constant(template[at : found.start()]))
        units.append(Placeholder(str(head), tuple(path), found[1]))
        at = found.end()
    units.append(Constant(template[at:]))
    return tuple(units)


def unfilled(template: str, names: Collection[str]) -> list[str]:
    """The names that placeholders of the template mean and that are none of `names`, each once, in order."""
    heads = (_STEP.findall(found[1])[0][0] for found in _PLACEHOLDER.finditer(template))
    return [head for head in dict.fromkeys(heads) if head not in names]


def render(units: tuple[Unit, ...], value: Callable[[str], JsonValue]) -> str:
    """The whole text, with `value(name)` for every placeholder. Raises what `shown` and `joined` raise."""
    return joined(unit.text if isinstance(unit, Constant) else shown(unit, value(unit.name)) for unit in units)


def joined(texts: Iterable[str]) -> str:
    """All texts in one. Raises 22302 where that would be longer than `MAX_TEXT`."""
    parts: list[str] = []
    length = 0
    for text in texts:
        length += len(text)
        if length > MAX_TEXT:
            raise Problem(Code.NODE_RUN_ERROR, f"the rendered template is longer than {MAX_TEXT} characters")
        parts.append(text)
    return "".join(parts)


def shown(unit: Placeholder, value: JsonValue) -> str:
    """A placeholder's text. What cannot be traversed prints the path as it was written. Raises 20602 for an index out of range."""
    for step in unit.path:
        if isinstance(step, int):
            if not isinstance(value, list):
                return unit.written
            if not -len(value) <= step < len(value):
                raise Problem(
                    Code.VARIABLE_PARSE_ERROR, f"{{{{{unit.written}}}}}: the array has {len(value)} elements, there is no index {step}"
                )
            value = value[step]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return unit.written
    return text_of(value)
