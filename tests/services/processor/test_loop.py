"""The host of owners: assignments, a stop that was asked for, and ends that nobody asked for."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from events import topics
from events.delta import NodeDelta
from events.envelope import encode
from events.run import RunStarted
from services.kit.errors import NotMember
from services.kit.log import Assigned, Revoked
from services.kit.world import World
from services.processor import loop
from services.processor.commands import TailedCommands
from services.processor.steps.reading import Poisoned
from tests.support.documents import model_flow
from tests.support.processors import Gate, Script, define, post, start, start_run, wish
from tests.support.record import accepted, ended, happened, shown_text, soon, types, until
from tests.support.samples import envelope, minimal
from tests.support.worlds import HandClock, embedded_world

Play = Callable[[Script], Script]


@pytest.fixture
async def wide(tmp_path: Path) -> AsyncGenerator[World]:
    async with embedded_world(tmp_path, clock=HandClock(), partitions=4) as made:
        yield made


async def test_it_stops_while_runs_are_going_on_and_the_next_one_ends_them(world: World, play: Play) -> None:
    gate = Gate(open_=3)
    script = play(Script("one ", "two ", "three", pace=gate))
    definition = await define(world, model_flow())
    stop = asyncio.Event()
    running = asyncio.ensure_future(loop.run(world, stop))
    runs = [await start(world, definition) for _ in range(3)]
    await until(world, "three words", lambda history: types(history).count("node.delta") == 3 or None)
    stop.set()
    await soon("the stop", running, seconds=5)
    assert script.gone.is_set()
    gate.let(100)
    stop = asyncio.Event()
    running = asyncio.ensure_future(loop.run(world, stop))
    for run in runs:
        assert shown_text(await until(world, "end of a run", ended(run))) == "[one two three]"
    stop.set()
    await soon("the second stop", running)


async def test_two_processors_share_the_partitions_and_take_over_from_each_other(wide: World) -> None:
    stops = [asyncio.Event(), asyncio.Event()]
    first = asyncio.ensure_future(loop.run(wide, stops[0]))
    for partition in range(4):
        await until(wide, "claim", lambda history: history, partition)
    second = asyncio.ensure_future(loop.run(wide, stops[1]))
    for partition in (1, 3):
        await until(wide, "claim of the second", lambda history: len(history) == 2 or None, partition)
    stops[0].set()
    await soon("the first stop", first)
    for partition in (0, 2):
        await until(wide, "claim of the one that is left", lambda history: len(history) == 2 or None, partition)
    assert [len(await accepted(wide, partition)) for partition in range(4)] == [2, 2, 2, 2], "what was kept was claimed anew"
    stops[1].set()
    await soon("the second stop", second)


async def test_an_answer_goes_on_as_it_was_through_a_rebalance_that_leaves_its_partition_here(wide: World, play: Play) -> None:
    gate = Gate(open_=1)
    script = play(Script("one ", "two", pace=gate))
    definition = await define(wide, model_flow())
    stops = [asyncio.Event(), asyncio.Event()]
    first = asyncio.ensure_future(loop.run(wide, stops[0]))
    run = await start(wide, definition)
    await until(wide, "first word", happened(NodeDelta, run))
    second = asyncio.ensure_future(loop.run(wide, stops[1]))
    await until(wide, "claim of the second", lambda history: len(history) == 2 or None, 1)
    gate.let(100)
    assert shown_text(await until(wide, "end of the run", ended(run))) == "[one two]"
    assert len(script.calls) == 1
    for stop, running in zip(stops, (first, second), strict=True):
        stop.set()
        await soon("the stop", running)


class Fickle:
    """A group whose words a test says."""

    def __init__(self) -> None:
        self.words = asyncio.Queue[Assigned | Revoked]()
        self.refusals = 0

    async def changes(self) -> AsyncIterator[Assigned | Revoked]:
        while True:
            yield await self.words.get()

    async def confirm(self, partition: int) -> None:
        if self.refusals:
            self.refusals -= 1
            raise NotMember(f"partition {partition} is not ours yet")


@contextlib.asynccontextmanager
async def hosted(world: World, group: Fickle) -> AsyncGenerator[None]:
    stop = asyncio.Event()
    running = asyncio.ensure_future(loop.serve(world, group, lambda partition: TailedCommands(world.log, partition), stop))
    try:
        yield
        assert not running.done()
    finally:
        stop.set()
        await soon("the stop", running)


async def test_a_rebalance_that_does_not_end_is_not_waited_for(wide: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REBALANCE_S", 0.0)
    group = Fickle()
    async with hosted(wide, group):
        group.words.put_nowait(Assigned(frozenset({0})))
        await until(wide, "claim", lambda history: history)
        group.words.put_nowait(Revoked(frozenset({0})))
        group.words.put_nowait(Assigned(frozenset({0})))
        await until(wide, "claim after it was given up", lambda history: len(history) == 2 or None)


async def test_a_partition_that_the_group_gave_and_then_denied_is_taken_again(wide: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "AGAIN_S", 0.001)
    group = Fickle()
    group.refusals = 3
    async with hosted(wide, group):
        group.words.put_nowait(Assigned(frozenset({2})))
        await until(wide, "claim", lambda history: history, 2)
    assert group.refusals == 0


async def test_a_record_that_cannot_be_read_stops_the_program(world: World, play: Play) -> None:
    """The other partitions are given up in good order."""
    script = play(Script("never said", pace=Gate()))
    definition = await define(world, model_flow())
    running = asyncio.ensure_future(loop.run(world, asyncio.Event()))
    await start(world, definition)
    await soon("the call of the model", asyncio.ensure_future(script.begun.wait()))
    command = start_run(world, definition)
    record = encode(wish(world, command, command.run))
    offset = await world.log.append(topics.COMMANDS, 0, [replace(record, value=b"no JSON")])
    with pytest.raises(Poisoned, match=f"offset {offset}"):
        await soon("the end", running)
    assert script.gone.is_set()


async def test_an_accepted_event_of_a_newer_version_stops_the_program_at_its_start(world: World) -> None:
    stop = asyncio.Event()
    running = asyncio.ensure_future(loop.run(world, stop))
    claim = await until(world, "claim", lambda history: history[0])
    stop.set()
    await soon("the stop", running)
    newer = encode(envelope(minimal(RunStarted), claim=claim.meta.claim))
    offset = await world.log.append(topics.EVENTS, 0, [replace(newer, headers=(*newer.headers, ("ce_dataversion", b"99")))])
    with pytest.raises(Poisoned, match=f"prozess.events, partition 0, offset {offset}: run.started version 99"):
        await soon("the end", asyncio.ensure_future(loop.run(world, asyncio.Event())))


async def test_a_redelivered_command_is_repeated_by_the_next_owner(world: World) -> None:
    definition = await define(world, {"data": {"nodes": [], "edges": []}})
    command = start_run(world, definition)
    posted = wish(world, command, command.run)
    for count in (1, 2):
        stop = asyncio.Event()
        running = asyncio.ensure_future(loop.run(world, stop))
        await post(world, posted)
        await until(
            world, "answers", lambda history, count=count: sum(one.meta.command == posted.meta.id for one in history) == count or None
        )
        stop.set()
        await soon("the stop", running)
    answers = [one.meta.type for one in await accepted(world) if one.meta.command]
    assert answers == ["command.refused", "command.repeated"]
