"""One in-order pipeline into one partition: one batch in flight, what waits meanwhile goes together in the next.

In come groups of events that must not straddle two batches; out go records, and a callback once they are acknowledged. The
first failure closes the pipeline for good: nothing more is appended with this claim.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from events.envelope import Envelope, Record, encode
from services.kit.blobs import Blobs, pack
from services.kit.errors import HistoryLost
from services.kit.log import MAX_BATCH_BYTES, Appender
from services.kit.telling.metrics import Metrics
from services.kit.telling.traces import OFF, Span, Traces

BATCH_RECORDS = 2_000
WAITING_LIMIT = 20_000
"""Records that may wait before those who decide are held up."""
WAITING_BYTES = 4 * MAX_BATCH_BYTES
"""Bytes that may wait, the same."""
_OVERHEAD = 512

Acknowledged = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Group:
    """One decision's events, encoded; `size` is their bytes, about."""

    records: list[Record]
    size: int
    then: Acknowledged | None


class Waiting:
    """What is decided and not written yet: groups in order, none of them ever cut in two.

    `written` counts the acknowledged records, `last` is the offset of the newest of them (-1 before there is one).
    """

    def __init__(self) -> None:
        self.written = 0
        self.last = -1
        self._groups: list[Group] = []
        self._records = 0
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._groups)

    @property
    def has_room(self) -> bool:
        """Whether more may be decided."""
        return self._records < WAITING_LIMIT and self._bytes < WAITING_BYTES

    def put(self, envelopes: Sequence[Envelope], then: Acknowledged | None = None) -> None:
        """One decision's events; `then` is called when they are in the log."""
        records = [encode(envelope) for envelope in envelopes]
        size = sum(len(record.value) + _OVERHEAD for record in records)
        self._groups.append(Group(records, size, then))
        self._records += len(records)
        self._bytes += size

    def take(self) -> list[Group]:
        """The next batch: as many whole groups as it may hold, at least one."""
        count = size = 0
        for index, group in enumerate(self._groups):
            count += len(group.records)
            size += group.size
            if index and (count > BATCH_RECORDS or size > MAX_BATCH_BYTES // 2):
                batch, self._groups = self._groups[:index], self._groups[index:]
                break
        else:
            batch, self._groups = self._groups, []
        self._records -= sum(len(group.records) for group in batch)
        self._bytes -= sum(group.size for group in batch)
        return batch

    def acknowledge(self, first: int, batch: Sequence[Group]) -> None:
        """The batch stands in the log from `first` on: tell those who wait for it. Raises `HistoryLost`."""
        count = sum(len(group.records) for group in batch)
        if first <= self.last:
            raise HistoryLost(f"a batch was written at offset {first}, and our last one stood at {self.last}: the log was cut")
        self.last = first + count - 1
        self.written += count
        for group in batch:
            if group.then is not None:
                group.then()


class Pipeline:
    """Writes one ownership's events. `run` ends only with the error that closed it."""

    def __init__(self, appender: Appender, blobs: Blobs, metrics: Metrics, traces: Traces = OFF) -> None:
        self._traces = traces
        self._appender = appender
        self._blobs = blobs
        self._metrics = metrics
        self._waiting = Waiting()
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._idle = asyncio.Event()
        self._room.set()
        self._idle.set()

    @property
    def written(self) -> int:
        """See `Waiting`."""
        return self._waiting.written

    @property
    def last(self) -> int:
        """See `Waiting`."""
        return self._waiting.last

    def put(self, envelopes: Sequence[Envelope], then: Acknowledged | None = None) -> None:
        """Queue one decision's events; `then` is called when they are in the log."""
        self._waiting.put(envelopes, then)
        self._look_for_room()
        self._idle.clear()
        self._some.set()

    async def room(self) -> None:
        """Wait until there is room for more decisions."""
        await self._room.wait()

    async def drained(self) -> None:
        """Wait until everything that was put is acknowledged."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write until something fails. Raises `AppendFailed`, `HistoryLost` or `TooLarge`."""
        clock = asyncio.get_running_loop().time
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                batch = self._waiting.take()
                self._look_for_room()
                records = [await pack(record, self._blobs) for group in batch for record in group.records]
                began = clock()
                first = await (self._traced(records) if self._traces.on else self._appender.append(records))
                self._metrics.batch_seconds.observe(clock() - began)
                self._metrics.batch_events.observe(len(records))
                self._metrics.events_appended.inc(len(records))
                self._waiting.acknowledge(first, batch)
            self._idle.set()

    async def _traced(self, records: Sequence[Record]) -> int:
        """Append, told as a span of the first trace in the batch, linked with the others."""
        found = dict.fromkeys(value.decode() for one in records for name, value in one.headers if name == "ce_traceparent")
        began, failed = time.time(), "interrupted"
        try:
            first = await self._appender.append(records)
            failed = ""
        finally:
            if found:
                above, *others = found
                told = {"prozess.events": len(records)}
                own = self._traces.begin(above)
                self._traces.tell(Span(own, "append events", began * 1000, time.time() * 1000, above, "producer", told, failed, others))
        return first

    def _look_for_room(self) -> None:
        if self._waiting.has_room:
            self._room.set()
        else:
            self._room.clear()
