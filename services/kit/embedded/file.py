"""The embedded log's file: its lock, its tables, and how records stand in them.

In go slots (a partition of a topic) and records; out come rows and records again. A record's place is one number, its
slot and its offset, so that one small row per record is all that an append writes. Nothing here knows of the event loop.
Beside a busy loop rows come as one JSON text: fetched one by one, each would wait for the interpreter's lock (a second for a
thousand rows; 20 ms so). Where nobody else is busy, fetched one by one they cost less than half.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import orjson

from events.envelope import Record, StoredRecord
from events.topics import COMMANDS, COMPACTED, EVENTS, SNAPSHOTS
from services.kit.errors import LogInUse, Refused, TopicMismatch
from services.kit.ids import new_id

TOPICS = (COMMANDS, EVENTS, SNAPSHOTS)
_SCHEMA = 1
_SPAN = 1 << 40
_ROWS = 128
_ROW = "(?,?,?,?,?,?)"
_READ_BYTES = 8 * 1024 * 1024
_TABLES = """
CREATE TABLE topics (name TEXT PRIMARY KEY, number INTEGER NOT NULL, identity TEXT NOT NULL, partitions INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE records (
    place INTEGER PRIMARY KEY,  -- (topic number * 4096 + partition) * 2^40 + offset
    time INTEGER NOT NULL,      -- milliseconds since 1970
    latest INTEGER NOT NULL,    -- the newest time in this partition up to here
    key BLOB NOT NULL, value BLOB NOT NULL, headers TEXT NOT NULL
);
CREATE TABLE marks (member_group TEXT, slot INTEGER, offset INTEGER NOT NULL, PRIMARY KEY (member_group, slot)) WITHOUT ROWID;
"""
_IN_SPAN = "FROM records WHERE place >= :low AND place < :high"
_TRIM = """
DELETE FROM records WHERE place >= :low AND place < :high AND place NOT IN (
    SELECT max(place) FROM records WHERE place >= :low AND place < :high GROUP BY key
)
"""
_BURY = "DELETE FROM records WHERE place >= :low AND place < :high AND value = x'' AND headers = '[]'"
_GROWN = 20_000
"""After so many records a compacted topic's partition is trimmed, and when it has doubled."""
_READ_ROWS = "SELECT place, time, key, value, headers FROM records WHERE place >= ? AND place < ? ORDER BY place LIMIT ?"
_READ = """
SELECT '[' || coalesce(group_concat(
    '[' || place || ',' || time || ',"' || hex(key) || '","' || hex(value) || '",' || headers || ']'
), '') || ']'
FROM (
    SELECT *, sum(length(value)) OVER (ORDER BY place) - length(value) AS before
    FROM (SELECT * FROM records WHERE place >= ? AND place < ? ORDER BY place LIMIT ?)
) WHERE before < ?
"""


@dataclass(slots=True)
class Batch:
    """One append: its records, their bytes, and the offset of the first once it is written."""

    slot: int
    records: Sequence[Record]
    size: int = 0
    first: int = -1


@dataclass(slots=True)
class Mark:
    """One low-water mark of a group."""

    group: str
    slot: int
    offset: int


def slot_at(topic: str, partition: int) -> int:
    """The number of a topic's partition inside the file."""
    return TOPICS.index(topic) << 12 | partition


def lock(path: Path) -> IO[str]:
    """Hold the log for this process; the system lets go when the process dies. Raises `LogInUse`."""
    beside = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = beside.open("a+")
    except OSError as wrong:
        raise Refused(f"the log {path} cannot be opened: {wrong.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "another"
        file.close()
        raise LogInUse(f"the log {path} is in use by process {holder}: stop it, or choose another folder (PROZESS_DATA)") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def connect(path: Path) -> sqlite3.Connection:
    """A connection that syncs every commit and begins no transaction by itself."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=2 * _ROWS)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=2000")
    return connection


class LogFile:
    """The writer's view of the file: what stands in it, and one transaction at a time."""

    def __init__(self, path: Path, partitions: int) -> None:
        self._path = path
        self._partitions = partitions
        self.identities: dict[str, str] = {}
        self.begins: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        self._latest: dict[int, int] = {}
        self._grown: dict[int, int] = {}

    def open(self) -> None:
        """Take the lock, make or check the tables, find the ends. Raises `Refused`, `LogInUse`, `TopicMismatch`."""
        with contextlib.ExitStack() as undo:
            self._lock = undo.enter_context(lock(self._path))
            try:
                self._connection = undo.enter_context(contextlib.closing(connect(self._path)))
                self._check()
                self._measure()
            except sqlite3.Error as wrong:
                raise Refused(f"the log {self._path} cannot be opened: {wrong}") from None
            undo.pop_all()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
        self._lock.close()

    def write(self, jobs: Sequence[Batch | Mark]) -> None:
        """Everything in one synced transaction, or nothing; sets each batch's `first`. Raises `sqlite3.Error`."""
        batches = [job for job in jobs if isinstance(job, Batch)]
        marks = [(job.group, job.slot, job.offset) for job in jobs if isinstance(job, Mark)]
        ends, latest, rows = self._rows_of(batches)
        if len(rows) <= _ROWS and not marks:
            self._insert(rows)
        else:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for at in range(0, len(rows), _ROWS):
                    self._insert(rows[at : at + _ROWS])
                self._connection.executemany("INSERT OR REPLACE INTO marks VALUES (?,?,?)", marks)
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        self.ends.update(ends)
        self._latest.update(latest)
        with contextlib.suppress(sqlite3.Error):  # the records are written; what is superfluous may stay
            self._trim(batches)

    def _trim(self, batches: Sequence[Batch]) -> None:
        """Compacted topics: what a newer record of its key follows goes, now and then, beside no reader's way."""
        for batch in batches:
            if batch.slot in self._grown:
                self._grown[batch.slot] += len(batch.records)
                if self._grown[batch.slot] > _GROWN:
                    span = _span(batch.slot)
                    self._connection.execute(_TRIM, span)
                    (kept,) = self._connection.execute(f"SELECT count(*) {_IN_SPAN}", span).fetchone()
                    self._grown[batch.slot] = min(0, _GROWN - kept)

    def _rows_of(self, batches: Sequence[Batch]) -> tuple[dict[int, int], dict[int, int], list[tuple[object, ...]]]:
        ends: dict[int, int] = {}
        latest: dict[int, int] = {}
        rows: list[tuple[object, ...]] = []
        for batch in batches:
            slot = batch.slot
            end = ends.get(slot, self.ends[slot])
            newest = latest.get(slot, self._latest[slot])
            batch.first = end
            for record in batch.records:
                newest = max(newest, record.time)
                rows.append((slot * _SPAN + end, record.time, newest, record.key, record.value, _headers_to_text(record)))
                end += 1
            ends[slot], latest[slot] = end, newest
        return ends, latest, rows

    def _insert(self, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            statement = "INSERT INTO records VALUES " + ",".join([_ROW] * len(rows))  # noqa: S608 (question marks only)
            self._connection.execute(statement, [value for row in rows for value in row])

    def _check(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_SCHEMA}; COMMIT;")
        elif version != _SCHEMA:
            raise Refused(f"the log {self._path} was written by another version (layout {version}, this one reads {_SCHEMA})")
        (partitions,) = self._connection.execute("SELECT coalesce(max(partitions), ?) FROM topics", (self._partitions,)).fetchone()
        for number, name in enumerate(TOPICS):
            self._connection.execute("INSERT OR IGNORE INTO topics VALUES (?,?,?,?)", (name, number, new_id(), partitions))
        for name, identity, partitions in self._connection.execute("SELECT name, identity, partitions FROM topics"):
            if partitions != self._partitions:
                raise TopicMismatch(
                    f"topic {name} in {self._path} has {partitions} partitions, and {self._partitions} are configured: "
                    f"set PROZESS_PARTITIONS={partitions}, or choose another folder (PROZESS_DATA)"
                )
            self.identities[name] = identity

    def _measure(self) -> None:
        for topic in TOPICS:
            for partition in range(self._partitions):
                slot = slot_at(topic, partition)
                low, high = slot * _SPAN, (slot + 1) * _SPAN
                if topic in COMPACTED:
                    self._compact(slot)
                span = "FROM records WHERE place >= ? AND place < ? ORDER BY place"
                first = self._connection.execute(f"SELECT place {span} LIMIT 1", (low, high)).fetchone()
                last = self._connection.execute(f"SELECT place, latest {span} DESC LIMIT 1", (low, high)).fetchone()
                self.begins[slot] = first[0] - low if first else 0
                self.ends[slot] = last[0] - low + 1 if last else 0
                self._latest[slot] = last[1] if last else 0

    def _compact(self, slot: int) -> None:
        """At the start nobody reads, so keys of which nothing is kept can go as well; the last record says where the end is."""
        span = _span(slot)
        self._grown[slot] = 0
        self._connection.execute(_TRIM, span)
        (last,) = self._connection.execute(f"SELECT max(place) {_IN_SPAN}", span).fetchone()
        if last is not None:
            self._connection.execute(_BURY, {**span, "high": last})


def _span(slot: int) -> dict[str, int]:
    return {"low": slot * _SPAN, "high": (slot + 1) * _SPAN}


def read_alone(connection: sqlite3.Connection, slot: int, start: int, end: int, limit: int) -> list[StoredRecord]:
    """The same as `read`, in a process that does nothing else meanwhile."""
    base, left = slot * _SPAN, _READ_BYTES
    found: list[StoredRecord] = []
    for place, time, key, value, headers in connection.execute(_READ_ROWS, (base + start, base + end, limit)):
        if left <= 0:
            break
        left -= len(value)
        found.append(StoredRecord(place - base, Record(key, value, _headers_of(orjson.loads(headers)), time)))
    return found


def read(connection: sqlite3.Connection, slot: int, start: int, end: int, limit: int) -> list[StoredRecord]:
    """Up to `limit` records and about 8 MiB from `start` on, below `end`."""
    base = slot * _SPAN
    unhex = bytes.fromhex
    (text,) = connection.execute(_READ, (base + start, base + end, limit, _READ_BYTES)).fetchone()
    return [
        StoredRecord(place - base, Record(unhex(key), unhex(value), _headers_of(headers), time))
        for place, time, key, value, headers in orjson.loads(text)
    ]


def read_marks(connection: sqlite3.Connection, group: str, topic: str, partitions: int) -> dict[int, int]:
    """The group's marks on this topic, by partition."""
    first = slot_at(topic, 0)
    rows = connection.execute("SELECT slot, offset FROM marks WHERE member_group = ?", (group,))
    return {slot - first: offset for slot, offset in rows if first <= slot < first + partitions}


def find_time(connection: sqlite3.Connection, slot: int, begin: int, end: int, time: int) -> int:
    """The first offset in [begin, end) whose time is `time` or later, else `end`: a search for the first `latest` that is."""
    base = slot * _SPAN
    while begin < end:
        middle = (begin + end) // 2
        (latest,) = connection.execute("SELECT latest FROM records WHERE place = ?", (base + middle,)).fetchone()
        if latest >= time:
            end = middle
        else:
            begin = middle + 1
    return begin


def _headers_of(pairs: list[list[str]]) -> tuple[tuple[str, bytes], ...]:
    return tuple([(name, one.encode("latin-1")) for name, one in pairs])


def _headers_to_text(record: Record) -> str:
    return orjson.dumps([[name, value.decode("latin-1")] for name, value in record.headers]).decode()
