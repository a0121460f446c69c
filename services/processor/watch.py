"""Reading one's own partition back (law 3): whether what we wrote is there, and whether it still counts.

In come the records of the partition after our claim; nothing comes out but the end of the ownership: a claim that counts
after ours, a record of ours that is missing or out of order, or a record that this version cannot read.
"""

from typing import Protocol

from events import topics
from events.catalogue import envelope_at
from events.envelope import StoredRecord, meta_at
from events.ownership import PartitionClaimed
from services.kit.errors import HistoryLost
from services.kit.log import Log
from services.processor.reading import naming


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
    """One ownership, as a reader sees it. `seen` counts our events that were read back."""

    def __init__(self, partition: int, claim: str, written: Written) -> None:
        self._partition = partition
        self._claim = claim
        self._written = written
        self.seen = 0

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
        if self._written.last <= stored.offset and self._written.written > self.seen:
            raise HistoryLost(f"our event {self.seen + 1} was acknowledged, and it is not in the log up to offset {stored.offset}")


class Watch:
    """Follows the log for one ownership."""

    def __init__(self, log: Log, partition: int, claim: str, written: Written) -> None:
        self._log = log
        self._partition = partition
        self._back = ReadBack(partition, claim, written)

    async def run(self, offset: int) -> None:
        """Read from here on. Raises `Foreign`, `HistoryLost`, `Poisoned`."""
        tail = self._log.tail(topics.EVENTS, self._partition, offset)
        try:
            while True:
                for stored in await tail.next():
                    self._back.look_at(stored)
        finally:
            await tail.close()
