"""Following one partition of Apache Kafka: a long fetch that the broker answers when there is something.

In goes a place; out come records from there on. The next fetch is on its way while the last records are looked at.
While the cluster is gone the tail waits, with growing pauses. When it is back, the record before the tail's place must be
the one that was read: another topic of that name, or a log that was cut or restored, is lost history and said.
"""

import asyncio
import contextlib
from collections.abc import Sequence

from aiokafka import errors as driver

from events.envelope import StoredRecord
from events.topics import EVENTS
from services.kit.errors import HistoryLost, Unreachable
from services.kit.kafka.broker import EARLIEST, Broker, Cluster, patiently
from services.kit.kafka.topics import facts_about

_WAIT_MS = 1000
_SIZE = 1024 * 1024
_LIMIT = 10_000
_BLANK_S = 10.0
_AFTER = 5
"""Turns of the loop that whoever acts on an acknowledgement has before events are looked at: the broker answers both at once, and
what an owner decides next should be on its way while readers read."""


class KafkaTail:
    """See `services.kit.log.Tail`. Has its own connection, since a long fetch holds one."""

    def __init__(self, cluster: Cluster, topic: str, partition: int, start: int) -> None:
        self._broker = Broker(cluster)
        self._topic = topic
        self._partition = partition
        self._place = start
        self._ahead: asyncio.Task[list[StoredRecord]] | None = None
        self._name = cluster.name(topic)
        self._identity = ""
        self._last: StoredRecord | None = None
        self._doubtful = True
        self._blank: float | None = None

    async def next(self) -> Sequence[StoredRecord]:
        """See `Tail.next`."""
        if self._ahead is None:
            self._ahead = self._begin()
        found = await asyncio.shield(self._ahead)
        self._place = found[-1].offset + 1
        self._ahead = self._begin()
        return found

    async def close(self) -> None:
        """See `Tail.close`."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await ahead
        await self._broker.close()

    def _begin(self) -> asyncio.Task[list[StoredRecord]]:
        return asyncio.create_task(self._fetch())

    async def _fetch(self) -> list[StoredRecord]:
        while True:
            try:
                found = await self._once()
            except Unreachable:
                found = await patiently(None, self._once)
            if found:
                for _ in range(_AFTER if self._topic == EVENTS else 0):
                    await asyncio.sleep(0)
                return found

    async def _once(self) -> list[StoredRecord]:
        try:
            if self._doubtful:
                await self._check()
            found = await self._broker.fetch(self._topic, self._partition, self._place, _LIMIT, wait_ms=_WAIT_MS, size=_SIZE)
        except Unreachable:
            self._doubtful = True
            raise
        if found:
            self._last = found[-1]
        return found

    async def _check(self) -> None:
        """Whether this is still the log that was read so far. Raises `HistoryLost`, `Unreachable`."""
        facts = await facts_about(self._broker, self._name)
        if facts.unled or facts.error is not driver.NoError:
            raise Unreachable(f"topic {self._name} has no leader now")
        self._identity = self._identity or facts.identity
        if facts.identity != self._identity:
            raise HistoryLost(f"topic {self._name} is another one than was read so far")
        if self._last is not None and await self._broker.offset(self._topic, self._partition, EARLIEST) <= self._last.offset:
            await self._check_last(self._last)
        self._doubtful, self._blank = False, None

    async def _check_last(self, last: StoredRecord) -> None:
        there = await self._broker.fetch(self._topic, self._partition, last.offset, 1, wait_ms=0, size=1)
        here = f"offset {last.offset} of topic {self._name}, partition {self._partition},"
        if not there:  # a new leader may not know yet how much all copies have; a log that was cut stays like that
            now = asyncio.get_running_loop().time()
            self._blank = now if self._blank is None else self._blank
            if now - self._blank > _BLANK_S:
                raise HistoryLost(f"{here} is gone, and it was read")
            raise Unreachable(f"{here} is not readable yet")
        if there[0] != last:
            raise HistoryLost(f"{here} holds another record than was read")
