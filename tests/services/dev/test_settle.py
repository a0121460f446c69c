"""The demo is made once, follows the environment's model, and leaves alone what somebody changed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from events.commands import DeleteFlow, PublishFlow, ReviseFlow
from events.envelope import Command
from events.flow import Document
from events.topics import COMMANDS, flow_stream
from projections import flows
from services.core.language.definition import digest
from services.dev import demo
from services.dev.asking import ask
from services.kit.assemble import open_world
from services.kit.database import Database
from services.kit.errors import NotReady, Refused
from services.kit.ids import new_id
from services.kit.program.frame import Parts, together
from services.kit.settings import Settings, load
from services.kit.world import World
from services.processor import app as processor
from services.projector import app as projector


def settings(folder: Path, **more: str) -> Settings:
    return load(data=folder, partitions=2, durability="single", openai_api_key="", openai_base_url="", **more)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world in which a processor and a projector run."""
    given = settings(tmp_path)
    database = Database(given)
    await database.migrate()
    await database.dispose()
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(open_world(given))
        stop = asyncio.Event()
        parts: Parts = {"processor": lambda stop: processor.run(world, stop), "projector": lambda stop: projector.run(world, stop)}
        running = asyncio.create_task(together(parts, stop))
        yield world
        stop.set()
        await running


def with_account(world: World, model: str) -> World:
    return replace(world, settings=world.settings.model_copy(update={"openai_api_key": "k", "openai_model": model}))


async def wished(world: World) -> int:
    """How many commands there are in the log."""
    return sum([(await world.log.bounds(COMMANDS, partition))[1] for partition in range(2)])


async def served(world: World) -> Document | None:
    async with world.database.connect() as connection:
        release = await flows.resolve_start(connection, demo.FLOW, "", demo.APP, "open")
        return await flows.definition(connection, release.definition) if isinstance(release, flows.Release) else None


async def say(world: World, command: Command) -> None:
    await ask(world, flow_stream(demo.FLOW), command, demo.APP, new_id())


async def test_a_new_folder_gets_the_demo_by_four_commands_and_never_again(world: World):
    assert await demo.settle(world) == ""
    assert await served(world) == demo.document("offline-demo")
    assert await wished(world) == 4

    assert await demo.settle(world) == ""
    assert await wished(world) == 4


async def test_the_model_follows_the_environment_there_and_back(world: World):
    await demo.settle(world)

    assert await demo.settle(with_account(world, "big")) == ""
    assert await served(world) == demo.document("big")
    assert await demo.settle(world) == ""
    assert await served(world) == demo.document("offline-demo")


async def test_a_flow_that_somebody_changed_stays_as_it_is(world: World):
    await demo.settle(world)
    changed = {**demo.document("offline-demo"), "name": "Mine"}
    await say(world, ReviseFlow(flow=demo.FLOW, definition=digest(changed), document=changed))
    await say(world, PublishFlow(flow=demo.FLOW, operation=1, platform=1))

    assert await demo.settle(with_account(world, "big")) == ""
    assert await served(world) == changed


async def test_a_flow_that_somebody_removed_stays_removed(world: World):
    await demo.settle(world)
    await say(world, DeleteFlow(flow=demo.FLOW, app=demo.APP))

    assert await demo.settle(world) == "it was taken off or removed"
    assert await served(world) is None


async def test_a_command_that_its_stream_refuses_is_a_sentence(world: World):
    with pytest.raises(Refused, match=r"^flow.publish was refused: "):
        await ask(world, flow_stream("7381975040002073699"), PublishFlow(flow="7381975040002073699", operation=1, platform=1), "demo", "x")


async def test_without_an_answer_in_time_it_says_so(tmp_path: Path):
    given = settings(tmp_path)
    database = Database(given)
    await database.migrate()
    await database.dispose()
    async with open_world(given) as silent:
        with pytest.raises(NotReady, match=r"flow.delete was not answered within 1 seconds"):
            await ask(silent, flow_stream(demo.FLOW), DeleteFlow(flow=demo.FLOW, app="demo"), "demo", "x", patience_s=1)
