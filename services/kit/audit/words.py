r"""The built-in provider: words and regular expressions from a file, by category, for all apps or some.

In comes a TOML file, a table for each category; out come verdicts, without asking anybody. Patterns are RE2's, so that none can
stall a processor. Words are looked for without regard to case and width; `apps` and `of` narrow where a category counts:

    [insults]
    words = ["fool", "傻瓜"]
    patterns = ['\bidi+ot\b']
    apps = ["shop"]
    of = ["input", "output", "question", "answer"]
"""

import tomllib
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import re2 as _re2  # pyright: ignore[reportMissingTypeStubs] (the library has none)
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from events.audit import Judged
from services.kit.audit.port import Opinion, Passage
from services.kit.errors import Refused

re2: Any = _re2
_MEMORY = 64 << 20
_MAX_PATTERN = 2_000
_EVERYTHING: tuple[Judged, ...] = get_args(Judged)


class Category(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    words: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    patterns: tuple[Annotated[str, Field(min_length=1, max_length=_MAX_PATTERN)], ...] = ()
    apps: tuple[str, ...] = ()
    of: tuple[Judged, ...] = _EVERYTHING


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    category: Category
    found: Any

    def hits(self, passage: Passage, text: str) -> bool:
        counts = passage.of in self.category.of and (not self.category.apps or passage.app in self.category.apps)
        return counts and self.found.search(text) is not None


class Words:
    """See `Judge`. Reads the file once, when it is made. Raises `Refused` for one that cannot be used."""

    name = "words"

    def __init__(self, file: Path) -> None:
        self._rules = [_Rule(name, category, _compiled(file, name, category)) for name, category in _read(file).items()]

    async def judge(self, passage: Passage) -> Opinion:
        """See `Judge.judge`; never fails."""
        text = _plain(passage.text)
        found = tuple(rule.name for rule in self._rules if rule.hits(passage, text))
        return Opinion(not found, "refuse" if found else "none", found)

    async def aclose(self) -> None:
        """See `Judge.aclose`."""


def _read(file: Path) -> dict[str, Category]:
    where = f"PROZESS_AUDIT_FILE {file}"
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as wrong:
        raise Refused(f"{where} cannot be read: {(wrong.strerror or 'it cannot be opened').lower()}.") from None
    except ValueError as wrong:
        raise Refused(f"{where} is no TOML file in UTF-8: {wrong}.") from None
    try:
        categories = TypeAdapter(dict[str, Category]).validate_python(found)
    except ValidationError as wrong:
        first = wrong.errors(include_input=False)[0]
        said = first["msg"][:1].lower() + first["msg"][1:]
        raise Refused(f"{where} is not right at {'.'.join(map(str, first['loc']))}: {said}.") from None
    if not any(one.words or one.patterns for one in categories.values()):
        raise Refused(f'{where} has no words and no patterns: write a table such as [insults] with words = ["…"].')
    return categories


def _compiled(file: Path, name: str, category: Category) -> Any:
    words = [f"(?i:{re2.escape(_plain(word))})" for word in category.words]
    for number, pattern in enumerate(category.patterns, 1):
        try:
            re2.compile(pattern, _options())
        except re2.error as wrong:
            said: object = wrong.args[0] if wrong.args else b""
            reason = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
            where = f"PROZESS_AUDIT_FILE {file} is not right at {name}.patterns, number {number}"
            raise Refused(f"{where}: no regular expression of the RE2 syntax (no look-around, no back references): {reason}.") from None
    whole = "|".join([*words, *(f"(?:{pattern})" for pattern in category.patterns)])
    try:
        return re2.compile(whole or r"\z\A.", _options())
    except re2.error:
        raise Refused(f"PROZESS_AUDIT_FILE {file} is too large at {name}: split it into several tables.") from None


def _options() -> Any:
    options: Any = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    options.dot_nl = True
    return options


def _plain(text: str) -> str:
    """Full-width and other compatible characters as the usual ones."""
    return unicodedata.normalize("NFKC", text)
