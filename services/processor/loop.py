"""The plain host: one task for each partition that the group gives us. What the embedded log needs, and enough for any log.

In come assignments and revocations; each partition's owner runs until it is taken away or the program stops.
"""

import asyncio
from contextlib import suppress

import structlog

from events import topics
from services.kit.errors import NotMember
from services.kit.log import Assigned, Member
from services.kit.world import World
from services.processor.definitions import Definitions
from services.processor.effects import effect_world
from services.processor.owner import TailedCommands, Tools, own

GROUP = "prozess-processor"
_log = structlog.get_logger(__name__)


async def run(world: World, stop: asyncio.Event) -> None:
    """Own what the group gives until `stop` is set. Raises what ends an owner for good (an event that cannot be read)."""
    member = await world.log.join(GROUP, topics.COMMANDS)
    try:
        async with effect_world(world) as effects:
            tools = Tools(effects, Definitions(world.database))
            await _serve(world, tools, member, stop)
    finally:
        await member.leave()


async def _serve(world: World, tools: Tools, member: Member, stop: asyncio.Event) -> None:
    owners: dict[int, asyncio.Task[None]] = {}
    stopping = asyncio.create_task(stop.wait())
    changes = member.changes()
    changing = asyncio.ensure_future(anext(changes))
    try:
        while True:
            done, _ = await asyncio.wait({stopping, changing, *owners.values()}, return_when=asyncio.FIRST_COMPLETED)
            if stopping in done:
                return
            for task in owners.values():
                if task.done():
                    _raise_unless_taken(task)
            owners = {partition: task for partition, task in owners.items() if not task.done()}
            if changing in done:
                change = changing.result()
                changing = asyncio.ensure_future(anext(changes))
                if isinstance(change, Assigned):
                    for partition in change.partitions - owners.keys():
                        owners[partition] = asyncio.create_task(_own(world, tools, member, partition), name=f"owner {partition}")
                else:
                    await _end([owners.pop(partition) for partition in change.partitions if partition in owners])
    finally:
        stopping.cancel()
        changing.cancel()
        await _end([*owners.values()])


async def _own(world: World, tools: Tools, member: Member, partition: int) -> None:
    commands = TailedCommands(world, partition)
    try:
        await own(world, tools, partition, commands, lambda: member.confirm(partition))
    finally:
        await commands.close()


def _raise_unless_taken(task: asyncio.Task[None]) -> None:
    try:
        task.result()
    except NotMember as taken:
        _log.info("partition.taken", owner=task.get_name(), reason=str(taken))


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, NotMember):
            await task
