"""Membership of an Apache Kafka consumer group: who holds which partition, and nothing else.

In goes a topic; out come what the group gives and takes, its word that a partition is still ours (a commit that
succeeds in the newest generation), and low-water marks. Records are left out on purpose: every assigned partition is
paused, readers go to the log themselves.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka import errors as driver

from services.kit.embedded.groups import Changes
from services.kit.errors import NotMember, Unreachable
from services.kit.kafka.broker import REQUEST_S, Cluster, patiently
from services.kit.log import Assigned, Revoked

_SESSION_MS = 6000
_HEARTBEAT_MS = 500
_FOR_EVER_MS = 10**12
_log = logging.getLogger(__name__)


async def commit_in(consumer: Any, group: str, topic: str, partition: int, offset: int) -> None:
    """Commit in the newest generation, in the consumer's own loop. Raises `NotMember`, `Unreachable`."""
    try:
        async with asyncio.timeout(REQUEST_S):
            await consumer.commit({TopicPartition(topic, partition): offset})
    except (driver.CommitFailedError, driver.IllegalStateError):
        raise NotMember(f"partition {partition} is not this member's in group {group}") from None
    except (driver.KafkaError, OSError, TimeoutError) as wrong:
        raise Unreachable(f"group {group} does not answer: {wrong}") from None


async def committed_in(consumer: Any, group: str, topic: str, partition: int) -> int | None:
    """The group's mark, asked in the consumer's own loop. Raises `Unreachable`."""
    try:
        async with asyncio.timeout(REQUEST_S):
            return await consumer.committed(TopicPartition(topic, partition))
    except (driver.KafkaError, OSError, TimeoutError) as wrong:
        raise Unreachable(f"group {group} does not answer: {wrong}") from None


async def confirm_in(consumer: Any, group: str, topic: str, partition: int) -> None:
    """Commit the mark that is there. Raises `NotMember`, `Unreachable`."""
    await commit_in(consumer, group, topic, partition, await committed_in(consumer, group, topic, partition) or 0)


class KafkaMember(ConsumerRebalanceListener):
    """See `services.kit.log.Member`. Every rebalance takes all and gives anew, as Kafka's eager protocol does."""

    def __init__(self, cluster: Cluster, group: str, topic: str, left: Callable[["KafkaMember"], None]) -> None:
        self._cluster = cluster
        self._on_leave = left
        self._group = cluster.name(group)
        self._topic = cluster.name(topic)
        self._consumer: Any = None
        self._held: frozenset[int] | None = None
        self._marks: dict[int, int] = {}
        self._changes = Changes[Assigned | Revoked | None]()
        self._watch: asyncio.Task[None] | None = None
        self._left = False

    async def open(self) -> None:
        """Knock at the group; the first assignment comes through `changes`. Raises `Unreachable`."""
        await self._join()
        self._watch = asyncio.create_task(self._stay())

    async def changes(self) -> AsyncIterator[Assigned | Revoked]:
        """See `Member.changes`. Ends when the member leaves."""
        while (change := await self._changes.get()) is not None:
            yield change
        self._changes.tell(None)

    async def confirm(self, partition: int) -> None:
        """See `Member.confirm`. Raises `Unreachable` too, when nobody answers."""
        mark = self._marks.get(partition)
        if mark is None:
            mark = await self.committed(partition) or 0
        await self.commit(partition, mark)

    async def commit(self, partition: int, offset: int) -> None:
        """See `Member.commit`. Raises `Unreachable` too, when nobody answers."""
        self._check(partition)
        await commit_in(self._consumer, self._group, self._topic, partition, offset)
        self._check(partition)
        self._marks[partition] = offset

    async def committed(self, partition: int) -> int | None:
        """See `Member.committed`. Raises `Unreachable`."""
        if self._consumer is None:
            raise self._not_member(partition)
        return await committed_in(self._consumer, self._group, self._topic, partition)

    async def leave(self) -> None:
        """See `Member.leave`."""
        if self._left:
            return
        self._left = True
        self._on_leave(self)
        self._held = None
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        while not self._changes.empty():
            self._changes.get_nowait()
        self._changes.tell(None)
        await self._part()

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Called by the driver before it joins a new generation."""
        del revoked
        self._lose()

    def on_partitions_assigned(self, assigned: Any) -> None:
        """Called by the driver in a new generation."""
        if self._left:
            return
        self._consumer.pause(*assigned)
        self._marks.clear()
        self._held = frozenset(place.partition for place in assigned)
        self._changes.tell(Assigned(self._held))

    def _lose(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._changes.tell(Revoked(held))

    def _check(self, partition: int) -> None:
        if self._held is None or partition not in self._held:
            raise self._not_member(partition)

    def _not_member(self, partition: int) -> NotMember:
        return NotMember(f"partition {partition} is not this member's in group {self._group}")

    async def _join(self) -> None:
        consumer: Any = AIOKafkaConsumer(
            **self._cluster.options,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=_HEARTBEAT_MS,
            max_poll_interval_ms=_FOR_EVER_MS,
        )
        self._consumer = consumer
        try:
            async with asyncio.timeout(REQUEST_S):
                await consumer.start()
        except (driver.KafkaError, OSError, TimeoutError) as wrong:
            await self._part()
            raise Unreachable(f"group {self._group} does not answer: {wrong}") from None
        consumer.subscribe([self._topic], listener=self)

    async def _stay(self) -> None:
        while True:
            try:
                await self._consumer.getone()  # nothing comes, all is paused: it raises what goes wrong in the group
            except Exception as wrong:  # noqa: BLE001 (whatever the driver's own tasks end with: who is lost knocks again)
                _log.warning("group %s was lost and is joined again: %s", self._group, wrong or type(wrong).__name__)
                self._lose()
                await self._part()
                await patiently(None, self._join)

    async def _part(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with contextlib.suppress(Exception):  # what ended its tasks is raised again, and nobody needs it any more
                async with asyncio.timeout(REQUEST_S):
                    await consumer.stop()
