"""Where an owner's commands come from: a tail of the log, whoever keeps the group.

In comes the place to begin at; out go commands in log order, with whom to tell when their events are in the log. Nothing is
decided or decoded here.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from events import topics
from events.envelope import StoredRecord
from services.kit.log import Log, Tail
from services.processor.steps.pipeline import Acknowledged


class Commands(Protocol):
    """Where an owner's commands come from."""

    async def seek(self, offset: int) -> None:
        """The next command wanted is the one at `offset`."""
        ...

    async def next(self) -> Sequence[tuple[StoredRecord, Acknowledged | None]]:
        """The next commands in order, with what to call when their events are in the log."""
        ...

    async def close(self) -> None:
        """Stop reading."""
        ...


class TailedCommands:
    """Commands by a tail. The log is the offset; `done` is told up to where commands are done, where somebody wants to know."""

    def __init__(self, log: Log, partition: int, done: Callable[[int], None] | None = None) -> None:
        self._log = log
        self._partition = partition
        self._done = done
        self._tail: Tail | None = None

    async def seek(self, offset: int) -> None:
        """See `Commands.seek`."""
        await self.close()
        self._tail = self._log.tail(topics.COMMANDS, self._partition, offset)

    async def next(self) -> Sequence[tuple[StoredRecord, Acknowledged | None]]:
        """See `Commands.next`."""
        assert self._tail is not None, "seek comes first"
        done = self._done
        return [(stored, partial(done, stored.offset + 1) if done else None) for stored in await self._tail.next()]

    async def close(self) -> None:
        """Stop reading."""
        tail, self._tail = self._tail, None
        if tail is not None:
            await tail.close()
