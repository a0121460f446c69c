"""The log on Apache Kafka: the adapter of `services.kit.log` for a real cluster.

Appends go through idempotent producers as explicit batches; reads are single fetches, tails long ones; membership is a
consumer group that never reads. Transactions are left out on purpose, so offsets have no holes, and a hole is told as
lost history. `start` refuses with one sentence; a cluster that is lost later is waited for.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from events.envelope import Record, StoredRecord
from services.kit.errors import HistoryLost, Unreachable
from services.kit.kafka.broker import EARLIEST, LATEST, REQUEST_S, Broker, cluster_of, patiently
from services.kit.kafka.group import KafkaMember
from services.kit.kafka.producer import KafkaAppender, discard, open_producer
from services.kit.kafka.shared import SharedProducer
from services.kit.kafka.tail import KafkaTail
from services.kit.kafka.topics import TOPICS, facts_about, lacking, prepare, thin_groups
from services.kit.kafka.trunk import Trunks
from services.kit.log import Appender, Member, Tail
from services.kit.settings import Settings

_PULSE_S = 2.0
_BYTES_A_RECORD = 1024


class KafkaLog:
    """See `services.kit.log.Log`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cluster = cluster_of(settings)
        self._broker = Broker(self._cluster)
        self._shared = SharedProducer(self._cluster, self._spawn, self._retire)
        self._trunks = Trunks(partial(KafkaTail, self._cluster), self.read)
        self._members: set[KafkaMember] = set()
        self._producers: set[Any] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._pulse: asyncio.Task[None] | None = None
        self._least: Mapping[str, int] = {}

    async def start(self) -> None:
        """See `Log.start`. Waits about 10 s for a cluster that does not answer. Raises `Refused`, `TopicMismatch`."""
        try:
            self._least = await prepare(self._cluster, self._broker, self._settings)
        except BaseException:
            await self._broker.close()
            raise
        self._pulse = asyncio.create_task(self._feel_pulse())

    async def stop(self) -> None:
        """See `Log.stop`. Safe to call twice."""
        pulse, self._pulse = self._pulse, None
        if pulse is not None:
            pulse.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pulse
        await asyncio.gather(self._trunks.close(), *(member.leave() for member in list(self._members)))
        for producer in list(self._producers):
            self._retire(producer)
        self._shared.close()
        while self._background:
            await asyncio.wait(self._background)
        await self._broker.close()
        self._cluster.health.reachable = False

    @property
    def reachable(self) -> bool:
        """See `Log.reachable`. A question every two seconds keeps it fresh."""
        return not self._cluster.health.trouble

    @property
    def trouble(self) -> str:
        """See `Log.trouble`: nobody answers, or the partitions that have no leader or too few copies."""
        return self._cluster.health.trouble

    def partitions(self, topic: str) -> int:
        """See `Log.partitions`."""
        if topic not in TOPICS:
            raise ValueError(f"topic {topic} is not one of {', '.join(TOPICS)}")
        return self._settings.partitions

    async def identity(self, topic: str) -> str:
        """See `Log.identity`: the topic's UUID. Raises `Unreachable`."""
        facts = await patiently(REQUEST_S, lambda: facts_about(self._broker, self._cluster.name(topic)))
        return facts.identity

    async def advice(self) -> str:
        """What no program refuses, and an operator should mend; "" for nothing. Raises `Unreachable`."""
        return await thin_groups(self._broker) if self._settings.durability == "replicated" else ""

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """See `Log.bounds`. Raises `Unreachable`."""
        begin, end = await asyncio.gather(self._offset(topic, partition, EARLIEST), self._offset(topic, partition, LATEST))
        return begin, end

    async def read(self, topic: str, partition: int, start: int, limit: int = 1000) -> Sequence[StoredRecord]:
        """See `Log.read`."""
        if start < 0:
            raise HistoryLost(f"offset {start} was asked for, and the log begins at 0")
        size = min(limit, 1000) * _BYTES_A_RECORD
        return await patiently(REQUEST_S, lambda: self._broker.fetch(topic, partition, start, limit, wait_ms=0, size=size))

    def tail(self, topic: str, partition: int, start: int) -> Tail:
        """See `Log.tail`."""
        return self._trunks.tail(topic, partition, start)

    async def append(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        """See `Log.append`."""
        self._check(topic, partition)
        return await self._shared.append(topic, partition, records)

    async def appender(self, topic: str, partition: int) -> Appender:
        """See `Log.appender`."""
        self._check(topic, partition)
        producer = await open_producer(self._cluster)
        self._producers.add(producer)
        return KafkaAppender(self._cluster, producer, topic, partition, self._retire)

    async def offset_at(self, topic: str, partition: int, time: int) -> int:
        """See `Log.offset_at`. Raises `Unreachable`."""
        offset = await self._offset(topic, partition, max(time, 0))
        return offset if offset >= 0 else await self._offset(topic, partition, LATEST)

    async def join(self, group: str, topic: str) -> Member:
        """See `Log.join`. Raises `Unreachable`."""
        member = KafkaMember(self._cluster, group, topic, self._members.discard)
        self._members.add(member)
        await member.open()
        return member

    def _check(self, topic: str, partition: int) -> None:
        if partition not in range(self.partitions(topic)):
            raise ValueError(f"topic {topic} has no partition {partition}")

    async def _offset(self, topic: str, partition: int, time: int) -> int:
        return await patiently(REQUEST_S, lambda: self._broker.offset(topic, partition, time))

    def _retire(self, producer: Any) -> None:
        self._producers.discard(producer)
        self._spawn(discard(producer))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _feel_pulse(self) -> None:
        while True:
            await asyncio.sleep(_PULSE_S)
            try:
                async with asyncio.timeout(_PULSE_S):
                    self._cluster.health.lacking = await patiently(_PULSE_S, lambda: lacking(self._broker, self._least))
            except (Unreachable, TimeoutError):
                self._cluster.health.reachable = False
