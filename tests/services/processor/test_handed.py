"""What a host hands over, held against the log."""

import asyncio
from collections.abc import Sequence

import pytest

from events import topics
from events.envelope import Record, StoredRecord
from services.kit.errors import Unreachable
from services.kit.world import World
from services.processor import handed
from services.processor.handed import HandedCommands


class Host:
    """A host's stream of one partition, that brings what a test says."""

    def __init__(self, world: World) -> None:
        self.begun: list[int] = []
        self.acknowledged: list[int] = []
        self.commands = HandedCommands(world.log, 0, self._begin)

    async def _begin(self, offset: int) -> None:
        self.begun.append(offset)

    def bring(self, *offsets: int) -> None:
        for offset in offsets:
            self.commands.offer(StoredRecord(offset, a_command(offset)), lambda offset=offset: self.acknowledged.append(offset))

    async def take(self, count: int, acknowledge: bool = True) -> list[int]:
        found: list[int] = []
        while len(found) < count:
            for stored, ack in await self.commands.next():
                assert stored.record == a_command(stored.offset)
                found.append(stored.offset)
                if acknowledge and ack is not None:
                    ack()
        return found


def a_command(offset: int) -> Record:
    return Record(b"run-1", str(offset).encode(), (), offset)


@pytest.fixture
async def host(world: World) -> Host:
    return Host(world)


async def write(world: World, offsets: Sequence[int]) -> None:
    await world.log.append(topics.COMMANDS, 0, [a_command(offset) for offset in offsets])


async def test_what_came_before_is_read_from_the_log(world: World, host: Host) -> None:
    await write(world, range(5))
    await host.commands.seek(2)
    assert await host.take(3) == [2, 3, 4]
    assert host.begun == [2]


async def test_what_the_host_brings_is_taken_in_order_and_acknowledged(world: World, host: Host) -> None:
    await host.commands.seek(0)
    waiting = asyncio.create_task(host.take(3))
    await write(world, range(3))
    host.bring(0, 1, 2)
    assert await waiting == [0, 1, 2]
    assert host.acknowledged == [0, 1, 2]


async def test_a_hole_in_the_host_s_stream_is_read_from_the_log(world: World, host: Host) -> None:
    await host.commands.seek(0)
    await write(world, range(6))
    host.bring(0, 3, 5)
    assert await host.take(6) == [0, 1, 2, 3, 4, 5]
    assert sorted(host.acknowledged) == [0, 3, 5]


async def test_what_comes_twice_or_too_late_is_dropped_and_acknowledged(world: World, host: Host) -> None:
    await write(world, range(4))
    await host.commands.seek(0)
    assert await host.take(4) == [0, 1, 2, 3]
    host.bring(1, 2)
    await write(world, [4])
    host.bring(4)
    assert await host.take(1) == [4]
    assert host.acknowledged == [1, 2, 4]


async def test_after_a_new_fold_it_goes_back_and_acknowledges_each_once(world: World, host: Host) -> None:
    await write(world, range(3))
    await host.commands.seek(0)
    host.bring(0, 1, 2)
    assert await host.take(3, acknowledge=False) == [0, 1, 2]
    await host.commands.seek(1)
    assert host.acknowledged == [0]
    assert await host.take(2) == [1, 2]
    assert host.acknowledged == [0, 1, 2]
    assert host.begun == [0]


async def test_more_than_may_wait_is_read_from_the_log_later(world: World, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed, "WAITING_LIMIT", 3)
    await host.commands.seek(0)
    await write(world, range(10))
    host.bring(*range(10))
    assert await host.take(10) == list(range(10))
    assert sorted(host.acknowledged) == list(range(10))


async def test_after_a_silence_the_log_is_asked(world: World, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed, "SILENCE_S", 0.02)
    await host.commands.seek(0)
    waiting = asyncio.create_task(host.take(2))
    await write(world, range(2))
    assert await waiting == [0, 1]


async def test_while_the_host_s_stream_rests_the_log_is_asked_often(world: World, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed, "SILENCE_S", 1000.0)
    monkeypatch.setattr(handed, "ALONE_S", 0.01)
    await host.commands.seek(0)
    await write(world, [0])
    host.bring(0)
    assert await host.take(1) == [0]
    waiting = asyncio.create_task(host.take(3))
    host.commands.rest()
    await write(world, [1, 2])
    host.bring(1)
    await write(world, [3])
    assert await waiting == [1, 2, 3]


async def test_a_log_that_does_not_answer_is_asked_again(world: World, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed, "ALONE_S", 0.001)
    await write(world, range(2))
    read, refusals = world.log.read, [1, 2, 3]

    async def unwilling(topic: str, partition: int, start: int, limit: int = 1000) -> Sequence[StoredRecord]:
        if refusals:
            refusals.pop()
            raise Unreachable("not now")
        return await read(topic, partition, start, limit)

    monkeypatch.setattr(world.log, "read", unwilling)
    await host.commands.seek(0)
    assert await host.take(2) == [0, 1]
    assert not refusals
