"""The embedded log as somebody else's: read-only, while the process that holds it goes on writing.

In comes the file, out come its records; the command line looks at a running `prozess dev` this way. Nothing is ever
appended, and there is no wake-up between processes: the tail looks again every 100 ms.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from events.envelope import StoredRecord
from services.kit.embedded import file as sqlite_file
from services.kit.embedded.file import slot_at
from services.kit.errors import HistoryLost, Refused, Unreachable
from services.kit.log import Tail

T = TypeVar("T")
_SPAN = 1 << 40
_LOOK_S = 0.1


class SqliteView:
    """The reading half of `services.kit.log.Log`; its partitions are those that the file was made with."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._topics: dict[str, tuple[str, int]] = {}

    async def start(self) -> None:
        """Read which topics there are. Raises `Refused` where there is no log."""
        if not self._path.exists():
            raise Refused(f"there is no log in {self._path.parent} yet; give another folder with --data, or start `prozess dev`.")
        try:
            rows = await self._ask(lambda file: file.execute("SELECT name, identity, partitions FROM topics").fetchall())
        except Unreachable as wrong:
            raise Refused(f"{wrong}.") from None
        self._topics = {name: (identity, partitions) for name, identity, partitions in rows}

    async def stop(self) -> None:
        """Nothing is held."""

    def partitions(self, topic: str) -> int:
        """See `Log.partitions`."""
        return self._topics[topic][1]

    async def identity(self, topic: str) -> str:
        """See `Log.identity`."""
        return self._topics[topic][0]

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """See `Log.bounds`."""
        low = slot_at(topic, partition) * _SPAN
        question = "SELECT min(place), max(place) FROM records WHERE place >= ? AND place < ?"
        first, last = await self._ask(lambda file: file.execute(question, (low, low + _SPAN)).fetchone())
        return (0, 0) if first is None else (first - low, last - low + 1)

    async def read(self, topic: str, partition: int, start: int, limit: int = 1000) -> Sequence[StoredRecord]:
        """See `Log.read`."""
        first, end = await self.bounds(topic, partition)
        if not first <= start <= end:
            raise HistoryLost(f"offset {start} was asked for, and the log goes from {first} to {end}")
        return await self._ask(lambda file: sqlite_file.read_alone(file, slot_at(topic, partition), start, end, limit))

    def tail(self, topic: str, partition: int, start: int) -> Tail:
        """See `Log.tail`."""
        return _ViewTail(self, topic, partition, start)

    async def _ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def asked() -> T:
            file = sqlite3.connect(f"file:{quote(str(self._path))}?mode=ro", uri=True)
            try:
                return work(file)
            finally:
                file.close()

        try:
            return await asyncio.to_thread(asked)
        except sqlite3.Error as wrong:
            raise Unreachable(f"the log {self._path} cannot be read: {wrong}") from None


class _ViewTail:
    """See `services.kit.log.Tail`."""

    def __init__(self, view: SqliteView, topic: str, partition: int, start: int) -> None:
        self._view, self._topic, self._partition, self._place = view, topic, partition, start

    async def next(self) -> Sequence[StoredRecord]:
        """See `Tail.next`."""
        while not (found := await self._view.read(self._topic, self._partition, self._place)):  # noqa: ASYNC110 (no bell between processes)
            await asyncio.sleep(_LOOK_S)
        self._place = found[-1].offset + 1
        return found

    async def close(self) -> None:
        """See `Tail.close`."""
