"""How a partition is taken over (law 3), step by step, as a plan that waits for nothing itself.

The plan asks (`services.processor.taking.plan`) and is sent the answers; out comes what was taken.
"""

from collections.abc import Callable, Container, Generator, Sequence
from typing import Any

import structlog

from events import topics
from events.acceptance import Acceptance, Cause
from events.envelope import Envelope, Meta, Record, StoredRecord, encode, meta_of
from events.ownership import PartitionClaimed
from services.processor.memory.restoring import restored
from services.processor.memory.snapshots import Found, Misfit
from services.processor.memory.state import REMEMBERED_MS, PartitionState
from services.processor.steps.deciding import SOURCE
from services.processor.steps.reading import Poisoned, naming
from services.processor.taking.plan import Ask, Bounds, Confirm, Identity, Plan, Read, Write

_READ = 1_000
_NEAR = 100
"""So many commands before the newest cause are looked at as well: a log that lost its end may have grown again."""
_log = structlog.get_logger(__name__)


class Overtaken(Exception):
    """Another claim came first."""


def taking_over(
    fold: Acceptance,
    state: PartitionState,
    partition: int,
    claim: str,
    now: Callable[[], int],
    owner: str = SOURCE,
    *,
    found: Found | None = None,
) -> Plan:
    """Fold to the end, have the group confirm, claim, fold on until the claim is read. Returns where the commands go on.

    `fold` and `state` are filled, from the newest snapshot on, where `found` does not look at keys only. `owner` is the process, by name.
    Raises `Overtaken` (begin again), `Misfit` (begin again, anew) and `Poisoned`.
    """
    commands: str = yield Identity(topics.COMMANDS)
    found = found or Found(state.runs.rows)
    state.forget(now())
    yield from looking(found)
    bounds: tuple[int, int] = yield Bounds(topics.EVENTS)
    must = yield from restoring(fold, state, partition, bounds, found)
    if bounds[0] > fold.offset:
        raise Poisoned(f"the processor stops: {topics.EVENTS}, partition {partition} begins at offset {bounds[0]}, what was before is lost")
    yield from _folding(fold, state, partition, must)
    if must:
        raise _shorter(partition, fold.offset, max(must) + 1)
    yield Confirm()
    yield Write(_claim(partition, claim, fold.claim, commands, now(), owner))
    yield from _folding(fold, state, partition, must)
    if fold.claim != claim:
        raise Overtaken(f"claim {fold.claim} counts, ours does not")
    resume = yield from resuming(partition, commands, fold.cause, state.ids, now() - REMEMBERED_MS)
    state.forget(now())
    return resume


def resuming(partition: int, commands: str, cause: Cause | None, known: Container[str], since: int) -> Plan:
    """After the newest accepted cause if it still stands there, else after the first record with its id, else the beginning.

    A record with its id may also be a repetition whose original is gone: it only counts if what stands before it is decided,
    which is `known`, or from a time before `since` (ms since 1970) that nobody remembers.
    """
    bounds: tuple[int, int] = yield Bounds(topics.COMMANDS)
    begin, end = bounds
    if cause is None:
        return begin
    if cause.topic == commands and cause.offset < begin:
        if cause.offset + 1 < begin:
            _log.error("commands.lost", partition=partition, first=cause.offset + 1, last=begin - 1)
        return begin

    def decided(one: StoredRecord) -> bool:
        return one.record.time < since or _id(partition, one) in known

    stored: Sequence[StoredRecord]
    if cause.topic == commands and cause.offset < end:
        near = max(begin, cause.offset - _NEAR)
        stored = yield Read(topics.COMMANDS, near, cause.offset - near + 1)
        there = stored[-1] if stored else None
        if there and there.offset == cause.offset and _id(partition, there) == cause.command and all(map(decided, stored)):
            return cause.offset + 1
    return (yield from _searching(partition, begin, cause.command, decided))


def _searching(partition: int, begin: int, command: str, decided: Callable[[StoredRecord], bool]) -> Plan:
    at = begin
    stored: Sequence[StoredRecord]
    while stored := (yield Read(topics.COMMANDS, at, _READ)):
        for one in stored:
            if _id(partition, one) == command:
                return one.offset + 1
            if not decided(one):
                return begin
        at = stored[-1].offset + 1
    return begin


def looking(found: Found) -> Generator[Ask, Any, None]:
    """Read the snapshots.

    Another owner may still be writing, so where the events end has to be asked afterwards: a snapshot stands for less.
    """
    found.end, _ = yield Bounds(topics.SNAPSHOTS)
    stored: Sequence[StoredRecord]
    while stored := (yield Read(topics.SNAPSHOTS, found.end, _READ)):
        found.look_at(stored)


def restoring(
    fold: Acceptance, state: PartitionState, partition: int, bounds: tuple[int, int], found: Found
) -> Generator[Ask, Any, dict[int, str]]:
    """Begin from the snapshots that were found where they may be believed. Returns the ids that records further on must have."""
    state.book.touched |= found.keys
    state.book.looked = found.end
    if not found.some:
        return {}
    topic: str = yield Identity(topics.EVENTS)
    begin, end = bounds
    standing, before = found.standing, None
    if standing is not None and standing.topic == topic and not found.foreign and standing.offset > end:
        raise _shorter(partition, end, standing.offset)
    if standing is not None and begin < standing.offset <= end:
        (before,) = yield Read(topics.EVENTS, standing.offset - 1, 1)
    standing = found.check(topic, before)
    found.verify(standing)
    return (yield from restored(fold, state, found.rows, standing))


def _shorter(partition: int, end: int, said: int) -> Poisoned:
    return Poisoned(
        f"the processor stops: {topics.EVENTS}, partition {partition} ends at offset {end}, and a snapshot stands for {said}: "
        "what was between is lost. Restore the log, or accept the loss and empty the topic of the snapshots"
    )


def _folding(fold: Acceptance, state: PartitionState, partition: int, must: dict[int, str]) -> Generator[Ask, Any, None]:
    while True:
        stored: Sequence[StoredRecord] = yield Read(topics.EVENTS, fold.offset, _READ)
        if not stored:
            return
        for one in stored:
            with naming(topics.EVENTS, partition, one.offset):
                accepted = fold.step(one)
            if must and must.pop(one.offset, fold.last) != fold.last:
                raise Misfit(f"the log has another record at offset {one.offset} than it says")
            if accepted is not None:
                state.apply(accepted.meta, accepted.envelope.data, one.offset)
                if accepted.meta.type == PartitionClaimed.type:
                    state.book.claimed = one.offset + 1


def _claim(partition: int, claim: str, after: str, commands: str, time: int, owner: str) -> Record:
    meta = Meta(
        id=claim,
        type=PartitionClaimed.type,
        version=PartitionClaimed.version,
        stream=topics.partition_stream(partition),
        time=time,
        source=SOURCE,
        claim=claim,
    )
    return encode(Envelope(meta, PartitionClaimed(id=claim, after=after, owner=owner, commands=commands)))


def _id(partition: int, stored: StoredRecord) -> str:
    with naming(topics.COMMANDS, partition, stored.offset):
        return meta_of(stored.record).id
