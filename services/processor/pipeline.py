"""One in-order pipeline into one partition: one batch in flight, what waits meanwhile goes together in the next.

In come groups of events that must not straddle two batches; out go records, and a callback once they are acknowledged. The
first failure closes the pipeline for good: nothing more is appended with this claim.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from events.envelope import Envelope, Record, encode
from services.kit.blobs import Blobs, pack
from services.kit.log import MAX_BATCH_BYTES, Appender
from services.kit.metrics import Metrics

BATCH_RECORDS = 2_000
WAITING_LIMIT = 20_000
"""Records that may wait before those who decide are held up."""

Acknowledged = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Group:
    records: list[Record]
    size: int
    then: Acknowledged | None


class Pipeline:
    """Writes one ownership's events. `run` ends only with the error that closed it."""

    def __init__(self, appender: Appender, blobs: Blobs, metrics: Metrics) -> None:
        self._appender = appender
        self._blobs = blobs
        self._metrics = metrics
        self._waiting: list[_Group] = []
        self._records = 0
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._idle = asyncio.Event()
        self._room.set()
        self._idle.set()

    def put(self, envelopes: Sequence[Envelope], then: Acknowledged | None = None) -> None:
        """Queue one decision's events; `then` is called when they are in the log."""
        records = [encode(envelope) for envelope in envelopes]
        size = sum(len(record.value) + 512 for record in records)
        self._waiting.append(_Group(records, size, then))
        self._records += len(records)
        self._idle.clear()
        self._some.set()
        if self._records >= WAITING_LIMIT:
            self._room.clear()

    async def room(self) -> None:
        """Wait until there is room for more decisions."""
        await self._room.wait()

    async def drained(self) -> None:
        """Wait until everything that was put is acknowledged."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write until something fails. Raises `AppendFailed` or `TooLarge`."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                batch = self._take()
                records = [await pack(record, self._blobs) for group in batch for record in group.records]
                await self._appender.append(records)
                self._metrics.batch_events.observe(len(records))
                self._metrics.events_appended.inc(len(records))
                for group in batch:
                    if group.then is not None:
                        group.then()
            self._idle.set()

    def _take(self) -> list[_Group]:
        count = size = 0
        for index, group in enumerate(self._waiting):
            count += len(group.records)
            size += group.size
            if index and (count > BATCH_RECORDS or size > MAX_BATCH_BYTES // 2):
                batch, self._waiting = self._waiting[:index], self._waiting[index:]
                break
        else:
            batch, self._waiting = self._waiting, []
        self._records -= sum(len(group.records) for group in batch)
        if self._records < WAITING_LIMIT:
            self._room.set()
        return batch
