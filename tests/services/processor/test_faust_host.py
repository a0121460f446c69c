"""Faust hosts the owners on Apache Kafka: the same runs, whatever happens to Faust or to the broker."""

import asyncio
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from events import topics
from events.delta import NodeDelta
from events.envelope import Envelope, Meta
from events.ownership import PartitionClaimed
from infra.kafka.broker import LocalBroker
from services.kit.ids import new_id
from services.kit.kafka.log import KafkaLog
from services.kit.world import World
from services.processor import app
from services.processor.app import FaustEnded, FaustMember
from tests.support.broker import delete_topics, mark_of
from tests.support.documents import model_flow, plain_flow
from tests.support.processors import Gate, Script, append_events, define, post, start, start_run, wish
from tests.support.record import accepted, check_positions, ended, happened, shown_text, types, until
from tests.support.worlds import embedded_world

Play = Callable[[Script], Script]
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


@asynccontextmanager
async def world_on(address: str, folder: Path) -> AsyncGenerator[World]:
    async with embedded_world(folder, partitions=2) as embedded:
        prefix = f"test-{new_id()[:12]}."
        settings = embedded.settings.model_copy(update={"kafka": address, "topic_prefix": prefix})
        log = KafkaLog(settings)
        await log.start()
        try:
            yield replace(embedded, settings=settings, log=log)
        finally:
            await log.stop()


