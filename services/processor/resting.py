"""The local file of the runs that rest: a cache of what the newest snapshot says of them, and nothing else.

In go rows, out they come again, one by one or by the time they are due. The file is made anew for each ownership and never
synced; who loses it reads the snapshots again.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from services.processor.snapshots import Row

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA cache_size = -8192;
CREATE TABLE streams (
    stream TEXT PRIMARY KEY, position INTEGER, was INTEGER, base TEXT, upto INTEGER, rests INTEGER, due INTEGER, row BLOB
) WITHOUT ROWID;
CREATE INDEX streams_due ON streams (due) WHERE due IS NOT NULL;
"""


class FileRows:
    """See `services.processor.snapshots.Rows`. Every call is one quick step on a local file."""

    def __init__(self, folder: Path, partition: int, claim: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"partition-{partition}-*.sqlite"):
            left.unlink(missing_ok=True)
        path = folder / f"partition-{partition}-{claim}.sqlite"
        self._path = path
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._file.executescript(_TABLES)
        self._some = False

    def put(self, rows: Iterable[Row]) -> None:
        """See `Rows.put`."""
        values = [
            (row.stream, row.position, row.was, row.base, row.upto, row.rests, row.due, row.model_dump_json().encode()) for row in rows
        ]
        if values:
            self._file.execute("BEGIN")
            self._file.executemany("INSERT OR REPLACE INTO streams VALUES (?,?,?,?,?,?,?,?)", values)
            self._file.execute("COMMIT")
            self._some = True

    def take(self, stream: str) -> Row | None:
        """See `Rows.take`."""
        if not self._some:
            return None
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
        self._file.execute("DELETE FROM streams")
        self._some = False

    def close(self) -> None:
        """The file goes."""
        self._file.close()
        self._some = False
        self._path.unlink(missing_ok=True)

    def __len__(self) -> int:
        count: int = self._file.execute("SELECT count(*) FROM streams").fetchone()[0] if self._some else 0
        return count
