"""Requests to an Apache Kafka cluster, and what its answers and errors mean in our words.

In go settings and questions (records from a place, offsets, facts about topics); out come values of ours, or errors of
`services.kit.errors`. Consumers are left out on purpose: a fetch is one request, and a long one is a tail's wake-up.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiokafka import TopicPartition
from aiokafka import errors as driver
from aiokafka.client import AIOKafkaClient
from aiokafka.helpers import create_ssl_context
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.memory_records import MemoryRecords
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, stop_never, wait_random_exponential

from events.envelope import Record, StoredRecord
from events.topics import COMPACTED
from services.kit.errors import HistoryLost, LogError, Refused, Unreachable
from services.kit.settings import Settings

T = TypeVar("T")

EARLIEST, LATEST = -2, -1
REQUEST_S = 10.0
_CLOSE_S = 2.0
_LOST_LEADER = (driver.NotLeaderForPartitionError, driver.LeaderNotAvailableError, driver.UnknownTopicOrPartitionError)


@dataclass
class Health:
    """Whether the last thing that was tried worked, whoever tried it, and what the cluster said it lacks ("" for nothing)."""

    reachable: bool = False
    lacking: str = ""

    @property
    def trouble(self) -> str:
        """What is in the way now; empty when nothing is."""
        return self.lacking if self.reachable else "Apache Kafka does not answer"


@dataclass(frozen=True)
class Cluster:
    """Where the cluster is, how to get in, how our names look there."""

    servers: tuple[str, ...]
    prefix: str
    options: Mapping[str, Any] = field(repr=False)
    health: Health = field(default_factory=Health)

    def name(self, ours: str) -> str:
        """The name of a topic or a group in this cluster."""
        return self.prefix + ours


def cluster_of(settings: Settings) -> Cluster:
    """The cluster that the settings name. Raises `Refused` when a certificate cannot be read."""
    servers = tuple(server.strip() for server in settings.kafka.split(",") if server.strip())
    context = None
    if "SSL" in settings.kafka_security_protocol:
        try:
            context = create_ssl_context(
                cafile=settings.kafka_ssl_cafile, certfile=settings.kafka_ssl_certfile, keyfile=settings.kafka_ssl_keyfile
            )
        except (OSError, ssl.SSLError) as wrong:
            raise Refused(f"the certificates for Apache Kafka cannot be read (PROZESS_KAFKA_SSL_*): {wrong}") from None
    options: dict[str, Any] = {
        "bootstrap_servers": list(servers),
        "client_id": "prozess",
        "request_timeout_ms": int(REQUEST_S * 1000),
        "security_protocol": settings.kafka_security_protocol,
        "ssl_context": context,
    }
    if "SASL" in settings.kafka_security_protocol:
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": settings.kafka_sasl_password,
        }
    return Cluster(servers, settings.topic_prefix, options)


async def patiently(seconds: float | None, question: Callable[[], Awaitable[T]]) -> T:
    """Asks again while the log is unreachable, with growing pauses up to 2 s: for so many seconds, or for ever."""
    again = AsyncRetrying(
        retry=retry_if_exception_type(Unreachable),
        wait=wait_random_exponential(multiplier=0.05, max=2),
        stop=stop_never if seconds is None else stop_after_delay(seconds),
        reraise=True,
    )

    async def ask() -> T:
        return await question()

    answer: T = await again(ask)
    return answer


class Broker:
    """One client: a connection to each broker it needs. Long waits and short questions want one each."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._client: Any = None
        self._opening: asyncio.Task[Any] | None = None
        self._topics: set[str] = set()
        self._closing: set[asyncio.Task[None]] = set()

    async def fetch(self, topic: str, partition: int, start: int, limit: int, *, wait_ms: int, size: int) -> list[StoredRecord]:
        """Records from `start` on, at most `limit`; empty after `wait_ms` without any. Raises `HistoryLost`, `Unreachable`."""
        place = TopicPartition(self._cluster.name(topic), partition)
        request = FetchRequest(wait_ms, 1, max(size, 1), 0, [(place.topic, [(partition, start, size)])])
        answer = await self._ask_leader(place, request)
        number, code, _, *rest = answer.topics[0][1][0]
        await self._check(number, code, place, f"offset {start} was asked for, and the log does not have it")
        if topic not in COMPACTED:
            return _records_of(rest[-1], start, limit)
        found, end = _kept_of(rest[-1], start, limit)
        if not found and end > start:
            return await self.fetch(topic, partition, end, limit, wait_ms=wait_ms, size=size)
        return found

    async def offset(self, topic: str, partition: int, time: int) -> int:
        """The first offset whose record's time is `time` (ms) or later, -1 for none; or EARLIEST, LATEST."""
        place = TopicPartition(self._cluster.name(topic), partition)
        answer = await self._ask_leader(place, OffsetRequest(-1, 0, [(place.topic, [(partition, time)])]))
        number, code, _, offset, *_ = answer.topics[0][1][0]
        await self._check(number, code, place, "the offset is gone")
        return offset

    async def ask(self, request: Any, node: Callable[[Any], Any] = AIOKafkaClient.get_random_node) -> Any:
        """The answer of one broker. Raises `Unreachable`; the next question then begins with the configured servers again."""
        client = await self._open()
        with self._telling(client):
            async with asyncio.timeout(2 * REQUEST_S):
                return await client.send(node(client), request)

    async def close(self) -> None:
        """Close the connections. The next question opens them again."""
        opening, self._opening = self._opening, None
        if opening is not None and not opening.done():
            await asyncio.wait({opening}, timeout=_CLOSE_S)
            opening.cancel()
        client, self._client = self._client, None
        if client is not None:
            await _close(client)
        if self._closing:
            await asyncio.wait(self._closing)

    async def _open(self) -> Any:
        if self._client is None:
            if self._opening is None or self._opening.done():
                self._opening = asyncio.create_task(self._bootstrap())
                self._opening.add_done_callback(lambda task: task.cancelled() or task.exception())
            with self._telling(None):
                async with asyncio.timeout(2 * REQUEST_S):
                    return await asyncio.shield(self._opening)  # who gives up waiting would leave a half-open connection behind
        return self._client

    async def _bootstrap(self) -> Any:
        client: Any = AIOKafkaClient(**self._cluster.options)
        try:
            await client.bootstrap()
        except BaseException:
            await _close(client)
            raise
        self._client = client
        return client

    async def _ask_leader(self, place: TopicPartition, request: Any) -> Any:
        client = await self._open()
        if client.cluster.leader_for_partition(place) in {None, -1}:
            await self._learn(place.topic)
        return await self.ask(request, lambda client: _leader(client, place))

    async def _learn(self, topic: str) -> None:
        client = await self._open()
        self._topics.add(topic)
        with self._telling(client):
            async with asyncio.timeout(REQUEST_S):
                client.set_topics(self._topics)
                await client.force_metadata_update()

    @contextlib.contextmanager
    def _telling(self, client: Any) -> Generator[None]:
        """Says what failed in our words; a client that failed is dropped, whoever else uses it hears of it too."""
        try:
            yield
        except (driver.KafkaError, OSError, TimeoutError) as wrong:
            self._cluster.health.reachable = False
            if client is not None and self._client is client:
                self._client = None
                closing = asyncio.create_task(_close(client))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
            raise Unreachable(f"Apache Kafka does not answer: {wrong or type(wrong).__name__}") from None
        self._cluster.health.reachable = True

    async def _check(self, number: int, code: int, place: TopicPartition, lost: str) -> None:
        error: Any = driver.for_code(code)
        if error is driver.NoError:
            return
        if error is driver.OffsetOutOfRangeError:
            raise HistoryLost(f"{lost} (topic {place.topic}, partition {number})")
        if issubclass(error, _LOST_LEADER):
            await self._learn(place.topic)
        raise Unreachable(f"topic {place.topic}, partition {number}: {error.__name__}")


