"""Becoming the owner of a partition: the plan of `services.processor.taking.claiming`, carried out on the log.

In comes a partition that the group gave us; out goes an ownership: the folded state, our claim, a producer of our own,
and the place in the commands where the log says that we go on. Nothing here trusts a writer's memory.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from events import topics
from events.acceptance import Acceptance, Checkpoint
from events.envelope import StoredRecord
from services.kit.blobs import unpack
from services.kit.errors import AppendFailed, HistoryLost, Unreachable
from services.kit.ids import instance, new_id
from services.kit.log import Appender
from services.kit.world import World
from services.processor.memory.ids import Ids
from services.processor.memory.local_file import LocalFile
from services.processor.memory.runs import Runs
from services.processor.memory.snapshots import Found, Misfit
from services.processor.memory.state import PartitionState
from services.processor.steps.deciding import SOURCE
from services.processor.steps.reading import naming
from services.processor.steps.watch import Reached
from services.processor.taking.claiming import Overtaken, taking_over
from services.processor.taking.plan import Ask, Bounds, Confirm, Identity, Read, Turn, Write

LONGEST_PAUSE_S = 2.0
_PAUSE_S = 0.01
_log = structlog.get_logger(__name__)
Confirmation = Callable[[], Awaitable[None]]


@dataclass
class Ownership:
    """A partition that is ours until a foreign claim counts, an append fails, or the group takes it away."""

    partition: int
    claim: str
    state: PartitionState
    appender: Appender
    events_from: int
    commands_from: int
    topic: str
    commands: str
    reached: Reached
    folded: int
    file: LocalFile

    async def close(self) -> None:
        """Give up the producer and the local file."""
        self.file.close()
        await self.appender.close()


async def take_over(world: World, partition: int, confirm: Confirmation) -> Ownership:
    """Own the partition; while the log does not answer, try again with growing pauses.

    Raises `NotMember` when the group gave it to somebody else, `Poisoned` at what cannot be read, and where the log's beginning is gone.
    """
    part = f"partition {partition}"

    def say(attempt: RetryCallState) -> None:
        wrong = attempt.outcome.exception() if attempt.outcome else None
        reason = f"{type(wrong).__name__}: {wrong}"
        _log.warning("partition.not_taken", partition=partition, reason=reason)
        if not isinstance(wrong, Overtaken):
            world.obstacles.tell(part, reason)

    again = AsyncRetrying(
        retry=retry_if_exception_type((AppendFailed, HistoryLost, Unreachable, Overtaken)),
        wait=wait_random_exponential(multiplier=_PAUSE_S, max=LONGEST_PAUSE_S),
        before_sleep=say,
    )
    began = asyncio.get_running_loop().time()
    try:
        ownership: Ownership = await again(_take_over, world, partition, confirm)
    finally:
        world.obstacles.forget(part)
    seconds = asyncio.get_running_loop().time() - began
    world.metrics.takeovers.inc()
    world.metrics.takeover_events.labels(str(partition)).set(ownership.folded)
    world.metrics.takeover_seconds.observe(seconds)
    world.metrics.runs_resting.labels(str(partition)).set(len(ownership.state.runs.rows))
    _log.info(
        "partition.claimed",
        partition=partition,
        claim=ownership.claim,
        events=ownership.events_from,
        commands=ownership.commands_from,
        runs=ownership.state.runs.open,
        folded=ownership.folded,
        snapshot=ownership.events_from - ownership.folded or None,
        seconds=round(seconds, 3),
    )
    return ownership


async def _take_over(world: World, partition: int, confirm: Confirmation) -> Ownership:
    try:
        return await _carried_out(world, partition, confirm)
    except Misfit as misfit:
        _log.warning("snapshot.not_used", partition=partition, reason=str(misfit), instead="the events are folded from the beginning")
        return await _carried_out(world, partition, confirm, anew=True)


async def _carried_out(world: World, partition: int, confirm: Confirmation, *, anew: bool = False) -> Ownership:
    topic, claim = await world.log.identity(topics.EVENTS), new_id()
    fold = Acceptance(Checkpoint(topic, partition))
    file = LocalFile(world.settings.data / "cache", partition, claim)
    state = PartitionState(Runs(rows=file.rows), Ids(file.ids))
    plan = taking_over(fold, state, partition, claim, world.clock.now, f"{SOURCE} {instance()}", found=Found(file.rows, only_keys=anew))
    appender: Appender | None = None
    answer: Any = None
    folded = 0
    try:
        while True:
            try:
                ask = plan.send(answer)
            except StopIteration as taken:
                assert appender is not None, "nothing is taken without a claim"
                reached = Reached(state.book.claimed, claim, fold.cause)
                return Ownership(partition, claim, state, appender, fold.offset, taken.value, topic, fold.commands, reached, folded, file)
            match ask:
                case Confirm():
                    answer = await confirm()
                case Write(record):
                    appender = await world.log.appender(topics.EVENTS, partition)
                    answer = await appender.append([record])
                case _:
                    answer = await _answer(world, partition, ask)
                    if isinstance(ask, Read) and ask.topic == topics.EVENTS and ask.limit > 1:
                        folded += len(answer)
    except BaseException:
        file.close()
        if appender is not None:
            await appender.close()
        raise


async def _answer(world: World, partition: int, ask: Ask) -> Any:
    match ask:
        case Turn():
            return await asyncio.sleep(0)
        case Identity(topic):
            return await world.log.identity(topic)
        case Bounds(topic):
            return await world.log.bounds(topic, partition)
        case Read(topic, start, limit):
            stored = await world.log.read(topic, partition, start, limit)
            return stored if topic == topics.COMMANDS else [await _whole(world, topic, partition, one) for one in stored]
        case _:
            raise AssertionError(f"{ask} is no question to the log")


async def _whole(world: World, topic: str, partition: int, stored: StoredRecord) -> StoredRecord:
    with naming(topic, partition, stored.offset):
        return await unpack(stored, world.blobs)
