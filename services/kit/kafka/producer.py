"""Writing to Apache Kafka: explicit record batches through idempotent producers.

In goes one batch for one partition; out comes its first offset, or the word that nobody knows. The driver tries again
by itself while the cluster is gone, but its future may never resolve, and after any failure its sequence numbers are
spoilt (aiokafka #1017): so there is a deadline, and a producer that failed once is thrown away.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka import errors as driver

from events.envelope import Record
from events.topics import COMPACTED
from services.kit.batches import check_batch
from services.kit.errors import AppendFailed, TooLarge, Unreachable
from services.kit.kafka.broker import REQUEST_S, Cluster
from services.kit.log import MAX_BATCH_BYTES, is_tombstone

DEADLINE_S = 20.0
_COMPRESSION = "lz4"
Retire = Callable[[Any], None]
"""Takes a producer that is not to be used again."""


async def open_producer(cluster: Cluster) -> Any:
    """A started producer. Raises `Unreachable`."""
    producer: Any = AIOKafkaProducer(
        **cluster.options,
        acks="all",
        enable_idempotence=True,
        compression_type=_COMPRESSION,
        max_batch_size=MAX_BATCH_BYTES,
        max_request_size=2 * MAX_BATCH_BYTES,
    )
    try:
        async with asyncio.timeout(REQUEST_S):
            await producer.start()
    except (driver.KafkaError, OSError, TimeoutError) as wrong:
        cluster.health.reachable = False
        await producer.stop()
        raise Unreachable(f"Apache Kafka gives no producer: {wrong}") from None
    except BaseException:
        await producer.stop()
        raise
    return producer


async def send(cluster: Cluster, producer: Any, topic: str, partition: int, records: Sequence[Record]) -> int:
    """The first offset of the batch, once all in-sync replicas have it. Raises `TooLarge`, `AppendFailed`."""
    check_batch(records)
    batch = producer.create_batch()
    for record in records:
        value = None if topic in COMPACTED and is_tombstone(record) else record.value
        if batch.append(timestamp=record.time, key=record.key, value=value, headers=list(record.headers)) is None:
            raise TooLarge(f"a batch of {len(records)} records is larger than {MAX_BATCH_BYTES} bytes; nothing was written")
    batch.close()
    try:
        async with asyncio.timeout(DEADLINE_S):
            acknowledged = await producer.send_batch(batch, cluster.name(topic), partition=partition)
            acknowledged.add_done_callback(_heard)
            written = await asyncio.shield(acknowledged)
    except TimeoutError:
        cluster.health.reachable = False
        raise AppendFailed(f"Apache Kafka did not acknowledge a batch for {topic}, partition {partition}, in {DEADLINE_S:g} s") from None
    except (driver.KafkaError, OSError) as wrong:
        raise AppendFailed(f"Apache Kafka did not take a batch for {topic}, partition {partition}: {wrong}") from None
    cluster.health.reachable = True
    if written.offset < 0:
        raise AppendFailed(f"a batch for {topic}, partition {partition}, was written twice, and its place is not known")
    return written.offset


def _heard(acknowledged: "asyncio.Future[Any]") -> None:
    """Whoever waited may have left: then nobody asks for the failure."""
    if not acknowledged.cancelled():
        acknowledged.exception()


async def discard(producer: Any) -> None:
    """End a producer without waiting for what it could not deliver; what is in flight may still arrive."""
    sender: asyncio.Task[None] | None = producer._sender.sender_task  # noqa: SLF001 (its stop waits for batches that never resolve)
    if sender is not None:
        sender.cancel()
        await asyncio.wait([sender])
        accumulator = producer._message_accumulator  # noqa: SLF001 (see above)
        for waiting in accumulator._batches.values():  # noqa: SLF001
            for batch in waiting:
                accumulator._pending_batches.add(batch)  # noqa: SLF001 (one that was to be sent again is taken from there at its end)
                batch.future.cancel()
    await producer.stop()


class KafkaAppender:
    """See `services.kit.log.Appender`."""

    def __init__(self, cluster: Cluster, producer: Any, topic: str, partition: int, retire: Retire) -> None:
        self._cluster = cluster
        self._producer = producer
        self._topic = topic
        self._partition = partition
        self._retire = retire
        self._closed = ""

    async def append(self, records: Sequence[Record]) -> int:
        """See `Appender.append`."""
        if self._closed:
            raise AppendFailed(self._closed)
        try:
            return await send(self._cluster, self._producer, self._topic, self._partition, records)
        except AppendFailed as failed:
            self._end(f"this appender is closed since: {failed}")
            raise

    async def close(self) -> None:
        """See `Appender.close`."""
        self._end("this appender was closed")

    def _end(self, why: str) -> None:
        if not self._closed:
            self._closed = why
            self._retire(self._producer)
