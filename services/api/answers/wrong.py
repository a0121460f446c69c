"""An error before a surface says it: one value for refusals, validation and what nobody foresaw.

`services.api.answers.problems` makes it; each dialect's `problem` turns it into the body and the status of its surface.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

PARAM_ERROR = 460


@dataclass(frozen=True, slots=True)
class Fault:
    """One place of a request that is not as it must be: where it is, what was expected, and the kind of mistake as a word."""

    where: tuple[str, ...]
    said: str
    kind: str

    def __str__(self) -> str:
        return f"Parameter: {'->'.join(self.where)}, Error: {self.said} ({self.kind})"


@dataclass(frozen=True, slots=True)
class Wrong:
    """What must be said.

    `code` is of the error table, 0 where the error has none of its own; `usual` is the code of the path for that case.
    `status` is an HTTP status that every surface shows (a wrong key, a limit), `native` the one of surfaces that speak
    HTTP. `faults` are there for a request that was not understood.
    """

    code: int
    message: str
    usual: int = 20805
    status: int | None = None
    native: int = 409
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    faults: tuple[Fault, ...] = ()

    @property
    def number(self) -> int:
        """A code in any case."""
        return self.code or self.usual


Body = dict[str, Any]
Voice = Callable[[Wrong, int, str], tuple[Body | bytes, int]]
"""`problem(wrong, now in milliseconds, a new id)`: the body (bytes where it is no JSON) and the HTTP status."""
