"""The embedded log in a second process of the same program: the writer tells where its partitions end, the records come from the file.

In come ends as they are told; out come records, to tails that wake at once. Nothing is appended here. Groups live and die
with the process: nobody else is in them, and the rows' own checkpoint says where to go on.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from events.envelope import Record, StoredRecord
from services.kit.embedded import file as sqlite_file
from services.kit.embedded.file import slot_at
from services.kit.embedded.groups import Group
from services.kit.embedded.view import SqliteView
from services.kit.errors import AppendFailed, HistoryLost, Unreachable
from services.kit.log import Appender, Member, Tail

T = TypeVar("T")
_LIMIT = 1_000
_ELSEWHERE = "only the process that holds the log writes it; nothing was written"


class HeardLog(SqliteView):
    """See `services.kit.log.Log`. `hear` is told what the writer's commits led to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file: sqlite3.Connection | None = None
        self._ends: dict[int, int] = {}
        self._bells: dict[int, list[asyncio.Event]] = {}

    @property
    def reachable(self) -> bool:
        """See `Log.reachable`: the writer knows."""
        return True

    @property
    def trouble(self) -> str:
        """See `Log.trouble`."""
        return ""

    async def stop(self) -> None:
        """Close the file. Safe to call twice."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def hear(self, slot: int, end: int) -> None:
        """The slot goes on to `end` now."""
        self._ends[slot] = end
        for bell in self._bells.get(slot, ()):
            bell.set()

    def tail(self, topic: str, partition: int, start: int) -> Tail:
        """See `Log.tail`."""
        return _HeardTail(self, topic, partition, start)

    async def join(self, group: str, topic: str) -> Member:
        """See `Log.join`: alone."""

        async def forget(partition: int, offset: int) -> None:
            """Marks are hints, and nobody would read these."""

        return Group(group, self.partitions(topic), {}, forget).join()

    async def append(self, topic: str, partition: int, records: Sequence[Record]) -> int:  # noqa: ARG002 (the port's words)
        """Raises `AppendFailed`."""
        raise AppendFailed(_ELSEWHERE)

    async def appender(self, topic: str, partition: int) -> Appender:  # noqa: ARG002 (the port's words)
        """Raises `Unreachable`."""
        raise Unreachable(_ELSEWHERE)

    async def offset_at(self, topic: str, partition: int, time: int) -> int:
        """See `Log.offset_at`."""
        begin, end = await self.bounds(topic, partition)
        return await self._ask(lambda file: sqlite_file.find_time(file, slot_at(topic, partition), begin, end, time))

    async def end(self, topic: str, partition: int) -> int:
        """Where the partition ends: as was told, or else as the file says."""
        slot = slot_at(topic, partition)
        if slot not in self._ends:
            _, end = await self.bounds(topic, partition)
            self._ends[slot] = max(end, self._ends.get(slot, 0))
        return self._ends[slot]

    async def span(self, topic: str, partition: int, start: int, end: int) -> Sequence[StoredRecord]:
        """Some records from `start` on, below an `end` that was told."""
        return await self._ask(lambda file: sqlite_file.read_alone(file, slot_at(topic, partition), start, end, _LIMIT))

    def bell(self, topic: str, partition: int) -> asyncio.Event:
        """Is set whenever the partition grows; give it back with `unhang`."""
        bell = asyncio.Event()
        self._bells.setdefault(slot_at(topic, partition), []).append(bell)
        return bell

    def unhang(self, topic: str, partition: int, bell: asyncio.Event) -> None:
        """Nobody waits for it any more. Safe to call twice."""
        bells = self._bells.get(slot_at(topic, partition), [])
        if bell in bells:
            bells.remove(bell)

    async def _ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Here and at once: this process has nothing to do but what it reads."""
        try:
            if self._file is None:
                self._file = sqlite3.connect(f"file:{quote(str(self._path))}?mode=ro", uri=True, isolation_level=None)
            return work(self._file)
        except sqlite3.Error as wrong:
            raise Unreachable(f"the log {self._path} cannot be read: {wrong}") from None


class _HeardTail:
    """See `services.kit.log.Tail`."""

    def __init__(self, log: HeardLog, topic: str, partition: int, start: int) -> None:
        self._log, self._topic, self._partition, self._place = log, topic, partition, start
        self._bell = log.bell(topic, partition)

    async def next(self) -> Sequence[StoredRecord]:
        """See `Tail.next`."""
        while True:
            self._bell.clear()
            end = await self._log.end(self._topic, self._partition)
            if end < self._place:
                raise HistoryLost(f"offset {self._place} was asked for, and the log ends at {end}")
            if end > self._place and (found := await self._log.span(self._topic, self._partition, self._place, end)):
                if found[0].offset != self._place:
                    raise HistoryLost(f"offset {self._place} was asked for, and the log begins at {found[0].offset}")
                self._place = found[-1].offset + 1
                return found
            await self._bell.wait()

    async def close(self) -> None:
        """See `Tail.close`."""
        self._log.unhang(self._topic, self._partition, self._bell)
