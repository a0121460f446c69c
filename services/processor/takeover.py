"""Becoming the owner of a partition (law 3): fold to the end, have the group confirm, claim, read the claim back.

In comes a partition that the group gave us; out goes an ownership: the folded state, our claim, a producer of our own,
and the place in the commands where the log says that we go on. Nothing here trusts a writer's memory.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from events import topics
from events.acceptance import Acceptance, Cause, Checkpoint
from events.envelope import Envelope, Meta, encode, meta_of
from events.ownership import PartitionClaimed
from services.kit.blobs import unpack
from services.kit.errors import AppendFailed
from services.kit.ids import new_id
from services.kit.log import Appender
from services.kit.world import World
from services.processor.state import PartitionState

SOURCE = "prozess/processor"
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


async def take_over(world: World, partition: int, confirm: Confirm) -> Ownership:
    """Own the partition. Raises `NotMember` when the group gave it to somebody else, `Unknown` and `Damaged` at an event we cannot read."""
    log = world.log
    identity = await log.identity(topics.EVENTS)
    commands = await log.identity(topics.COMMANDS)
    begin, _ = await log.bounds(topics.EVENTS, partition)
    acceptance = Acceptance(Checkpoint(identity, partition, offset=begin))
    state = PartitionState()
    while True:
        await _fold(world, partition, acceptance, state)
        await confirm()
        appender = await log.appender(topics.EVENTS, partition)
        claim = new_id()
        try:
            await appender.append([encode(_claim(world, partition, claim, acceptance.claim, commands))])
            await _fold(world, partition, acceptance, state)
        except AppendFailed:
            await appender.close()
            continue
        except BaseException:
            await appender.close()
            raise
        if acceptance.claim == claim:
            break
        await appender.close()
        _log.info("partition.claim_did_not_count", partition=partition, claim=claim, newest=acceptance.claim)
    resume = await _resume(world, partition, commands, acceptance.cause)
    world.metrics.takeovers.inc()
    _log.info("partition.claimed", partition=partition, claim=claim, events=acceptance.offset, commands=resume, runs=len(state.runs))
    return Ownership(partition, claim, state, appender, acceptance.offset, resume)


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
    while stored := await world.log.read(topics.EVENTS, partition, acceptance.offset, 5_000):
        for one in stored:
            accepted = acceptance.step(await unpack(one, world.blobs))
            if accepted is not None:
                state.apply(accepted.meta, accepted.envelope.data)


async def _resume(world: World, partition: int, commands: str, cause: Cause | None) -> int:
    """After the newest accepted cause if it still stands there, else after the first record with that command's id, else the beginning."""
    begin, end = await world.log.bounds(topics.COMMANDS, partition)
    if cause is None:
        return begin
    if cause.topic == commands and begin <= cause.offset < end:
        there = await world.log.read(topics.COMMANDS, partition, cause.offset, 1)
        if there and there[0].offset == cause.offset and meta_of(there[0].record).id == cause.command:
            return cause.offset + 1
    at = begin
    while stored := await world.log.read(topics.COMMANDS, partition, at, 5_000):
        for one in stored:
            if meta_of(one.record).id == cause.command:
                return one.offset + 1
        at = stored[-1].offset + 1
    return begin
