"""Snapshots in the simulation: marked, read back and written by the program's own code, record by record, with anything in between.

The `Played` classes are the program's, with switches; `differs` compares what a snapshot says with what the log says.
"""

from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Any

from events import topics
from events.acceptance import Acceptance, Checkpoint
from events.envelope import Record, StoredRecord
from services.processor.memory.book import Book, Mark
from services.processor.memory.ids import Ids
from services.processor.memory.restoring import Whose, confirmed, mark, met, resting, row_of, written
from services.processor.memory.runs import Runs
from services.processor.memory.snapshots import PARTITION, Found, MemoryRows, Misfit, Rows, Standing
from services.processor.memory.state import PartitionState
from services.processor.steps.reading import Poisoned
from services.processor.steps.watch import Reached
from services.processor.taking.claiming import looking, restoring
from services.processor.taking.plan import Ask, Bounds, Identity, Read, Turn
from tests.support.simulation.fold import PlayedFold, PlayedReadBack
from tests.support.simulation.log import Topic
from tests.support.simulation.rules import LAW, Rules


class PlayedFound(Found):
    """`services.processor.memory.snapshots.Found`, with switches."""

    def __init__(self, rows: Rows, rules: Rules, *, only_keys: bool = False) -> None:
        super().__init__(rows, only_keys=only_keys)
        self._rules = rules

    def check(self, topic: str, before: StoredRecord | None) -> Standing:
        if not self._rules.snapshot_place and self.standing is not None:
            return self.standing
        return super().check(topic, before)

    def verify(self, standing: Standing) -> None:
        if self._rules.snapshot_whole:
            super().verify(standing)


class PlayedBook(Book):
    """`services.processor.memory.book.Book`, with a switch."""

    rules = LAW

    def stands_for(self, stream: str, offset: int | None) -> bool:
        return self.rules.snapshot_ahead and super().stands_for(stream, offset)


class PlayedIds(Ids):
    """`services.processor.memory.ids.Ids`, with switches."""

    rules = LAW

    def command(self, command: str) -> str | None:
        return super().command(command) if self.rules.ids else None

    def key(self, app: str, key: str) -> tuple[str, str] | None:
        return super().key(app, key) if self.rules.keys else None


def empty(rules: Rules) -> PartitionState:
    """A state of nothing."""
    book = PlayedBook()
    ids = PlayedIds()
    book.rules = ids.rules = rules
    return PartitionState(Runs(rows=MemoryRows()), ids, book=book)


class Snapshots:
    """One ownership's writing of snapshots, step by step."""

    def __init__(self, state: PartitionState, back: PlayedReadBack, whose: Whose, rules: Rules) -> None:
        self._state = state
        self._back = back
        self._whose = whose
        self._rules = rules
        self._mark: Mark | None = None
        self._left: list[Record] = []
        self._reached: Reached | None = None
        self._since = 0

    def due(self, said: int) -> bool:
        """Whether one might begin."""
        return self._mark is None and said > self._since

    @property
    def waits(self) -> bool:
        """Whether one has begun and its events are not all read back."""
        return self._mark is not None and self._back.place is None

    def begin(self, said: int, time: int, end: int, there: Topic) -> None:
        """Mark the state of this moment, after a look at what others wrote."""
        self._since = said
        met(self._state, there.read(min(there.end, max(there.base, self._state.book.looked)), 100_000))
        self._mark = mark(self._state, said, time, lambda _: None)
        self._back.expect(said)
        if not self._rules.snapshot_read_back:
            newest = self._back.newest
            self._back.place = Reached(min(newest.offset, end), newest.last, newest.cause)

    @property
    def ready(self) -> bool:
        """Whether a record may be written now."""
        return self._mark is not None and self._back.place is not None

    def write(self, into: Topic) -> None:
        """The next record."""
        marked = self._mark
        assert marked is not None
        if self._reached is None:
            assert self._back.place is not None
            self._reached = self._back.place
            self._left = list(written(self._state, marked, self._reached, self._whose))
            if not self._rules.snapshot_last:
                self._left.sort(key=lambda record: record.key.decode() != PARTITION)
        self._state.book.wrote(into.append([self._left.pop(0)]), 1)
        if not self._left:
            confirmed(self._state, marked, self._reached)
            self._state.ids.settle(marked.fresh)
            for draft in list(resting(self._state, marked, marked.time)):
                self._state.runs.rows.put([row_of(draft, marked, self._reached)])
                self._state.runs.rest(draft.stream.partition("-")[2])
            self._mark = self._reached = None


def differs(rules: Rules, identity: str, events: Topic, snapshots: Topic) -> bool:
    """Whether who begins with the snapshot comes to another state than who reads the whole log."""
    if not any(one.record.key == PARTITION.encode() for one in snapshots.stored):
        return False
    whole, begun = empty(rules), empty(rules)
    _fold(PlayedFold(Checkpoint(identity, 0), rules), whole, events)
    fold = PlayedFold(Checkpoint(identity, 0), rules)
    plan = _beginning(fold, begun, events, PlayedFound(begun.runs.rows, rules))
    answer = None
    try:
        while True:
            match plan.send(answer):
                case Turn():
                    answer = None
                case Identity():
                    answer = identity
                case Bounds():
                    answer = (snapshots.base, snapshots.end)
                case Read(topics.SNAPSHOTS, start, limit):
                    answer = snapshots.read(start, limit)
                case Read(_, start, limit):
                    answer = events.read(start, limit)
                case _:
                    raise AssertionError
    except StopIteration:
        _fold(fold, begun, events)
        return _told(whole) != _told(begun)
    except (Misfit, Poisoned):
        return False


def _beginning(fold: Acceptance, state: PartitionState, events: Topic, found: Found) -> Generator[Ask, Any, dict[int, str]]:
    yield from looking(found)
    return (yield from restoring(fold, state, 0, (events.base, events.end), found))


def _fold(fold: Acceptance, state: PartitionState, events: Topic) -> None:
    for stored in events.read(fold.offset, 100_000):
        event = fold.step(stored)
        if event is not None:
            state.apply(event.meta, event.envelope.data, stored.offset)


def _told(state: PartitionState) -> object:
    state.forget(0)
    runs = {run: (replace(state.runs[run], terms=None), state.book.positions[f"run-{run}"]) for run in _open(state)}
    return runs, set(state.ids)


def _open(state: PartitionState) -> Iterable[str]:
    return [*state.runs.awake, *(stream.partition("-")[2] for stream, *_ in state.runs.rows.rows())]
