"""One producer for many callers, and one batch for all who wait for the same partition.

In go appends from anywhere in the program; out come their offsets. Each partition has a lane with one batch in flight;
what arrives meanwhile travels together in the next, each caller's records side by side. After a failure the next round
gets a new producer, and the old one ends when nobody waits for it any more.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from events.envelope import Record
from services.kit.batches import check_batch
from services.kit.errors import AppendFailed, Unreachable
from services.kit.kafka import producer as kafka_producer
from services.kit.kafka.broker import Cluster
from services.kit.kafka.producer import Retire, open_producer, send
from services.kit.log import MAX_BATCH_BYTES

_ROUND_RECORDS = 5000
WAITING_BYTES = 256 * 1024 * 1024
"""So much may wait to be sent; who wants to send more is refused."""
Spawn = Callable[[Coroutine[Any, Any, None]], None]
"""Runs work in the background until the log stops."""


@dataclass(frozen=True, slots=True)
class _Call:
    records: Sequence[Record]
    size: int
    done: "asyncio.Future[int]"


class SharedProducer:
    """See the module."""

    def __init__(self, cluster: Cluster, spawn: Spawn, retire: Retire) -> None:
        self._cluster = cluster
        self._spawn = spawn
        self._retire = retire
        self._lanes: dict[tuple[str, int], deque[_Call]] = {}
        self._waiting = 0
        self._current: Any = None
        self._users: dict[Any, int] = {}
        self._opening = asyncio.Lock()

    async def append(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        """See `Log.append`."""
        call = _Call(records, check_batch(records), asyncio.get_running_loop().create_future())
        if self._waiting + call.size > WAITING_BYTES:
            raise AppendFailed("Apache Kafka is too slow: too much waits to be written; nothing of this was")
        self._waiting += call.size
        call.done.add_done_callback(lambda _: self._written(call.size))
        lane = self._lanes.get((topic, partition))
        if lane is None:
            self._lanes[topic, partition] = deque([call])
            self._spawn(self._drive(topic, partition))
        else:
            lane.append(call)
        return await call.done

    def _written(self, size: int) -> None:
        self._waiting -= size

    def close(self) -> None:
        """Let the producer go; what is in flight has its deadline."""
        producer, self._current = self._current, None
        if producer is not None and not self._users.get(producer):
            self._retire(producer)

    async def _drive(self, topic: str, partition: int) -> None:
        lane = self._lanes[topic, partition]
        while lane:
            calls = [lane.popleft()]
            count, size = len(calls[0].records), calls[0].size
            while lane and count + len(lane[0].records) <= _ROUND_RECORDS and size + lane[0].size <= MAX_BATCH_BYTES:
                calls.append(lane.popleft())
                count, size = count + len(calls[-1].records), size + calls[-1].size
            await self._round(topic, partition, calls)
        del self._lanes[topic, partition]

    async def _round(self, topic: str, partition: int, calls: Sequence[_Call]) -> None:
        try:
            first = await self._write(topic, partition, [record for call in calls for record in call.records])
        except Exception as wrong:  # noqa: BLE001 (every caller must hear of it, whatever it is)
            for call in calls:
                if not call.done.done():
                    call.done.set_exception(AppendFailed(str(wrong)))
            return
        for call in calls:
            if not call.done.done():
                call.done.set_result(first)
            first += len(call.records)

    async def _write(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        try:
            async with asyncio.timeout(kafka_producer.DEADLINE_S):
                producer = await self._open()
        except (Unreachable, TimeoutError) as wrong:
            raise AppendFailed(f"nothing was written: {str(wrong) or 'Apache Kafka does not answer'}") from None
        self._users[producer] = self._users.get(producer, 0) + 1
        try:
            return await send(self._cluster, producer, topic, partition, records)
        except BaseException:
            if self._current is producer:
                self._current = None
            raise
        finally:
            self._users[producer] -= 1
            if not self._users[producer]:
                del self._users[producer]
                if producer is not self._current:
                    self._retire(producer)

    async def _open(self) -> Any:
        async with self._opening:
            if self._current is None:
                self._current = await open_producer(self._cluster)
            return self._current
