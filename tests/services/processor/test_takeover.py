"""Becoming the owner of a partition: what is folded, which claim counts, and where the commands go on."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from events import topics
from events.envelope import Record, encode
from events.ownership import PartitionClaimed
from events.run import RunStarted
from services.kit.errors import NotMember
from services.kit.telling.obstacles import Obstacles
from services.kit.world import World
from services.processor.steps.reading import Poisoned
from services.processor.taking.takeover import take_over
from tests.support.documents import plain_flow
from tests.support.faults import Faults
from tests.support.processors import Processor, append_events, define, post, start, start_run, wish
from tests.support.record import accepted, ended, types, until
from tests.support.samples import envelope, minimal
from tests.support.worlds import HandClock, embedded_world, seen_by


async def _confirmed() -> None:
    return None


async def _ran(world: World, count: int) -> list[str]:
    """So many runs, one after the other, from start to end."""
    definition = await define(world, plain_flow())
    async with Processor(world):
        runs = []
        for _ in range(count):
            run = await start(world, definition)
            await until(world, "end of a run", ended(run))
            runs.append(run)
    return runs


async def _restored(world: World, other: World, commands_from: int) -> None:
    """Another cluster with all the events and the newest commands, whose offsets are others there."""
    for topic, begin in ((topics.EVENTS, 0), (topics.COMMANDS, commands_from)):
        stored = await world.log.read(topic, 0, begin, 10_000)
        await other.log.append(topic, 0, [one.record for one in stored])


async def test_the_commands_go_on_after_the_newest_accepted_cause(world: World) -> None:
    await _ran(world, 3)
    ownership = await take_over(world, 0, _confirmed)
    assert ownership.commands_from == 3
    assert ownership.events_from == (await world.log.bounds(topics.EVENTS, 0))[1]


async def test_an_untouched_partition_begins_with_its_first_command(world: World) -> None:
    assert (await take_over(world, 0, _confirmed)).commands_from == 0


async def test_on_another_cluster_the_command_is_found_by_its_id(world: World, tmp_path: Path) -> None:
    await _ran(world, 3)
    async with embedded_world(tmp_path / "other") as other:
        await _restored(world, other, commands_from=1)
        assert (await take_over(other, 0, _confirmed)).commands_from == 2


async def test_a_command_that_is_gone_makes_everything_be_read_again_and_only_repetitions_follow(world: World, tmp_path: Path) -> None:
    runs = await _ran(world, 3)
    before = await accepted(world)
    async with embedded_world(tmp_path / "other", clock=HandClock()) as other:
        await other.log.append(topics.EVENTS, 0, [one.record for one in await world.log.read(topics.EVENTS, 0, 0, 10_000)])
        await other.log.append(topics.COMMANDS, 0, [one.record for one in await world.log.read(topics.COMMANDS, 0, 0, 2)])
        async with Processor(other):
            await until(other, "two repetitions", lambda history: types(history).count("command.repeated") == 2 or None)
        after = await accepted(other)
    assert [event.envelope for event in after[: len(before)]] == [event.envelope for event in before]
    assert types(after[len(before) :]) == ["partition.claimed", "command.repeated", "command.repeated"]
    assert len(runs) == 3


async def test_a_stranger_at_the_place_of_the_cause_is_not_taken_for_it(world: World, tmp_path: Path) -> None:
    await _ran(world, 2)
    identity = await world.log.identity(topics.COMMANDS)
    async with embedded_world(tmp_path / "other") as other:
        await _restored(world, other, commands_from=0)
        stranger = start_run(other, "0" * 64)
        await post(other, wish(other, stranger, stranger.run))

        class SameTopic:
            def __getattr__(self, name: str) -> Any:
                return getattr(other.log, name)

            async def identity(self, _topic: str) -> str:
                return identity

            async def read(self, topic: str, partition: int, begin: int, limit: int = 1000) -> Any:
                stored = await other.log.read(topic, partition, begin, limit)
                if topic == topics.COMMANDS and limit < 1_000:
                    return [*stored[:-1], stored[-1]._replace(record=(await other.log.read(topic, 0, 2, 1))[0].record)]
                return stored

        assert (await take_over(seen_by(other, SameTopic()), 0, _confirmed)).commands_from == 2


async def test_an_owner_that_the_group_does_not_confirm_claims_nothing(world: World) -> None:
    async def refused() -> None:
        raise NotMember("partition 0 is somebody else's")

    with pytest.raises(NotMember):
        await take_over(world, 0, refused)
    assert await world.log.bounds(topics.EVENTS, 0) == (0, 0)


async def test_of_two_claims_at_once_exactly_one_counts(world: World) -> None:
    both = asyncio.Barrier(2)
    firsts = [True, True]

    def confirm(place: int) -> Any:
        async def confirmed() -> None:
            if firsts[place]:
                firsts[place] = False
                await both.wait()
            else:
                raise NotMember("the other one has it")

        return confirmed

    results: Sequence[Any] = await asyncio.gather(*(take_over(world, 0, confirm(place)) for place in (0, 1)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in results) == ["NotMember", "Ownership"]
    written = await world.log.read(topics.EVENTS, 0, 0)
    assert len(written) == 2
    assert types(await accepted(world)) == ["partition.claimed"]


@pytest.mark.parametrize("fault", ["fail", "fail_but_there", "fail_and_late"])
async def test_a_claim_whose_append_failed_is_claimed_again(world: World, fault: str) -> None:
    processor = Processor(world, Faults().at("claim", fault))
    definition = await define(world, plain_flow())
    async with processor:
        run = await start(world, definition)
        await until(world, "end of the run", ended(run))
        for append in processor.faults.late:
            await append()
    newest = [event.envelope.data for event in await accepted(world) if isinstance(event.envelope.data, PartitionClaimed)]
    assert len(newest) == (2 if fault == "fail_but_there" else 1)


def _damaged(record: Record) -> Record:
    return replace(record, value=b"{")


def _unknown(record: Record) -> Record:
    return replace(record, headers=tuple((name, b"run.dreamed" if name == "ce_type" else value) for name, value in record.headers))


@pytest.mark.parametrize("spoil", [_damaged, _unknown])
async def test_an_accepted_event_that_cannot_be_read_stops_the_program_and_names_its_place(world: World, spoil: Any) -> None:
    ownership = await take_over(world, 0, _confirmed)
    run = world.minter.mint(7)
    event = encode(envelope(_started(), stream=f"run-{run}", claim=ownership.claim))
    offset = await world.log.append(topics.EVENTS, 0, [spoil(event)])
    with pytest.raises(Poisoned, match=f"partition 0, offset {offset}"):
        await take_over(world, 0, _confirmed)


def _started() -> RunStarted:
    return minimal(RunStarted)


async def test_an_unknown_event_that_nobody_accepts_stops_nobody(world: World) -> None:
    await take_over(world, 0, _confirmed)
    await world.log.append(topics.EVENTS, 0, [_unknown(encode(envelope(_started(), claim="a zombie's")))])
    await take_over(world, 0, _confirmed)


async def test_a_command_that_cannot_be_read_stops_the_program_and_names_its_place(world: World) -> None:
    processor = Processor(world).start()
    command = start_run(world, "0" * 64)
    offset = await world.log.append(topics.COMMANDS, 0, [_unknown(encode(wish(world, command, command.run)))])
    wrong = await processor.ended()
    assert isinstance(wrong, Poisoned)
    assert f"prozess.commands, partition 0, offset {offset}" in str(wrong)
    assert types(await accepted(world)) == ["partition.claimed"]


async def test_events_whose_beginning_is_gone_are_noticed(world: World) -> None:
    await append_events(world, [envelope(_started())])

    class Shorter:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.log, name)

        async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
            return (1, 1) if topic == topics.EVENTS else await world.log.bounds(topic, partition)

    with pytest.raises(Poisoned, match="begins at offset 1"):
        await take_over(seen_by(world, Shorter()), 0, _confirmed)


async def test_a_partition_whose_local_file_cannot_be_made_is_named_until_it_can(world: World) -> None:
    told = asyncio.Event()

    class Ringing(Obstacles):
        def tell(self, part: str, why: str) -> None:
            super().tell(part, why)
            told.set()

    world = replace(world, obstacles=Ringing())
    in_the_way = world.settings.data / "cache"
    in_the_way.write_text("")
    taking = asyncio.create_task(take_over(world, 0, _confirmed))
    await told.wait()
    assert world.obstacles.parts == ["partition 0"]
    assert "local file of runs that rest" in world.obstacles.why("partition 0")

    in_the_way.unlink()
    await taking
    assert world.obstacles.parts == []
