"""What is written into the snapshots, and whether what is found there may be believed.

One record for each stream that is alive, keyed by it, and one for the partition that says from where to fold. A set is written
in this order: streams that changed, then the partition, then tombstones of what is over. So a set may be torn, and a zombie may
write into it. Therefore every record says for which place of the log it stands and which position its stream had in the set
before (`was` at `base`), and the partition's record has a digest over all streams and their positions: what is found is either
exactly that set, with some streams further on, or nothing (architecture 2, law 3: Starting in the middle).
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from events.acceptance import Cause
from events.envelope import Record, StoredRecord, Words, meta_of
from services.core.deciders.memory import SHAPE
from services.kit.log import is_tombstone

PARTITION = "partition"
"""The key of the partition's record; streams have a dash in theirs."""
_TYPE, _SHAPE, _CLAIM = "ce_type", "shape", "ce_claim"
_SPACE = 1 << 64


class Misfit(Exception):
    """The snapshot must not be believed; the message says why. The log is folded anew, from its beginning."""


class Row(BaseModel):
    """One stream as remembered: its state after its first `position` events (0: nothing is left of it).

    It stands for the log below `upto`, where the last record has the id `last`. `was` is its position in the set of `base`.
    `rests` says that nothing is under way, `due` when time changes it (ms since 1970), `time` when this was written.
    """

    model_config = ConfigDict(frozen=True)
    stream: str
    position: int
    was: int
    base: str
    upto: int
    last: str
    time: int
    kind: str = ""
    rests: bool = False
    due: int | None = None
    state: Words | None = None


class Standing(BaseModel):
    """Where a set stands: the log below `offset`, whose last record has the id `last`. `digest` is over `streams` streams."""

    model_config = ConfigDict(frozen=True)
    topic: str
    partition: int
    offset: int
    last: str
    claim: str
    commands: str
    cause: Cause | None
    streams: int
    digest: str
    time: int


class Rows(Protocol):
    """What was read of the streams, by stream; later the runs that rest."""

    def put(self, rows: Iterable[Row]) -> None:
        """Keep these; a stream has one row."""
        ...

    def take(self, stream: str) -> Row | None:
        """The row of this stream, which is not kept any longer."""
        ...

    def rows(self) -> Iterable[tuple[str, int, int, str, int, bool]]:
        """Of each row: stream, position, was, base, upto, rests."""
        ...

    def due_before(self, time: int) -> list[tuple[str, int]]:
        """Streams and their times (ms since 1970), of those that are due before this."""
        ...

    def clear(self) -> None:
        """Keep nothing."""
        ...

    def __len__(self) -> int:
        """How many are kept."""
        ...


class MemoryRows:
    """Rows in a dictionary, for tests and the simulation."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}

    def put(self, rows: Iterable[Row]) -> None:
        """See `Rows.put`."""
        self._rows.update((row.stream, row) for row in rows)

    def take(self, stream: str) -> Row | None:
        """See `Rows.take`."""
        return self._rows.pop(stream, None)

    def rows(self) -> Iterable[tuple[str, int, int, str, int, bool]]:
        """See `Rows.rows`."""
        return [(row.stream, row.position, row.was, row.base, row.upto, row.rests) for row in self._rows.values()]

    def due_before(self, time: int) -> list[tuple[str, int]]:
        """See `Rows.due_before`."""
        return [(row.stream, row.due) for row in self._rows.values() if row.due is not None and row.due < time]

    def clear(self) -> None:
        """See `Rows.clear`."""
        self._rows.clear()

    def __len__(self) -> int:
        return len(self._rows)


def record_of(claim: str, what: Row | Standing) -> Record:
    """The record that says this."""
    key, kind = (PARTITION, "snapshot.partition") if isinstance(what, Standing) else (what.stream, "snapshot.stream")
    headers = ((_TYPE, kind.encode()), (_SHAPE, SHAPE.encode()), (_CLAIM, claim.encode()))
    return Record(key.encode(), what.model_dump_json().encode(), headers, what.time)


def share(stream: str, position: int) -> int:
    """What a stream adds to the digest of its set."""
    return int.from_bytes(blake2b(f"{stream} {position}".encode(), digest_size=8).digest()) if position else 0


def added(digest: int, *shares: int) -> int:
    """A digest with these shares (negative ones are taken out)."""
    return (digest + sum(shares)) % _SPACE


class Found:
    """What is read of a partition's snapshots, record by record in their order; `check` says whether it may be believed."""

    def __init__(self, rows: Rows, *, only_keys: bool = False) -> None:
        self.standing: Standing | None = None
        self.keys: set[str] = set()
        self.some = False
        self.foreign: set[str] = set()
        self.end = 0
        self.rows = rows
        self._only_keys = only_keys

    def look_at(self, batch: Iterable[StoredRecord]) -> None:
        """The next records, whole."""
        fresh: dict[str, Row] = {}
        for stored in batch:
            self.end = stored.offset + 1
            record, key = stored.record, stored.record.key.decode()
            if is_tombstone(record):
                self.standing = None if key == PARTITION else self.standing
                fresh.pop(key, None)
                self.rows.take(key)
                self.keys.discard(key)
                self.foreign.discard(key)
            elif self._only_keys:
                self.keys.add(key)
            else:
                self.some = True
                self._read(record, key, fresh)
        self.rows.put(fresh.values())

    def _read(self, record: Record, key: str, fresh: dict[str, Row]) -> None:
        try:
            if dict(record.headers).get(_SHAPE) != SHAPE.encode():
                self.foreign.add(key)
                return
            if key == PARTITION:
                self.standing = Standing.model_validate_json(record.value)
            else:
                fresh[key] = Row.model_validate_json(record.value)
            self.foreign.discard(key)
        except ValidationError:
            self.foreign.add(key)

    def check(self, topic: str, before: StoredRecord | None) -> Standing:
        """The set's place, if it may be believed. `before` is the record ahead of that place. Raises `Misfit`."""
        standing = self.standing
        if standing is None:
            raise Misfit("another version of this program wrote it" if self.foreign else "it has no place in the log")
        if self.foreign:
            raise Misfit("another version of this program wrote it")
        if standing.topic != topic:
            raise Misfit(f"it was made from another topic ({standing.topic}, and this is {topic})")
        meta = None if before is None else meta_of(before.record)
        if before is None or meta is None or before.offset != standing.offset - 1 or meta.id != standing.last:
            raise Misfit(f"the log has another record at offset {standing.offset - 1} than it says")
        if meta.claim != standing.claim:
            raise Misfit(f"its claim {standing.claim} is not the one at its place")
        return standing

    def verify(self, standing: Standing) -> None:
        """Whether all streams of the set are there, as they were or further. Raises `Misfit`."""
        digest = count = 0
        for stream, position, was, base, upto, _ in self.rows.rows():
            ahead = upto > standing.offset
            if ahead and base != standing.last:
                raise Misfit(f"{stream} is further than the partition, and not from there")
            position_then = was if ahead else position
            count += bool(position_then)
            digest = added(digest, share(stream, position_then))
        if (count, f"{digest:x}") != (standing.streams, standing.digest):
            raise Misfit("its streams are not those that it says")
