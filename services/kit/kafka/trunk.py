"""One reader of a partition for all tails in this process: what Apache Kafka gives is fetched and decoded once.

In come tails with their places; out go the same records to each. A trunk begins where its first tail begins; a tail whose place
lies before the trunk's, or that fell behind, reads single stretches until it has caught up. Nobody waits for a slow one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from events.envelope import StoredRecord
from services.kit.kafka.broker import patiently
from services.kit.log import Tail

_AHEAD = 20_000
_AHEAD_BYTES = 16 * 1024 * 1024
_OVERHEAD = 300
_PAUSE_S = 0.1
Read = Callable[[str, int, int], Awaitable[Sequence[StoredRecord]]]
"""One stretch of a partition from an offset on."""
Open = Callable[[str, int, int], Tail]
"""A reader of one's own for a partition from an offset on."""


class Trunks:
    """The partitions that are read now."""

    def __init__(self, open_: Open, read: Read) -> None:
        self.read = read
        self._open = open_
        self._trunks: dict[tuple[str, int], Trunk] = {}
        self._tails: set[SharedTail] = set()

    def tail(self, topic: str, partition: int, start: int) -> "SharedTail":
        """See `Log.tail`."""
        tail = SharedTail(self, topic, partition, start)
        self._tails.add(tail)
        return tail

    def follow(self, tail: "SharedTail", start: int) -> "Trunk":
        """The trunk of the tail's partition; one that begins at `start` where there is none."""
        key = (tail.topic, tail.partition)
        trunk = self._trunks.get(key)
        if trunk is None:
            reader = self._open(tail.topic, tail.partition, start)
            trunk = self._trunks[key] = Trunk(reader, start, lambda ended: self._ended(key, ended))
        trunk.tails.add(tail)
        return trunk

    def forget(self, tail: "SharedTail") -> None:
        """A tail was closed."""
        self._tails.discard(tail)

    async def close(self) -> None:
        """Close all tails."""
        await asyncio.gather(*(tail.close() for tail in list(self._tails)))

    def _ended(self, key: tuple[str, int], trunk: "Trunk") -> None:
        if self._trunks.get(key) is trunk:
            del self._trunks[key]


class Trunk:
    """Reads as long as somebody follows. `place` is the next offset that it will hand on."""

    def __init__(self, reader: Tail, start: int, ended: Callable[["Trunk"], None]) -> None:
        self.place = start
        self.tails: set[SharedTail] = set()
        self._reader = reader
        self._ended = ended
        self._task = asyncio.create_task(self._run(), name="trunk")

    async def leave(self, tail: "SharedTail") -> None:
        """One follower less; the last one ends it."""
        self.tails.discard(tail)
        if not self.tails:
            self._ended(self)
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            while True:
                found = await self._reader.next()
                self.place = found[-1].offset + 1
                size = sum(len(stored.record.value) + _OVERHEAD for stored in found)
                for tail in self.tails:
                    tail.hand(found, size)
        except Exception as wrong:  # noqa: BLE001 (those who follow raise it)
            self._ended(self)
            for tail in self.tails:
                tail.lose(wrong)
        finally:
            await self._reader.close()


class SharedTail:
    """See `services.kit.log.Tail`."""

    def __init__(self, trunks: Trunks, topic: str, partition: int, start: int) -> None:
        self.topic = topic
        self.partition = partition
        self._trunks = trunks
        self._trunk: Trunk | None = None
        self._place = start
        self._ahead: list[StoredRecord] = []
        self._bytes = 0
        self._wrong: Exception | None = None
        self._news = asyncio.Event()

    async def next(self) -> Sequence[StoredRecord]:
        """See `Tail.next`."""
        while not self._ahead:
            if self._wrong is not None:
                raise self._wrong
            if self._trunk is None:
                self._trunk = self._trunks.follow(self, self._place)
            if self._trunk.place > self._place:
                if found := await patiently(None, self._alone):
                    self._place = found[-1].offset + 1
                    return found
                await asyncio.sleep(_PAUSE_S)  # the trunk has seen more: a new leader may not know it yet
                continue
            self._news.clear()
            await self._news.wait()
        found, self._ahead, self._bytes = self._ahead, [], 0
        self._place = found[-1].offset + 1
        return found

    async def close(self) -> None:
        """See `Tail.close`."""
        trunk, self._trunk = self._trunk, None
        self._trunks.forget(self)
        if trunk is not None:
            await trunk.leave(self)

    def hand(self, found: Sequence[StoredRecord], size: int) -> None:
        """What the trunk read: kept where it follows what is known and there is room, else `next` reads it alone."""
        end = self._place + len(self._ahead)
        if found[0].offset <= end and len(self._ahead) < _AHEAD and self._bytes < _AHEAD_BYTES:
            fresh = found if found[0].offset == end else [stored for stored in found if stored.offset >= end]
            self._ahead += fresh
            self._bytes += size if fresh else 0
        self._news.set()

    def lose(self, wrong: Exception) -> None:
        """The trunk ended. Who stands before its place looks for another, since what is wrong may be beyond."""
        if self._trunk is not None and self._place + len(self._ahead) >= self._trunk.place:
            self._wrong = wrong
        self._trunk = None
        self._news.set()

    async def _alone(self) -> Sequence[StoredRecord]:
        return await self._trunks.read(self.topic, self.partition, self._place)
