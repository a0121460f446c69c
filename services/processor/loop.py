"""The plain host: one task for each partition that the group gives us. What the embedded log needs, and enough for any log.

In come assignments and revocations; each partition's owner runs until it is taken away or the program stops.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

import structlog

from events import topics
from services.kit.errors import NotMember
from services.kit.log import Assigned, Revoked
from services.kit.world import World
from services.processor.commands import Commands, TailedCommands
from services.processor.definitions import Definitions
from services.processor.effects import effect_world
from services.processor.owner import Tools, own

GROUP = "prozess-processor"
_log = structlog.get_logger(__name__)


class Membership(Protocol):
    """What a host needs of `services.kit.log.Member`."""

    def changes(self) -> AsyncIterator[Assigned | Revoked]:
        """See `Member.changes`."""
        ...

    async def confirm(self, partition: int) -> None:
        """See `Member.confirm`."""
        ...


async def run(world: World, stop: asyncio.Event) -> None:
    """Own what the group gives until `stop` is set. Raises what ends an owner for good (an event that cannot be read)."""
    member = await world.log.join(GROUP, topics.COMMANDS)
    try:
        await serve(world, member, lambda partition: TailedCommands(world.log, partition), stop)
    finally:
        await member.leave()


async def serve(world: World, member: Membership, commands: Callable[[int], Commands], stop: asyncio.Event) -> None:
    """Own what the member is given, with commands from there, until `stop` is set."""
    async with effect_world(world) as effects:
        await _serve(world, Tools(effects, Definitions(world.database)), member, commands, stop)


async def _serve(world: World, tools: Tools, member: Membership, commands: Callable[[int], Commands], stop: asyncio.Event) -> None:
    owners: dict[int, asyncio.Task[None]] = {}
    changes = member.changes()
    stopping = asyncio.ensure_future(stop.wait())
    changing = asyncio.ensure_future(anext(changes))
    try:
        while not stop.is_set():
            await asyncio.wait({stopping, changing, *owners.values()}, return_when=asyncio.FIRST_COMPLETED)
            gone = [partition for partition, task in owners.items() if task.done()]
            await _end([owners.pop(partition) for partition in gone])
            if changing.done():
                change = changing.result()
                changing = asyncio.ensure_future(anext(changes))
                if isinstance(change, Assigned):
                    for partition in change.partitions - owners.keys():
                        owners[partition] = asyncio.create_task(
                            _own(world, tools, member, partition, commands(partition)), name=f"owner {partition}"
                        )
                else:
                    await _end([owners.pop(partition) for partition in change.partitions if partition in owners])
    finally:
        stopping.cancel()
        changing.cancel()
        await asyncio.gather(stopping, changing, return_exceptions=True)
        await _end([*owners.values()])


async def _own(world: World, tools: Tools, member: Membership, partition: int, commands: Commands) -> None:
    try:
        await own(world, tools, partition, commands, lambda: member.confirm(partition))
    finally:
        await commands.close()


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel and wait for all of them. Raises what ended one of them for good."""
    for task in tasks:
        task.cancel()
    broken: list[Exception] = []
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, NotMember):
            _log.info("partition.taken", reason=str(ended))
        elif isinstance(ended, Exception):
            _log.error("partition.broken", reason=f"{type(ended).__name__}: {ended}")
            broken.append(ended)
    if broken:
        raise broken[0]
