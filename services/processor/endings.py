"""How the tasks of an ownership end, and what ends an ownership without being a mistake."""

import asyncio
from collections.abc import Sequence

import structlog

from services.kit.errors import AppendFailed, HistoryLost, Unreachable
from services.processor.steps.watch import Foreign

ENDS = (AppendFailed, HistoryLost, Unreachable, Foreign)
_log = structlog.get_logger(__name__)


async def first_failure(tasks: set[asyncio.Task[None]]) -> BaseException:
    """Wait for it. Of several the one that is no mere end of an ownership: a bug or a record that cannot be read is never hidden."""
    while tasks:
        done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        failures = [failure for task in done if (failure := task.exception()) is not None]
        if failures:
            return next((failure for failure in failures if not isinstance(failure, ENDS)), failures[0])
    raise AssertionError("an owner's steps never end by themselves")


async def ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel and wait; what they raise now is only told."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and (failure := task.exception()) is not None and not isinstance(failure, ENDS):
            _log.warning("partition.step_failed", step=task.get_name(), reason=f"{type(failure).__name__}: {failure}")
