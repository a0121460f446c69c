"""Following one partition of Apache Kafka: a long fetch that the broker answers when there is something.

In goes a place; out come records from there on. The next fetch is on its way while the last records are looked at.
While the cluster is gone the tail waits, with growing pauses; history that is gone is said.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from events.envelope import StoredRecord
from services.kit.kafka_broker import Broker, Cluster, patiently

_WAIT_MS = 1000
_SIZE = 1024 * 1024
_LIMIT = 10_000


class KafkaTail:
    """See `services.kit.log.Tail`. Has its own connection, since a long fetch holds one."""

    def __init__(self, cluster: Cluster, topic: str, partition: int, start: int, closed: Callable[["KafkaTail"], None]) -> None:
        self._broker = Broker(cluster)
        self._topic = topic
        self._partition = partition
        self._place = start
        self._closed = closed
        self._ahead: asyncio.Task[list[StoredRecord]] | None = None

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
        self._closed(self)

    def _begin(self) -> asyncio.Task[list[StoredRecord]]:
        return asyncio.create_task(self._fetch())

    async def _fetch(self) -> list[StoredRecord]:
        while True:
            found = await patiently(None, self._once)
            if found:
                return found

    async def _once(self) -> list[StoredRecord]:
        return await self._broker.fetch(self._topic, self._partition, self._place, _LIMIT, wait_ms=_WAIT_MS, size=_SIZE)
