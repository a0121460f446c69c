"""The local file of the runs that rest: a cache of what the newest snapshot says of them, and nothing else.

In go rows, out they come again, one by one or by the time they are due. The file is made anew for each ownership and never
synced; who loses it reads the snapshots again. Where it cannot be written (a full disk) the ownership ends, and is tried again.
"""

import contextlib
import sqlite3
from collections.abc import Generator, Iterable
from pathlib import Path

from services.kit.errors import Unreachable
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


@contextlib.contextmanager
def _telling() -> Generator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as wrong:
        raise Unreachable(f"the local file of resting runs cannot be used: {wrong}") from None


class FileRows:
    """See `services.processor.snapshots.Rows`. Every call is one quick step on a local file."""

    def __init__(self, folder: Path, partition: int, claim: str) -> None:
        self._path = folder / f"partition-{partition}-{claim}.sqlite"
        self._some = False
        with _telling(), contextlib.ExitStack() as undo:
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob(f"partition-{partition}-*.sqlite"):
                left.unlink(missing_ok=True)
            self._file = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            undo.callback(self._file.close)
            self._file.executescript(_TABLES)
            undo.pop_all()

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

    def close(self) -> None:
        """The file goes."""
        self._file.close()
        self._some = False
        self._path.unlink(missing_ok=True)

    def __len__(self) -> int:
        count: int = self._file.execute("SELECT count(*) FROM streams").fetchone()[0] if self._some else 0
        return count
