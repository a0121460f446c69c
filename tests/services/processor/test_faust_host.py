"""Faust hosts the owners on Apache Kafka: the same runs, whatever happens to Faust or to the broker."""

import asyncio
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from events import topics
from events.envelope import Envelope, Meta
from events.ownership import PartitionClaimed
from infra.kafka.broker import LocalBroker
from services.kit.ids import new_id
from services.kit.kafka import KafkaLog
from services.kit.world import World
from services.processor import app
from services.processor.app import FaustEnded, FaustMember
from tests.support.broker import delete_topics
from tests.support.documents import plain_flow
from tests.support.processors import append_events, define, post, start, start_run, wish
from tests.support.record import accepted, check_positions, ended, types, until
from tests.support.worlds import embedded_world

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
            await until(kafka_world, "new claim", lambda history: types(history).count("partition.claimed") >= 2 or None)
            await run_to_its_end(kafka_world, definition)
        await run_to_its_end(kafka_world, definition)
    history = await accepted(kafka_world)
    assert types(history).count("run.completed") == 3
    assert "command.repeated" not in types(history)
    check_positions(history)


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


async def test_a_crash_of_faust_ends_the_processor_with_its_reason(kafka_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    members: list[FaustMember] = []
    opened = FaustMember.open

    async def open_and_tell(self: FaustMember) -> None:
        members.append(self)
        await opened(self)

    monkeypatch.setattr(FaustMember, "open", open_and_tell)
    monkeypatch.setattr(app, "_STOP_S", 2.0)
    definition = await define(kafka_world, plain_flow())
    running = asyncio.create_task(app.run(kafka_world, asyncio.Event()))
    await run_to_its_end(kafka_world, definition)
    await members[0]._app.crash(RuntimeError("for the test"))
    with pytest.raises(FaustEnded, match="start this program again: for the test"):
        await running


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
