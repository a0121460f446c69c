"""The plain host: one task for each partition that the group gives us. What the embedded log needs, and enough for any log.

In come assignments and revocations; each partition's owner runs until it is given to another member or the program stops.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog

from events import topics
from services.kit.errors import NotMember
from services.kit.log import Assigned, Revoked
from services.kit.world import World
from services.processor.commands import Commands, TailedCommands
from services.processor.definitions.pinned import Definitions
from services.processor.effects import effect_world
from services.processor.owner import Tools, own

GROUP = "prozess-processor"
REBALANCE_S = 30.0
"""So long a rebalance may take before what is owned is given up."""
AGAIN_S = 1.0
"""The pause before a partition is taken again that the group says is ours, and whose owner was told otherwise."""
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
    definitions = Definitions(world.database)
    world.metrics.caches.watch("definitions", definitions.tally)
    async with effect_world(world) as effects:
        await _serve(world, Tools(effects, definitions), member, commands, stop)


async def _serve(world: World, tools: Tools, member: Membership, commands: Callable[[int], Commands], stop: asyncio.Event) -> None:
    share = _Share(lambda partition, pause: _own(world, tools, member, partition, commands, pause))
    changes = member.changes()
    stopping = asyncio.ensure_future(stop.wait())
    changing = asyncio.ensure_future(anext(changes))
    try:
        while not stop.is_set():
            await asyncio.wait({stopping, changing, *share.tasks}, timeout=share.patience(), return_when=asyncio.FIRST_COMPLETED)
            if changing.done():
                share.hear(changing.result())
                changing = asyncio.ensure_future(anext(changes))
            await _end(share.settle())
    finally:
        stopping.cancel()
        changing.cancel()
        await asyncio.gather(stopping, changing, return_exceptions=True)
        await _end(share.tasks)


class _Share:
    """The partitions of this processor and their owners.

    A rebalance takes everything and gives most of it back: until it is over, or has taken too long, the owners go on as they
    were (law 3 allows it: what they write counts only while their claim is the newest), so that no answer stands still.
    """

    def __init__(self, start: Callable[[int, float], Coroutine[Any, Any, None]]) -> None:
        self._start = start
        self._owners: dict[int, asyncio.Task[None]] = {}
        self._held = frozenset[int]()
        self._doubt: float | None = None
        self._clock = asyncio.get_running_loop().time

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The owners."""
        return list(self._owners.values())

    def patience(self) -> float | None:
        """How long to wait for news, None for ever."""
        return None if self._doubt is None else max(0.0, self._doubt - self._clock())

    def hear(self, change: Assigned | Revoked) -> None:
        """The group's word."""
        if isinstance(change, Assigned):
            self._held, self._doubt = change.partitions, None
        elif self._doubt is None:
            self._doubt = self._clock() + REBALANCE_S

    def settle(self) -> list[asyncio.Task[None]]:
        """Begin what is to be owned; the tasks that have ended, or are to end. Who ended unasked begins again, not at once."""
        if self._doubt is not None and self._clock() >= self._doubt:
            self._held, self._doubt = frozenset[int](), None
        gone = {partition: self._owners.pop(partition) for partition, task in list(self._owners.items()) if task.done()}
        if self._doubt is None:
            gone |= {partition: self._owners.pop(partition) for partition in self._owners.keys() - self._held}
            for partition in sorted(self._held - self._owners.keys()):
                work = self._start(partition, AGAIN_S if partition in gone else 0)
                self._owners[partition] = asyncio.create_task(work, name=f"owner {partition}")
        return list(gone.values())


async def _own(world: World, tools: Tools, member: Membership, partition: int, commands: Callable[[int], Commands], pause: float) -> None:
    if pause:
        await asyncio.sleep(pause)
    coming = commands(partition)
    try:
        await own(world, tools, partition, coming, lambda: member.confirm(partition))
    finally:
        await coming.close()


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
