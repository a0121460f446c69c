"""Becoming the owner of a partition: the plan of `services.processor.claiming`, carried out on the log.

In comes a partition that the group gave us; out goes an ownership: the folded state, our claim, a producer of our own,
and the place in the commands where the log says that we go on. Nothing here trusts a writer's memory.
"""

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
from services.processor.claiming import Ask, Bounds, Confirm, Identity, Overtaken, Read, Write, taking_over
from services.processor.deciding import SOURCE
from services.processor.reading import naming
from services.processor.state import PartitionState

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


async def take_over(world: World, partition: int, confirm: Confirmation) -> Ownership:
    """Own the partition; while the log does not answer, try again with growing pauses.

    Raises `NotMember` when the group gave it to somebody else, `Poisoned` at what cannot be read, and where the log's beginning is gone.
    """
    again = AsyncRetrying(
        retry=retry_if_exception_type((AppendFailed, HistoryLost, Unreachable, Overtaken)),
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


async def _take_over(world: World, partition: int, confirm: Confirmation) -> Ownership:
    fold = Acceptance(Checkpoint(await world.log.identity(topics.EVENTS), partition))
    state, claim = PartitionState(), new_id()
    plan = taking_over(fold, state, partition, claim, world.clock.now, f"{SOURCE} {instance()}")
    appender: Appender | None = None
    answer: Any = None
    try:
        while True:
            try:
                ask = plan.send(answer)
            except StopIteration as taken:
                assert appender is not None, "nothing is taken without a claim"
                return Ownership(partition, claim, state, appender, fold.offset, taken.value)
            match ask:
                case Confirm():
                    answer = await confirm()
                case Write(record):
                    appender = await world.log.appender(topics.EVENTS, partition)
                    answer = await appender.append([record])
                case _:
                    answer = await _answer(world, partition, ask)
    except BaseException:
        if appender is not None:
            await appender.close()
        raise


async def _answer(world: World, partition: int, ask: Ask) -> Any:
    match ask:
        case Identity(topic):
            return await world.log.identity(topic)
        case Bounds(topic):
            return await world.log.bounds(topic, partition)
        case Read(topic, start, limit):
            stored = await world.log.read(topic, partition, start, limit)
            return [await _whole(world, partition, one) for one in stored] if topic == topics.EVENTS else stored
        case _:
            raise AssertionError(f"{ask} is no question to the log")


async def _whole(world: World, partition: int, stored: StoredRecord) -> StoredRecord:
    with naming(topics.EVENTS, partition, stored.offset):
        return await unpack(stored, world.blobs)


def _reason(attempt: RetryCallState) -> str:
    wrong = attempt.outcome.exception() if attempt.outcome else None
    return f"{type(wrong).__name__}: {wrong}"
