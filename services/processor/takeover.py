"""Becoming the owner of a partition (law 3): fold to the end, have the group confirm, claim, read the claim back.

In comes a partition that the group gave us; out goes an ownership: the folded state, our claim, a producer of our own,
and the place in the commands where the log says that we go on. Nothing here trusts a writer's memory.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from events import topics
from events.acceptance import Acceptance, Cause, Checkpoint
from events.envelope import Envelope, Meta, StoredRecord, encode, meta_of
from events.ownership import PartitionClaimed
from services.kit.blobs import unpack
from services.kit.errors import AppendFailed, HistoryLost, Unreachable
from services.kit.ids import new_id
from services.kit.log import Appender
from services.kit.world import World
from services.processor.reading import Poisoned, naming
from services.processor.state import PartitionState

SOURCE = "prozess/processor"
LONGEST_PAUSE_S = 2.0
_PAUSE_S = 0.01
_READ = 1_000
_log = structlog.get_logger(__name__)
Confirm = Callable[[], Awaitable[None]]


@dataclass
class Ownership:
    """A partition that is ours until a foreign claim counts, an append fails, or the group takes it away."""

    partition: int
    claim: str
    state: PartitionState
    appender: Appender
    events_from: int
    commands_from: int


class _Overtaken(Exception):
    """Another claim came first."""


async def take_over(world: World, partition: int, confirm: Confirm) -> Ownership:
    """Own the partition; while the log does not answer, try again with growing pauses.

    Raises `NotMember` when the group gave it to somebody else, `Poisoned` at what cannot be read, and where the log's beginning is gone.
    """
    again = AsyncRetrying(
        retry=retry_if_exception_type((AppendFailed, HistoryLost, Unreachable, _Overtaken)),
        wait=wait_random_exponential(multiplier=_PAUSE_S, max=LONGEST_PAUSE_S),
        before_sleep=lambda attempt: _log.warning("partition.not_taken", partition=partition, reason=_reason(attempt)),
    )
    ownership: Ownership = await again(_take_over, world, partition, confirm)
    world.metrics.takeovers.inc()
    _log.info(
        "partition.claimed",
        partition=partition,
        claim=ownership.claim,
        events=ownership.events_from,
        commands=ownership.commands_from,
        runs=len(ownership.state.runs),
    )
    return ownership


async def _take_over(world: World, partition: int, confirm: Confirm) -> Ownership:
    log = world.log
    identity = await log.identity(topics.EVENTS)
    commands = await log.identity(topics.COMMANDS)
    begin, _ = await log.bounds(topics.EVENTS, partition)
    if begin:
        raise Poisoned(f"the processor stops: {topics.EVENTS}, partition {partition} begins at offset {begin}, what was before is lost")
    acceptance = Acceptance(Checkpoint(identity, partition))
    state = PartitionState()
    await _fold(world, partition, acceptance, state)
    await confirm()
    appender = await log.appender(topics.EVENTS, partition)
    claim = new_id()
    try:
        await appender.append([encode(_claim(world, partition, claim, acceptance.claim, commands))])
        await _fold(world, partition, acceptance, state)
        _check(acceptance, claim)
        resume = await _resume(world, partition, commands, acceptance.cause)
    except BaseException:
        await appender.close()
        raise
    state.forget(world.clock.now())
    return Ownership(partition, claim, state, appender, acceptance.offset, resume)


def _check(acceptance: Acceptance, claim: str) -> None:
    if acceptance.claim != claim:
        raise _Overtaken(f"claim {acceptance.claim} counts, ours does not")


def _reason(attempt: RetryCallState) -> str:
    wrong = attempt.outcome.exception() if attempt.outcome else None
    return f"{type(wrong).__name__}: {wrong}"


def _claim(world: World, partition: int, claim: str, after: str, commands: str) -> Envelope:
    meta = Meta(
        id=claim,
        type=PartitionClaimed.type,
        version=PartitionClaimed.version,
        stream=topics.partition_stream(partition),
        time=world.clock.now(),
        source=SOURCE,
        claim=claim,
    )
    return Envelope(meta, PartitionClaimed(id=claim, after=after, owner=SOURCE, commands=commands))


async def _fold(world: World, partition: int, acceptance: Acceptance, state: PartitionState) -> None:
    while stored := await world.log.read(topics.EVENTS, partition, acceptance.offset, _READ):
        for one in stored:
            with naming(topics.EVENTS, partition, one.offset):
                accepted = acceptance.step(await unpack(one, world.blobs))
            if accepted is not None:
                state.apply(accepted.meta, accepted.envelope.data)


async def _resume(world: World, partition: int, commands: str, cause: Cause | None) -> int:
    """After the newest accepted cause if it still stands there, else after the first record with that command's id, else the beginning."""
    begin, end = await world.log.bounds(topics.COMMANDS, partition)
    if cause is None:
        return begin
    if cause.topic == commands and cause.offset < begin:
        if cause.offset + 1 < begin:
            _log.error("commands.lost", partition=partition, first=cause.offset + 1, last=begin - 1)
        return begin
    if cause.topic == commands and cause.offset < end:
        there = await world.log.read(topics.COMMANDS, partition, cause.offset, 1)
        if there and there[0].offset == cause.offset and _id(partition, there[0]) == cause.command:
            return cause.offset + 1
    at = begin
    while stored := await world.log.read(topics.COMMANDS, partition, at, _READ):
        for one in stored:
            if _id(partition, one) == cause.command:
                return one.offset + 1
        at = stored[-1].offset + 1
    return begin


def _id(partition: int, stored: StoredRecord) -> str:
    with naming(topics.COMMANDS, partition, stored.offset):
        return meta_of(stored.record).id
