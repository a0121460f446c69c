"""All tails of a partition in one process read through one trunk: fetched once, given to each, and nobody waits for a slow one."""

import asyncio
from collections.abc import Sequence

import pytest

from events.envelope import Record, StoredRecord
from services.kit.errors import HistoryLost
from services.kit.kafka import trunk as kafka_trunk
from services.kit.kafka.trunk import SharedTail, Trunks

TOPIC, PARTITION = "topic", 0


class Reader:
    """A tail whose records the test hands over."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.closed = False
        self._given = asyncio.Queue[list[StoredRecord] | Exception]()

    def give(self, given: list[StoredRecord] | Exception) -> None:
        self._given.put_nowait(given)

    async def next(self) -> Sequence[StoredRecord]:
        given = await self._given.get()
        if isinstance(given, Exception):
            raise given
        return given

    async def close(self) -> None:
        self.closed = True


class Partition:
    """A partition, its trunks, and how it was read."""

    def __init__(self) -> None:
        self.records: list[StoredRecord] = []
        self.readers: list[Reader] = []
        self.alone: list[int] = []
        self.trunks = Trunks(self._open, self._read)

    def tail(self, start: int = 0) -> SharedTail:
        return self.trunks.tail(TOPIC, PARTITION, start)

    def grow(self, count: int = 1) -> None:
        """The partition has more, and the newest reader hears of it."""
        fresh = [StoredRecord(len(self.records) + place, Record(b"k", b"v", (), 0)) for place in range(count)]
        self.records += fresh
        if self.readers:
            self.readers[-1].give(fresh)

    def _open(self, _topic: str, _partition: int, start: int) -> Reader:
        self.readers.append(Reader(start))
        return self.readers[-1]

    async def _read(self, _topic: str, _partition: int, start: int) -> Sequence[StoredRecord]:
        self.alone.append(start)
        return self.records[start : start + 2]


async def offsets(tail: SharedTail, count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        found += [stored.offset for stored in await tail.next()]
    return found


async def waiting(tail: SharedTail, count: int) -> asyncio.Task[list[int]]:
    """Somebody who reads and has to wait."""
    task = asyncio.create_task(offsets(tail, count))
    await asyncio.wait({task}, timeout=0)
    return task


async def test_two_tails_of_a_partition_are_fed_by_one_reader():
    partition = Partition()
    one, two = await waiting(partition.tail(), 2), await waiting(partition.tail(), 2)
    partition.grow(2)

    assert (await one, await two) == ([0, 1], [0, 1])
    assert (len(partition.readers), partition.alone) == (1, [])
    await partition.trunks.close()


async def test_a_tail_that_begins_before_the_trunk_reads_alone_until_it_has_caught_up():
    partition = Partition()
    partition.grow(5)
    first = await waiting(partition.tail(5), 1)
    late = partition.tail(1)

    assert await offsets(late, 4) == [1, 2, 3, 4]
    caught_up = await waiting(late, 1)
    partition.grow()
    assert (await first, await caught_up) == ([5], [5])
    assert (len(partition.readers), partition.alone) == (1, [1, 3])
    await partition.trunks.close()


async def test_a_tail_that_is_ahead_of_the_trunk_is_given_nothing_twice():
    partition = Partition()
    behind, ahead = await waiting(partition.tail(0), 3), await waiting(partition.tail(2), 1)
    partition.grow(3)

    assert (await behind, await ahead) == ([0, 1, 2], [2])
    await partition.trunks.close()


async def test_a_slow_tail_holds_nobody_up_and_reads_alone_what_it_could_not_keep(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kafka_trunk, "_AHEAD", 2)
    partition = Partition()
    quick, slow = partition.tail(), partition.tail()
    reading = await waiting(quick, 6), await waiting(slow, 1)
    partition.grow()
    assert await reading[1] == [0]
    for _ in range(5):
        partition.grow()

    assert await reading[0] == [0, 1, 2, 3, 4, 5]
    assert await offsets(slow, 5) == [1, 2, 3, 4, 5]
    assert set(partition.alone) == {3, 5}
    await partition.trunks.close()


async def test_what_ends_a_trunk_is_told_to_those_who_stand_there_and_others_begin_another():
    partition = Partition()
    partition.grow(3)
    lost = await waiting(partition.tail(3), 1)
    before = partition.tail(2)
    partition.readers[0].give(HistoryLost("offset 3 was asked for"))

    with pytest.raises(HistoryLost, match="offset 3"):
        await lost
    following = await waiting(before, 1)
    partition.readers[-1].give(partition.records[2:])
    assert await following == [2]
    assert ([reader.start for reader in partition.readers], partition.readers[0].closed) == ([3, 2], True)
    await partition.trunks.close()


async def test_the_last_tail_that_is_closed_ends_the_reader():
    partition = Partition()
    tails = partition.tail(), partition.tail()
    for tail in tails:
        (await waiting(tail, 1)).cancel()

    await tails[0].close()
    assert not partition.readers[0].closed
    await tails[1].close()
    await tails[1].close()
    assert partition.readers[0].closed


async def test_records_before_a_tails_place_take_none_of_its_room(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kafka_trunk, "_AHEAD_BYTES", 1_000)
    partition = Partition()
    behind = partition.tail(0)
    reading, ahead = await waiting(behind, 1), await waiting(partition.tail(5), 1)
    for offset in range(6):
        partition.grow()
        assert await reading == [offset]
        reading = await waiting(behind, 1)

    assert (await ahead, partition.alone) == ([5], [])
    reading.cancel()
    await partition.trunks.close()
