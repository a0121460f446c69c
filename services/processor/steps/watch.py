"""Reading one's own partition back (law 3): whether what we wrote is there, and whether it still counts.

In come the records of the partition after our claim; nothing comes out but the end of the ownership: a claim that counts
after ours, a record of ours that is missing or out of order, or a record that this version cannot read.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from events import topics
from events.acceptance import Cause
from events.catalogue import envelope_at
from events.envelope import StoredRecord, meta_at
from events.ownership import PartitionClaimed
from services.kit.errors import HistoryLost
from services.kit.log import Log
from services.processor.steps.reading import naming


@dataclass(frozen=True, slots=True)
class Reached:
    """A place of the log, as one knows it who has read it: the next offset, the id of the record before, the newest cause."""

    offset: int
    last: str
    cause: Cause | None


class Foreign(Exception):
    """Another claim counts now."""


def event_id(claim: str, number: int) -> str:
    """The id of the n-th event (from 1) that is written with this claim."""
    return f"{claim}-{number:x}"


class Written(Protocol):
    """How far an ownership's writing is: acknowledged records, and the offset of the newest (-1 before there is one)."""

    @property
    def written(self) -> int:
        """How many records are acknowledged."""
        ...

    @property
    def last(self) -> int:
        """Where the newest of them stands."""
        ...


class ReadBack:
    """One ownership, as a reader sees it. `seen` counts our events that were read back, `size` their bytes."""

    def __init__(self, partition: int, claim: str, written: Written, start: Reached | None = None, commands: str = "") -> None:
        self._partition = partition
        self._claim = claim
        self._written = written
        self._commands = commands
        self._awaited = -1
        self.seen = 0
        self.size = 0
        self.place: Reached | None = None
        self._offset, self._last, self._before = start.offset if start else 0, claim, start.cause if start else None
        self._cause: tuple[int, str] | None = None

    def expect(self, said: int) -> None:
        """From when the event with this number was read, `place` is where it stands (0: our claim)."""
        self._awaited = said
        self.place = self.newest if self.seen == said else None

    @property
    def newest(self) -> Reached:
        """Where the newest of our events stands."""
        return Reached(self._offset, self._last, self._newest_cause)

    @property
    def _newest_cause(self) -> Cause | None:
        return self._before if self._cause is None else Cause(self._commands, *self._cause)

    def look_at(self, stored: StoredRecord) -> None:
        """The next record after our claim. Raises `Foreign`, `HistoryLost`, `Poisoned`."""
        with naming(topics.EVENTS, self._partition, stored.offset):
            meta = meta_at(stored)
            claim = envelope_at(stored).data if meta.type == PartitionClaimed.type else None
        if isinstance(claim, PartitionClaimed):
            if claim.after == self._claim:
                raise Foreign(f"claim {claim.id} counts now")
        elif meta.claim == self._claim:
            self.seen += 1
            if meta.id != event_id(self._claim, self.seen):
                raise HistoryLost(f"offset {stored.offset} should hold our event {self.seen}, and it holds {meta.id}")
            if meta.cause is not None:
                self._cause = (meta.cause, meta.command)
            self.size += len(stored.record.value)
            if self.seen == self._awaited:
                self.place = Reached(stored.offset + 1, meta.id, self._newest_cause)
            self._offset, self._last = stored.offset + 1, meta.id
        if self._written.last <= stored.offset and self._written.written > self.seen:
            raise HistoryLost(f"our event {self.seen + 1} was acknowledged, and it is not in the log up to offset {stored.offset}")


class Watch:
    """Follows the log for one ownership."""

    def __init__(self, log: Log, partition: int, back: ReadBack) -> None:
        self._log = log
        self._partition = partition
        self._back = back
        self._news = asyncio.Event()

    async def run(self, offset: int) -> None:
        """Read from here on. Raises `Foreign`, `HistoryLost`, `Poisoned`."""
        tail = self._log.tail(topics.EVENTS, self._partition, offset)
        try:
            while True:
                for stored in await tail.next():
                    self._back.look_at(stored)
                self._news.set()
        finally:
            await tail.close()

    async def news(self) -> None:
        """Wait until more is read back."""
        self._news.clear()
        await self._news.wait()
