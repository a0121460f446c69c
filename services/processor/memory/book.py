"""What the newest snapshot has, and what changed since: the bookkeeping of one partition's owner, pure.

In comes word of every event that is folded; out go marks: what a snapshot would have to say now. A mark is written once all
its events were read back from the log; then it is confirmed, or it failed and everything in it counts as changed again.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from services.processor.memory.ids import Id, time_of
from services.processor.memory.snapshots import added, share

CHUNK = 400
"""Ids in one record of remembered ids."""


def ids_stream(number: int) -> str:
    """The key of a chunk of remembered ids."""
    return f"ids-{number}"


@dataclass(frozen=True, slots=True)
class Draft:
    """A stream as it was when the mark was set."""

    stream: str
    position: int
    was: int
    kind: str = ""
    text: str = ""
    subject: str = ""
    rests: bool = False
    due: int | None = None
    ids: Sequence[Id] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """What a snapshot says that stands for the first `said` events of its ownership."""

    said: int
    time: int
    base: str
    drafts: Sequence[Draft]
    dropped: Sequence[str]
    """Keys of which nothing is known, and that may have a record."""
    fresh: Sequence[Id]


@dataclass
class Book:
    """`base` names the newest set, `digest` and `streams` are its; `positions` are of the streams in memory.

    `changed` has the position in that set of each stream that is another now; `touched` are keys that may have a record which that set
    does not know of; `ahead` says up to which offset a stream was further than the set that it was read from.
    """

    base: str = ""
    digest: int = 0
    streams: int = 0
    positions: dict[str, int] = field(default_factory=dict[str, int])
    changed: dict[str, int] = field(default_factory=dict[str, int])
    touched: set[str] = field(default_factory=set[str])
    ahead: dict[str, int] = field(default_factory=dict[str, int])
    fresh: list[Id] = field(default_factory=list[Id])
    chunks: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    """Of each chunk of ids: how many it has, and their newest time."""
    claimed: int = 0
    """The offset after this ownership's claim."""
    looked: int = 0
    """Up to which offset of the snapshots everything is read, or written by this ownership."""
    chunk: list[Id] = field(default_factory=list[Id])
    """The newest of them, which may grow."""

    def count(self, stream: str, *, alive: bool, events: int = 1) -> None:
        """More events of this stream."""
        was = self.positions.get(stream, 0)
        before = self.changed.setdefault(stream, was)
        if alive:
            self.positions[stream] = was + events
            return
        self.positions.pop(stream, None)
        if not before and stream not in self.touched:
            del self.changed[stream]

    def stands_for(self, stream: str, offset: int | None) -> bool:
        """Whether the state of this stream has the event at this offset already."""
        return offset is not None and offset < self.ahead.get(stream, 0)

    def remember(self, what: Id) -> None:
        """One more id."""
        self.fresh.append(what)

    def mark(self, said: int, time: int, since: int, drafts: Iterable[Draft]) -> Mark:
        """What is to be written now, `drafts` being the streams that changed. Ids from before `since` are forgotten."""
        drafts = [*drafts, *self._chunks(since)]
        named = {draft.stream for draft in drafts}
        kept = {ids_stream(number) for number in self.chunks}
        mark = Mark(said, time, self.base, drafts, sorted(self.touched - named - kept), self.fresh)
        self.changed, self.fresh, self.touched = {}, [], set()
        return mark

    def wrote(self, first: int, count: int) -> None:
        """So many records of ours stand in the snapshots from this offset on. What others wrote before them is looked at next time."""
        if first == self.looked:
            self.looked = first + count

    def failed(self, mark: Mark) -> None:
        """It was not written, or nobody knows."""
        self.changed |= {draft.stream: draft.was for draft in mark.drafts if draft.kind != "ids"}
        self.touched |= {draft.stream for draft in mark.drafts} | set(mark.dropped)
        self.fresh[:0] = mark.fresh

    def sum_of(self, mark: Mark) -> tuple[int, int]:
        """Digest and number of streams once the mark is written."""
        digest, streams = self.digest, self.streams
        for draft in mark.drafts:
            digest = added(digest, share(draft.stream, draft.position), -share(draft.stream, draft.was))
            streams += bool(draft.position) - bool(draft.was)
        return digest, streams

    def confirmed(self, mark: Mark, base: str) -> None:
        """It is written."""
        self.digest, self.streams = self.sum_of(mark)
        self.base = base
        for draft in mark.drafts:
            number = draft.stream.partition("-")[2]
            if draft.kind == "ids" and draft.position:
                self.keep(int(number), draft.ids)
            elif draft.kind == "ids":
                del self.chunks[int(number)]

    def keep(self, number: int, ids: Sequence[Id]) -> None:
        """A chunk of ids is in the newest set."""
        if number >= max(self.chunks, default=0):
            self.chunk = list(ids)
        self.chunks[number] = (len(ids), max(map(time_of, ids)))

    def _chunks(self, since: int) -> list[Draft]:
        """The newest chunk grows and full ones follow; chunks of which everything is forgotten go."""
        newest = max(self.chunks, default=-1)
        gone = [number for number, (_, time) in self.chunks.items() if time < since and number != newest]
        drafts = [Draft(ids_stream(number), 0, self.chunks[number][0], "ids") for number in gone]
        if not self.fresh:
            return drafts
        room = len(self.chunk) < CHUNK
        ids = [*self.chunk, *self.fresh] if room else self.fresh
        number = newest if room and newest >= 0 else newest + 1
        for at in range(0, len(ids), CHUNK):
            part = ids[at : at + CHUNK]
            was = self.chunks.get(number, (0, 0))[0]
            drafts.append(Draft(ids_stream(number), len(part), was, "ids", json.dumps(part), ids=part))
            number += 1
        return drafts