@pytest.fixture
async def kafka_world(kafka: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_on(kafka, tmp_path) as world:
        yield world
    await delete_topics(kafka, world.settings.topic_prefix)


@asynccontextmanager
async def processor(world: World) -> AsyncGenerator[None]:
    """The program as it runs, until the end of the block."""
    stop = asyncio.Event()
    running = asyncio.create_task(app.run(world, stop))
    try:
        yield
        assert not running.done()
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await running


async def run_to_its_end(world: World, definition: str) -> None:
    run = await start(world, definition)
    await until(world, "end of the run", ended(run), seconds=40)


async def claimed_anew(world: World) -> None:
    """Wait until one of the two partitions has a second claim; nobody knows which."""
    looks = [
        asyncio.create_task(until(world, "new claim", lambda told: types(told).count("partition.claimed") >= 2 or None, partition, 40))
        for partition in range(2)
    ]
    await asyncio.wait(looks, return_when=asyncio.FIRST_COMPLETED)
    for look in looks:
        look.cancel()
    await asyncio.gather(*looks, return_exceptions=True)


async def test_commands_are_decided_once_by_whoever_comes(kafka_world: World) -> None:
    definition = await define(kafka_world, plain_flow())
    early = await start(kafka_world, definition)
    async with processor(kafka_world):
        history = await until(kafka_world, "end of the early run", ended(early))
        assert types(history)[0] == "run.started"
        await run_to_its_end(kafka_world, definition)
    before = await accepted(kafka_world)
    async with processor(kafka_world):
        await run_to_its_end(kafka_world, definition)
    after = await accepted(kafka_world)
    assert after[: len(before)] == before
    assert types(after)[len(before)] == "partition.claimed"
    assert types(after).count("run.started") == 3
    check_positions(after)


async def test_a_command_given_twice_leaves_a_repetition(kafka_world: World) -> None:
    definition = await define(kafka_world, plain_flow())
    command = start_run(kafka_world, definition)
    twice = wish(kafka_world, command, command.run)
    async with processor(kafka_world):
        await post(kafka_world, twice, twice)
        await until(kafka_world, "repetition", lambda history: types(history)[-1] == "command.repeated" or None)
    assert types(await accepted(kafka_world)).count("run.started") == 1


async def test_a_second_processor_takes_its_share_and_gives_it_back(kafka_world: World) -> None:
    definition = await define(kafka_world, plain_flow())
    async with processor(kafka_world):
        await run_to_its_end(kafka_world, definition)
        async with processor(kafka_world):
            await claimed_anew(kafka_world)
            await run_to_its_end(kafka_world, definition)
        await run_to_its_end(kafka_world, definition)
    history = await accepted(kafka_world)
    assert types(history).count("run.completed") == 3
    assert "command.repeated" not in types(history)
    check_positions(history)


async def test_the_group_shows_how_far_the_commands_are_done(kafka_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_MARK_S", 0.05)
    definition = await define(kafka_world, plain_flow())
    async with processor(kafka_world):
        run = await start(kafka_world, definition)
        await until(kafka_world, "end of the run", ended(run), seconds=40)
        partition = topics.partition_of(topics.slot_of_id(run), 2)
        _, end = await kafka_world.log.bounds(topics.COMMANDS, partition)
        async with asyncio.timeout(20):
            while await mark_of(kafka_world.settings, "prozess-processor", topics.COMMANDS, partition) != end:  # noqa: ASYNC110 (no bell rings)
                await asyncio.sleep(0.05)


async def test_an_owner_that_was_overtaken_begins_again_where_the_log_says(kafka_world: World) -> None:
    definition = await define(kafka_world, plain_flow())
    async with processor(kafka_world):
        await run_to_its_end(kafka_world, definition)
        newest = [event for event in await accepted(kafka_world) if event.meta.type == "partition.claimed"][-1].meta.claim
        claim = PartitionClaimed(id="stranger", after=newest, owner="stranger", commands=await kafka_world.log.identity(topics.COMMANDS))
        meta = Meta(id="stranger", type=claim.type, version=1, stream=topics.partition_stream(0), time=1, source="test", claim="stranger")
        await append_events(kafka_world, [Envelope(meta, claim)])
        await run_to_its_end(kafka_world, definition)
    claims = [event.envelope.data for event in await accepted(kafka_world) if event.meta.type == "partition.claimed"]
    assert [claim.after for claim in claims if isinstance(claim, PartitionClaimed)][-1] == "stranger"


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> list[FaustMember]:
    """Those that are opened in this test."""
    found: list[FaustMember] = []
    opened = FaustMember.open

    async def open_and_tell(self: FaustMember) -> None:
        found.append(self)
        await opened(self)

    monkeypatch.setattr(FaustMember, "open", open_and_tell)
    return found


async def _crash(app: Any) -> None:
    await app.crash(RuntimeError("for the test"))


async def _crash_in_its_thread(app: Any) -> None:
    thread = app.consumer._thread
    crashing = asyncio.run_coroutine_threadsafe(thread.crash(RuntimeError("for the test")), thread.thread_loop)
    await asyncio.wrap_future(crashing)


@pytest.mark.parametrize("crash", [_crash, _crash_in_its_thread])
async def test_a_faust_that_crashed_is_replaced_and_an_answer_goes_on_as_it_was(
    kafka_world: World, members: list[FaustMember], play: Play, crash: Callable[[Any], Awaitable[None]]
) -> None:
    gate = Gate(open_=1)
    script = play(Script("one ", "two", pace=gate))
    definition = await define(kafka_world, model_flow())
    async with processor(kafka_world):
        run = await start(kafka_world, definition)
        await until(kafka_world, "first word", happened(NodeDelta, run), seconds=40)
        (member,) = members
        crashed = member._app
        await crash(crashed)
        await run_to_its_end(kafka_world, await define(kafka_world, plain_flow()))
        assert member._app is not crashed
        gate.let(100)
        assert shown_text(await until(kafka_world, "end of the run", ended(run), seconds=40)) == "[one two]"
    assert len(script.calls) == 1
    check_positions(await accepted(kafka_world))


async def test_a_faust_that_does_not_end_ends_the_processor(
    kafka_world: World, members: list[FaustMember], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_app: Any, _patience: float) -> bool:
        return False

    real = app.ended
    running = asyncio.create_task(app.run(kafka_world, asyncio.Event()))
    await run_to_its_end(kafka_world, await define(kafka_world, plain_flow()))
    faust = members[0]._app
    monkeypatch.setattr(app, "ended", never)
    await faust.crash(RuntimeError("for the test"))
    with pytest.raises(FaustEnded, match="start this program again"):
        await running
    assert await real(faust, 10.0)


async def test_a_broker_that_comes_back_finds_the_processor_waiting(own_kafka: LocalBroker, tmp_path: Path) -> None:
    async with world_on(own_kafka.address, tmp_path) as world:
        definition = await define(world, plain_flow())
        async with processor(world):
            await run_to_its_end(world, definition)
            own_kafka.stop(signal.SIGKILL)
            late = asyncio.create_task(start(world, definition))
            await asyncio.to_thread(own_kafka.start)
            run = await late
            await until(world, "end of the late run", ended(run), seconds=60)
        check_positions(await accepted(world))
