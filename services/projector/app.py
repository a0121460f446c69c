"""The projector: it remembers. Every accepted event of its partitions becomes rows that can be asked.

It joins the group of projectors and follows each partition it is given with one task. What it cannot handle stops the
whole program with a sentence. A partition that is taken away is let go after its transaction; should the next projector
be faster, that transaction is fenced.
"""

import asyncio
import contextlib

from events.topics import EVENTS
from services.kit.errors import HistoryLost, NotMember, Unreachable
from services.kit.log import Assigned, Member
from services.kit.telling.logs import logger, place_of
from services.kit.world import World
from services.projector.partition import Partition

GROUP = "prozess-projector"
LOOK_MS = 2_000


async def run(world: World, stop: asyncio.Event) -> None:
    """Project until `stop`. Raises `Refused`, `Poisoned` and `WrongHistory`."""
    await world.database.check_schema()
    member = await world.log.join(GROUP, EVENTS)
    share = Share(world)
    tasks = [
        asyncio.create_task(_follow_membership(member, share), name="projector membership"),
        asyncio.create_task(_measure(world, member, share), name="projector lag"),
        asyncio.create_task(_stopped(stop), name="projector stop"),
    ]
    try:
        await asyncio.wait({*tasks, share.broken}, return_when=asyncio.FIRST_COMPLETED)
        if share.broken.done():
            share.broken.result()
        for task in tasks:
            if task.done():
                task.result()
    finally:
        await share.let_go(share.held)
        await _cancelled(tasks)
        await member.leave()


class Share:
    """The partitions of this projector. `broken` gets the error of the first that fails."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._held: dict[int, tuple[Partition, asyncio.Task[None]]] = {}
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def held(self) -> frozenset[int]:
        """Their numbers."""
        return frozenset(self._held)

    def offset(self, partition: int) -> int | None:
        """How far the rows of a partition are, as far as that is known here."""
        return self._held[partition][0].offset if partition in self._held else None

    def take(self, partitions: frozenset[int]) -> None:
        """Begin with those that are new."""
        for number in sorted(partitions - self.held):
            partition = Partition(self._world, number)
            task = asyncio.create_task(partition.follow(), name=f"projector {number}")
            task.add_done_callback(self._ended)
            self._held[number] = (partition, task)

    async def let_go(self, partitions: frozenset[int]) -> None:
        """End those that are taken away, each after its transaction."""
        going = [self._held.pop(number) for number in sorted(partitions & self.held)]
        await asyncio.gather(*(partition.finish() for partition, _ in going))
        await _cancelled([task for _, task in going])
        for number in partitions:
            for gauge in (self._world.metrics.projector_lag_events, self._world.metrics.projector_lag_seconds):
                with contextlib.suppress(KeyError):
                    gauge.remove(str(number))

    def _ended(self, task: asyncio.Task[None]) -> None:
        """One that was let go may end as it likes, a driver that is cancelled in its transaction raises all kinds of things."""
        if task.cancelled() or self.broken.done() or (wrong := task.exception()) is None:
            return
        if any(task is held for _, held in self._held.values()):
            self.broken.set_exception(wrong)
        else:
            logger(__name__).warning("let_go", task=task.get_name(), error=type(wrong).__name__, place=place_of(wrong))


async def _follow_membership(member: Member, share: Share) -> None:
    async for change in member.changes():
        if isinstance(change, Assigned):
            share.take(change.partitions)
        else:
            await share.let_go(change.partitions)


async def _measure(world: World, member: Member, share: Share) -> None:
    while True:
        for partition in sorted(share.held):
            with contextlib.suppress(Unreachable, HistoryLost, NotMember):
                await _look(world, member, share, partition)
        await asyncio.sleep(0)  # also where a test's clock never waits
        await world.clock.sleep_until(world.clock.now() + LOOK_MS)


async def _look(world: World, member: Member, share: Share, partition: int) -> None:
    """How far are the rows behind? The group's mark is left as well, for those who look at the group."""
    _, end = await world.log.bounds(EVENTS, partition)
    offset = share.offset(partition)
    if offset is None:
        return
    waiting = max(0, end - offset)
    oldest = await world.log.read(EVENTS, partition, offset, 1) if waiting else ()
    seconds = (world.clock.now() - oldest[0].record.time) / 1000 if oldest else 0.0
    if partition in share.held:
        world.metrics.projector_lag_events.labels(str(partition)).set(waiting)
        world.metrics.projector_lag_seconds.labels(str(partition)).set(max(0.0, seconds))
    await member.commit(partition, offset)


async def _stopped(stop: asyncio.Event) -> None:
    await stop.wait()


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
