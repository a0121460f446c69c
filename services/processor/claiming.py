"""How a partition is taken over (law 3), step by step, as a plan that waits for nothing itself.

The plan asks (`Bounds`, `Read`, `Confirm`, `Write`, `Identity`) and is sent the answers; out comes what was taken. The
program answers from the log (`services.processor.takeover`), the simulation in the tests from a log that lies in its way.
"""

from collections.abc import Callable, Container, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from events import topics
from events.acceptance import Acceptance, Cause
from events.envelope import Envelope, Meta, Record, StoredRecord, encode, meta_of
from events.ownership import PartitionClaimed
from services.processor.deciding import SOURCE
from services.processor.reading import Poisoned, naming
from services.processor.state import REMEMBERED_MS, PartitionState

_READ = 1_000
_NEAR = 100
"""So many commands before the newest cause are looked at as well: a log that lost its end may have grown again."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """What is the topic's id? Answer: str."""

    topic: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is the first offset, and which will the next record get? Answer: (int, int)."""

    topic: str


@dataclass(frozen=True, slots=True)
class Read:
    """Records from `start` on. Answer: a sequence of `StoredRecord`, empty at the end."""

    topic: str
    start: int
    limit: int


@dataclass(frozen=True, slots=True)
class Confirm:
    """Does the group still say that the partition is ours? No answer; who does not get it closes the plan."""


@dataclass(frozen=True, slots=True)
class Write:
    """Append this claim, alone, with a producer that nobody else has. No answer; a failure ends the plan."""

    claim: Record


Ask = Identity | Bounds | Read | Confirm | Write
Plan = Generator[Ask, Any, int]


class Overtaken(Exception):
    """Another claim came first."""


def taking_over(fold: Acceptance, state: PartitionState, partition: int, claim: str, now: Callable[[], int], owner: str = SOURCE) -> Plan:
    """Fold to the end, have the group confirm, claim, fold on until the claim is read. Returns where the commands go on.

    `fold` and `state` are filled. `owner` is the process, by name. Raises `Overtaken` (begin again) and `Poisoned`.
    """
    commands: str = yield Identity(topics.COMMANDS)
    bounds: tuple[int, int] = yield Bounds(topics.EVENTS)
    if bounds[0]:
        raise Poisoned(f"the processor stops: {topics.EVENTS}, partition {partition} begins at offset {bounds[0]}, what was before is lost")
    yield from _folding(fold, state, partition)
    yield Confirm()
    yield Write(_claim(partition, claim, fold.claim, commands, now(), owner))
    yield from _folding(fold, state, partition)
    if fold.claim != claim:
        raise Overtaken(f"claim {fold.claim} counts, ours does not")
    resume = yield from resuming(partition, commands, fold.cause, state.known, now() - REMEMBERED_MS)
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


def _folding(fold: Acceptance, state: PartitionState, partition: int) -> Generator[Ask, Any, None]:
    while True:
        stored: Sequence[StoredRecord] = yield Read(topics.EVENTS, fold.offset, _READ)
        if not stored:
            return
        for one in stored:
            with naming(topics.EVENTS, partition, one.offset):
                accepted = fold.step(one)
            if accepted is not None:
                state.apply(accepted.meta, accepted.envelope.data)


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
