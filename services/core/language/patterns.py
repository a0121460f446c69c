"""Regular expressions that users write: compiled by RE2, whose time is linear in the text, so that none can stall an owner.

In comes a pattern; out goes what it finds, or a `Problem` that says what is wrong with it. Look-around and back
references, which RE2 does not have, are refused in so many words.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2 as _re2  # pyright: ignore[reportMissingTypeStubs] (the library has none)

from services.core.codes import Code
from services.core.problems import Problem

re2: Any = _re2
_MEMORY = 4 << 20
"""Bytes that a compiled pattern may take."""
MAX_PATTERN = 2_000


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern."""

    _compiled: Any

    def found_in(self, text: str) -> str | None:
        """The first match: its first group where it has one (empty if that took no part), else all of it; None without a match."""
        match = self._compiled.search(text)
        if match is None:
            return None
        return (match.group(1) if self._compiled.groups else match.group(0)) or ""


def pattern(written: str, where: str, *, dot_is_all: bool = True) -> Pattern:
    """The pattern; `dot_is_all`: `.` matches line ends too. Raises 22101 naming `where` and what is wrong."""
    if len(written) > MAX_PATTERN:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{where}: a regular expression may have {MAX_PATTERN} characters")
    try:
        return _compiled(written, dot_is_all)
    except re2.error as wrong:
        said: object = wrong.args[0] if wrong.args else b""
        reason = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise Problem(
            Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR,
            f"{where}: this is not a regular expression of the RE2 syntax (no look-around, no back references): {reason}",
        ) from None


@lru_cache(maxsize=256)
def _compiled(written: str, dot_is_all: bool) -> Pattern:
    options: Any = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    options.dot_nl = dot_is_all
    return Pattern(re2.compile(written, options))
