"""The local file of one ownership: a cache of what the newest snapshot says of runs that rest and of ids, and nothing else.

In go rows, out they come again, one by one or by the time they are due; ids are found by name. The file is made anew for each
ownership and never synced; who loses it reads the snapshots again. Where it cannot be written (a full disk) the ownership ends,
and is tried again.
"""

import contextlib
import sqlite3
from collections.abc import Generator, Iterable
from hashlib import blake2b
from pathlib import Path

import orjson

from services.kit.errors import Unreachable
from services.processor.memory.ids import Id, name_of, time_of
from services.processor.memory.snapshots import Row

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA cache_size = -2048;
CREATE TABLE streams (
    stream TEXT PRIMARY KEY, position INTEGER, was INTEGER, base TEXT, upto INTEGER, rests INTEGER, due INTEGER, row BLOB
) WITHOUT ROWID;
CREATE INDEX streams_due ON streams (due) WHERE due IS NOT NULL;
CREATE TABLE chunks (number INTEGER PRIMARY KEY, time INTEGER NOT NULL, ids BLOB NOT NULL);
CREATE TABLE names (name BLOB PRIMARY KEY, time INTEGER NOT NULL, chunk INTEGER NOT NULL) WITHOUT ROWID;
"""
_NAME = """
INSERT INTO names VALUES (?,?,?) ON CONFLICT (name) DO UPDATE SET time = excluded.time, chunk = excluded.chunk WHERE names.time < ?
"""
_FIND = "SELECT ids, names.time FROM names JOIN chunks ON number = chunk WHERE name = ?"


@contextlib.contextmanager
def _telling() -> Generator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as wrong:
        raise Unreachable(f"the local file of runs that rest and of ids cannot be used: {wrong}") from None


class LocalFile:
    """Made anew for one claim of a partition: what is left of others there goes."""

    def __init__(self, folder: Path, partition: int, claim: str) -> None:
        self._path = folder / f"partition-{partition}-{claim}.sqlite"
        with _telling(), contextlib.ExitStack() as undo:
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob(f"partition-{partition}-*.sqlite"):
                left.unlink(missing_ok=True)
            file = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            undo.callback(file.close)
            file.executescript(_TABLES)
            undo.pop_all()
        self.rows = FileRows(file)
        self.ids = FileIds(file)
        self._file = file

    def close(self) -> None:
        """The file goes."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class FileIds:
    """See `services.processor.memory.ids.Kept`. Every call is one quick step on a local file.

    Ids stand together as they came, so that only a digest of each name goes to a place of its own.
    """

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file
        self._number = 0
        self._swept = 0
        self._since = 0

    def keep(self, ids: Iterable[Id]) -> None:
        """See `Kept.keep`."""
        ids = list(ids)
        names = sorted((_digest(name_of(one)), time_of(one)) for one in ids)
        if not ids:
            return
        with _telling():
            self._file.execute("BEGIN")
            self._number += 1
            self._file.execute("INSERT INTO chunks VALUES (?,?,?)", (self._number, max(map(time_of, ids)), orjson.dumps(ids)))
            self._file.executemany(_NAME, [(name, time, self._number, self._since) for name, time in names])
            self._file.execute("COMMIT")

    def find(self, name: Id) -> Id | None:
        """See `Kept.find`."""
        with _telling():
            found = self._file.execute(_FIND, (_digest(name),)).fetchone()
        if found is None:
            return None
        ids, time = orjson.loads(found[0]), found[1]
        return next((one for one in map(tuple, ids) if name_of(one) == name and time_of(one) == time), None)

    def forget(self, since: int) -> None:
        """See `Kept.forget`. The names of what is forgotten go slowly, some with each call."""
        self._since, begin = since, self._swept
        self._swept = (begin + 1) % 256
        with _telling():
            self._file.execute("DELETE FROM chunks WHERE time < ?", (since,))
            self._file.execute(
                "DELETE FROM names WHERE name BETWEEN ? AND ? AND chunk NOT IN (SELECT number FROM chunks)",
                (bytes([begin]), bytes([begin] + [255] * 16)),
            )

    @property
    def names(self) -> int:
        """How many names the file has."""
        count: int = self._file.execute("SELECT count(*) FROM names").fetchone()[0]
        return count

    def all(self) -> Iterable[Id]:
        """See `Kept.all`."""
        chunks = self._file.execute("SELECT number, ids FROM chunks ORDER BY number")
        named: set[Id] = set()
        for _, ids in chunks.fetchall():
            for one in map(tuple, orjson.loads(ids)):
                if time_of(one) >= self._since and name_of(one) not in named:
                    named.add(name_of(one))
                    yield one


def _digest(name: Id) -> bytes:
    return blake2b(orjson.dumps(name), digest_size=16).digest()


class FileRows:
    """See `services.processor.memory.snapshots.Rows`. Every call is one quick step on a local file."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file
        self._some = False

    def put(self, rows: Iterable[Row]) -> None:
        """See `Rows.put`."""
        values = [
            (row.stream, row.position, row.was, row.base, row.upto, row.rests, row.due, row.model_dump_json().encode()) for row in rows
        ]
        if values:
            with _telling():
                self._file.execute("BEGIN")
                self._file.executemany("INSERT OR REPLACE INTO streams VALUES (?,?,?,?,?,?,?,?)", values)
                self._file.execute("COMMIT")
            self._some = True

    def take(self, stream: str) -> Row | None:
        """See `Rows.take`."""
        if not self._some:
            return None
        with _telling():
            found = self._file.execute("DELETE FROM streams WHERE stream = ? RETURNING row", (stream,)).fetchall()
        return Row.model_validate_json(found[0][0]) if found else None

    def rows(self) -> Iterable[tuple[str, int, int, str, int, bool]]:
        """See `Rows.rows`."""
        for stream, position, was, base, upto, rests in self._file.execute("SELECT stream, position, was, base, upto, rests FROM streams"):
            yield stream, position, was, base, upto, bool(rests)

    def due_before(self, time: int) -> list[tuple[str, int]]:
        """See `Rows.due_before`."""
        return self._file.execute("SELECT stream, due FROM streams WHERE due < ?", (time,)).fetchall()

    def clear(self) -> None:
        """See `Rows.clear`."""
        with _telling():
            self._file.execute("DELETE FROM streams")
        self._some = False

    def __len__(self) -> int:
        count: int = self._file.execute("SELECT count(*) FROM streams").fetchone()[0] if self._some else 0
        return count
