"""How the request at hand ends, for those who count and log it.

What says an error, or sees a run fail, notes its code here; whoever surrounds all routes reads it when the answer is over.
"""

from contextvars import ContextVar

from events.acceptance import Accepted
from events.run import RunFailed, RunTimedOut


class Outcome:
    """One request's: `failed`, and the code of it (0: an error without one)."""

    __slots__ = ("code", "failed")

    def __init__(self) -> None:
        self.failed = False
        self.code = 0


AT_HAND: ContextVar[Outcome | None] = ContextVar("outcome", default=None)


def fails(code: int) -> None:
    """The request at hand ends with this error."""
    outcome = AT_HAND.get()
    if outcome is not None:
        outcome.failed, outcome.code = True, code


def of_run(event: Accepted) -> None:
    """The request at hand shows a run that ends with this event."""
    data = event.envelope.data
    if isinstance(data, RunFailed | RunTimedOut):
        fails(data.code)
