"""How programs end: what was raised becomes one sentence on standard error and an exit code.

0 after a stop that was asked for, 2 where it could not start (`Refused`), 1 where it broke, 130 after a Ctrl-C that
nobody waited for. Stack traces are for the log at level debug.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import cast

from services.kit.errors import ProzessError, Refused
from services.kit.program import runtime
from services.kit.telling import logs

FINE, BROKE, REFUSED, INTERRUPTED = 0, 1, 2, 130


class ProgramError(ProzessError):
    """A program ended without being asked to; the message is one sentence."""


def guarded(work: Callable[[], Awaitable[None]]) -> int:
    """Run something to its end on a new loop and turn what it raises into a sentence and an exit code."""
    try:
        runtime.run(_awaited(work))
    except Refused as no:
        return say(no, REFUSED)
    except Exception as wrong:  # noqa: BLE001 (the last line of defence: a sentence instead of a stack trace)
        _tell(wrong)
        return say(wrong, BROKE)
    except KeyboardInterrupt:
        return INTERRUPTED
    return FINE


def _tell(wrong: Exception) -> None:
    """A mistake of ours leaves a line that says where it was made; what the program itself says needs none."""
    log = logs.logger(__name__)
    log.debug("broke", exc_info=wrong)
    first = first_of(wrong)
    if not isinstance(first, ProzessError):
        before = first.__context__
        after = None if before is None else f"{type(before).__name__} at {logs.place_of(before)}"
        log.error("broke", error=type(first).__name__, place=logs.place_of(first), after=after)


def say(wrong: BaseException, code: int) -> int:
    """One sentence on standard error; the exit code."""
    sys.stderr.write(f"prozess: {sentence(wrong)}\n")
    return code


def sentence(wrong: BaseException) -> str:
    """What went wrong, in one line."""
    wrong = first_of(wrong)
    text = " ".join(str(wrong).split())
    if not isinstance(wrong, ProzessError) or not text:
        text = f"{type(wrong).__name__}: {text}" if text else type(wrong).__name__
    return text if text.endswith((".", "?", "!")) else text + "."


def first_of(wrong: BaseException) -> BaseException:
    """The first of a group, else itself."""
    while isinstance(wrong, BaseExceptionGroup):
        wrong = cast("BaseExceptionGroup[BaseException]", wrong).exceptions[0]
    return wrong


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()
