"""From a partition's state to a snapshot and back, without reading or writing.

In comes a state, or what was found of a snapshot; out go the records of one set in their order, or the same state again. A state
may be marked at any time; what is written then is what stood at that moment, and not before the log has it.
"""

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from events.acceptance import Acceptance
from events.envelope import Protected, Record, StoredRecord
from services.core.deciders import memory
from services.kit.log import tombstone
from services.processor.memory.book import Draft, Mark
from services.processor.memory.ids import Id
from services.processor.memory.snapshots import PARTITION, Misfit, Row, Rows, Standing, record_of
from services.processor.memory.state import REMEMBERED_MS, PartitionState
from services.processor.steps.watch import Reached
from services.processor.taking.plan import Ask, Turn

_ENDED, _IDS = "Ended", "ids"
_TURN = 20
"""So many streams are brought at once, or one that is hundreds of ids."""


@dataclass(frozen=True, slots=True)
class Whose:
    """Who writes: topic and partition of the events, the claim, the commands' topic."""

    topic: str
    partition: int
    claim: str
    commands: str


def mark(state: PartitionState, said: int, time: int, due: Callable[[str], int | None]) -> Mark:
    """What a snapshot would say now. `said` events of this ownership are in it, `due` tells when a run is looked at next."""
    drafts = [_draft(state, stream, was, due) for stream, was in state.book.changed.items()]
    state.chats.mark()
    return state.book.mark(said, time, time - REMEMBERED_MS, drafts)


def _draft(state: PartitionState, stream: str, was: int, due: Callable[[str], int | None]) -> Draft:
    category, _, name = stream.partition("-")
    found: memory.State | None = state.family(category).get(name)
    if found is None:
        ended = state.ids.ended(name)
        return Draft(stream, 0, was, _ENDED, json.dumps(ended) if ended else "")
    kind, text = memory.encode(found)
    rests = memory.rests(found)
    when = due(name) if category == "run" else None
    return Draft(stream, state.book.positions[stream], was, kind, text, memory.subject_of(found), rests, when)


def row_of(draft: Draft, marked: Mark, reached: Reached) -> Row:
    """What is remembered of one stream."""
    return Row(
        stream=draft.stream,
        position=draft.position,
        was=draft.was,
        base=marked.base,
        upto=reached.offset,
        last=reached.last,
        time=marked.time,
        kind=draft.kind,
        rests=draft.rests,
        due=draft.due,
        state=Protected[str](subject=draft.subject, words=draft.text) if draft.text else None,
    )


def written(state: PartitionState, marked: Mark, reached: Reached, whose: Whose) -> Iterator[Record]:
    """All records of the set, in their order: streams, keys that nothing is known of, the partition, tombstones."""
    for draft in marked.drafts:
        yield record_of(whose.claim, row_of(draft, marked, reached))
    for key in marked.dropped:
        yield tombstone(key.encode(), marked.time)
    digest, streams = state.book.sum_of(marked)
    yield record_of(
        whose.claim,
        Standing(
            topic=whose.topic,
            partition=whose.partition,
            offset=reached.offset,
            last=reached.last,
            claim=whose.claim,
            commands=whose.commands,
            cause=reached.cause,
            streams=streams,
            digest=f"{digest:x}",
            time=marked.time,
        ),
    )
    for draft in marked.drafts:
        if not draft.position:
            yield tombstone(draft.stream.encode(), marked.time)


def met(state: PartitionState, found: Sequence[StoredRecord]) -> None:
    """Others wrote these into the snapshots after we read them: the next set says of each of their streams what is true."""
    for stored in found:
        key = stored.record.key.decode()
        state.book.looked = stored.offset + 1
        if key == PARTITION:
            continue
        category, _, name = key.partition("-")
        state.book.touched.add(key)
        if category != _IDS and state.family(category).get(name) is not None:
            state.book.changed.setdefault(key, state.book.positions[key])


def confirmed(state: PartitionState, marked: Mark, reached: Reached) -> None:
    """The set is written."""
    state.book.confirmed(marked, reached.last)
    state.chats.settle(reached.offset)


def resting(state: PartitionState, marked: Mark, soon: int) -> Iterator[Draft]:
    """The runs of a written set that need not stay in memory: nothing is under way, nothing changed since, nothing is due soon."""
    for draft in marked.drafts:
        same = draft.position and state.book.positions.get(draft.stream) == draft.position
        if draft.rests and same and (draft.due is None or draft.due > soon):
            yield draft


def restored(fold: Acceptance, state: PartitionState, rows: Rows, standing: Standing) -> Generator[Ask, Any, dict[int, str]]:
    """State and fold as they were at the set's place. Returns offsets that must hold records with these ids: streams stand for them.

    Raises `Misfit` where a row cannot be read.
    """
    book = state.book
    book.base, book.digest, book.streams = standing.last, int(standing.digest, 16), standing.streams
    fold.offset, fold.last, fold.claim, fold.commands, fold.cause = (
        standing.offset,
        standing.last,
        standing.claim,
        standing.commands,
        standing.cause,
    )
    must: dict[int, str] = {}
    state.chats.begun = standing.offset
    awake = [
        (stream, upto)
        for stream, _, _, _, upto, rests in rows.rows()
        if upto > standing.offset or not (rests and stream.startswith("run-"))
    ]
    for number, (stream, upto) in enumerate(awake, 1):
        row = rows.take(stream)
        assert row is not None, "what was listed is there"
        if upto > standing.offset:
            must[upto - 1] = row.last
            state.chats.begun = max(state.chats.begun, upto)
            _is_ahead(state, row)
        try:
            _bring(state, row)
        except ValueError as wrong:
            raise Misfit(f"{stream} cannot be read: {wrong}") from None
        if row.kind == _IDS or not number % _TURN:
            yield Turn()
    return must


def _is_ahead(state: PartitionState, row: Row) -> None:
    book = state.book
    book.touched.add(row.stream)
    if row.kind == _IDS:
        return
    book.ahead[row.stream] = row.upto
    if row.position or row.was:
        book.changed[row.stream] = row.was


def _bring(state: PartitionState, row: Row) -> None:
    book, name = state.book, row.stream.partition("-")[2]
    text = row.state.words or "" if row.state else ""
    if row.kind == _IDS:
        _bring_ids(state, row, [tuple(one) for one in json.loads(text)] if text else [])
    elif row.kind == _ENDED:
        if row.stream in book.touched and text:
            state.end(name, *json.loads(text))
        book.touched.add(row.stream)
    elif row.stream.startswith("run-"):
        state.runs.bring(row)
    else:
        state.family(row.stream.partition("-")[0])[name] = memory.decode(row.kind, text)
        book.positions[row.stream] = row.position


def _bring_ids(state: PartitionState, row: Row, ids: Sequence[Id]) -> None:
    """Of a chunk that is further only what the set has: the rest is found again in the events since."""
    ahead, number = row.stream in state.book.touched, int(row.stream.partition("-")[2])
    ids = ids[: row.was] if ahead else ids
    state.ids.settle(ids)
    if ids:
        state.book.keep(number, ids)
    elif row.was and ahead:
        state.book.chunks[number] = (row.was, 0)
    else:
        state.book.touched.add(row.stream)
