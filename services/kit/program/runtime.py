"""The interpreter as our programs need it: an event loop, a collector and threads that disturb each other little.

In comes the work of a program; it is run to its end on a new loop. uvloop (libuv) costs a quarter less per request than
asyncio's own loop; where there is no wheel of it, asyncio's own serves. Figures: `infra/bench/RESULTS.md`.
"""

import asyncio
import contextlib
import gc
import sys
from collections.abc import Coroutine, Generator
from typing import Any

try:
    from uvloop import new_event_loop as _loop
except ImportError:  # no wheel for this platform
    _loop = None

_YOUNG, _MIDDLE, _OLD = 1_000, 5, 2_000
"""Our events live long or end at once and make few cycles: the collector looks briefly (5,000 objects are 5 ms of nobody
being answered), seldom at what is old, and never at what was imported."""
_SWITCH_S = 0.0005
"""The log's writer waits at most so long for the interpreter when its sync is done; 5 ms would be more than the sync itself."""


@contextlib.contextmanager
def reading_modules() -> Generator[None]:
    """While modules are read nothing becomes garbage: looking for it is a sixth of a start. Ends with `run`, too."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end. Raises what it raises."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    sys.setswitchinterval(_SWITCH_S)
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(work)