def _leader(client: Any, place: TopicPartition) -> Any:
    leader = client.cluster.leader_for_partition(place)
    if leader in {None, -1}:
        raise Unreachable(f"topic {place.topic}, partition {place.partition}, has no leader now")
    return leader


async def _close(client: Any) -> None:
    with contextlib.suppress(TimeoutError):  # what a dead broker has not read yet keeps a connection open
        async with asyncio.timeout(_CLOSE_S):
            await client.close()


def _records_of(raw: bytes, start: int, limit: int) -> list[StoredRecord]:
    found: list[StoredRecord] = []
    memory: Any = MemoryRecords(raw)
    while memory.has_next() and len(found) < limit:
        batch = memory.next_batch()
        if not batch.validate_crc():
            raise LogError(f"the batch at offset {batch.base_offset} is damaged")
        if batch.is_control_batch:
            raise HistoryLost(f"offset {batch.base_offset} is a mark of somebody's transaction, and ours have none")
        for one in batch:
            if one.offset < start or len(found) >= limit:
                continue
            if one.offset != start + len(found):
                raise HistoryLost(f"offset {start + len(found)} is missing; the log goes on at {one.offset}")
            found.append(_stored(one))
    return found


def _kept_of(raw: bytes, start: int, limit: int) -> tuple[list[StoredRecord], int]:
    """The records of a compacted topic, and where the next fetch begins: batches may have lost all that was in them."""
    found: list[StoredRecord] = []
    end = start
    memory: Any = MemoryRecords(raw)
    while memory.has_next() and len(found) < limit:
        batch = memory.next_batch()
        if not batch.validate_crc():
            raise LogError(f"the batch at offset {batch.base_offset} is damaged")
        found += [_stored(one) for one in batch if one.offset >= start and not batch.is_control_batch][: limit - len(found)]
        end = max(end, batch.next_offset)
    return found, end


def _stored(one: Any) -> StoredRecord:
    headers = tuple((name, value or b"") for name, value in one.headers)
    return StoredRecord(one.offset, Record(one.key or b"", one.value or b"", headers, one.timestamp))
