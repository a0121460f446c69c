"""Reading one's own partition back (law 3): whether what we wrote is there, and whether it still counts.

In come the records of the partition after our claim; nothing comes out but the end of the ownership: a claim that counts
after ours, a record of ours that is missing or out of order, or a record that this version cannot read.
"""

from events import topics
from events.catalogue import data_of
from events.envelope import Meta, StoredRecord, meta_of
from events.ownership import PartitionClaimed
from services.kit.errors import HistoryLost
from services.kit.log import Log
from services.processor.pipeline import Pipeline
from services.processor.reading import naming


class Foreign(Exception):
    """Another claim counts now."""


def event_id(claim: str, number: int) -> str:
    """The id of the n-th event (from 1) that is written with this claim."""
    return f"{claim}-{number:x}"


class Watch:
    """One ownership, as a reader sees it. `seen` counts our events that were read back."""

    def __init__(self, log: Log, partition: int, claim: str, pipeline: Pipeline) -> None:
        self._log = log
        self._partition = partition
        self._claim = claim
        self._pipeline = pipeline
        self.seen = 0

    async def run(self, offset: int) -> None:
        """Read from here on. Raises `Foreign`, `HistoryLost`, `Poisoned`."""
        tail = self._log.tail(topics.EVENTS, self._partition, offset)
        try:
            while True:
                for stored in await tail.next():
                    with naming(topics.EVENTS, self._partition, stored.offset):
                        self._look_at(stored, meta_of(stored.record))
        finally:
            await tail.close()

    def _look_at(self, stored: StoredRecord, meta: Meta) -> None:
        if meta.type == PartitionClaimed.type:
            claim = data_of(meta, stored.record.value)
            if isinstance(claim, PartitionClaimed) and claim.after == self._claim:
                raise Foreign(f"claim {claim.id} counts now")
        elif meta.claim == self._claim:
            self.seen += 1
            if meta.id != event_id(self._claim, self.seen):
                raise HistoryLost(f"offset {stored.offset} should hold our event {self.seen}, and it holds {meta.id}")
        if self._pipeline.last <= stored.offset and self._pipeline.written > self.seen:
            raise HistoryLost(f"our event {self.seen + 1} was acknowledged, and it is not in the log up to offset {stored.offset}")
