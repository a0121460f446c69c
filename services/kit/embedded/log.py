"""The embedded log: one SQLite file that keeps the promises of `services.kit.log` without a broker.

Appends go through one writer thread with group commit; committed batches go straight to the tails in memory, and who
lags or begins in the middle reads from the file in a thread. One process at a time: a second one is refused at start.
Retention is left out on purpose: the file keeps what it was given.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from events.envelope import Record, StoredRecord
from services.kit.batches import check_batch
from services.kit.embedded import file as sqlite_file
from services.kit.embedded.file import Batch, LogFile, Mark, slot_at
from services.kit.embedded.groups import Group, Store
from services.kit.embedded.writer import Writer
from services.kit.errors import AppendFailed, HistoryLost, Unreachable
from services.kit.log import Appender, Member, Tail

T = TypeVar("T")
_CLOSED = "the log is closed"
_AHEAD_BYTES = 8 * 1024 * 1024
_READERS = 2
_DEADLINE_S = 20.0
_PULSE_S = 1.0
_PULSE = Mark("prozess-pulse", 0, 0)


class SqliteLog:
    """See `services.kit.log.Log`."""

    def __init__(self, path: Path, partitions: int) -> None:
        self._path = path
        self._partitions = partitions
        self._file = LogFile(path, partitions)
        self._writer: Writer | None = None
        self._trouble = _CLOSED
        self._pulse: asyncio.Task[None] | None = None
        self._ends: dict[int, int] = {}
        self._tails: dict[int, set[SqliteTail]] = {}
        self._groups: dict[tuple[str, str], Group] = {}
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._heard: Callable[[int, int], None] | None = None

    async def start(self) -> None:
        """See `Log.start`. Raises `LogInUse`, `TopicMismatch`, `Refused`."""
        await asyncio.to_thread(self._file.open)
        self._ends = dict(self._file.ends)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="prozess-log-reader", initializer=self._connect)
        self._writer = Writer(self._file, self._committed)
        self._trouble = ""

    async def stop(self) -> None:
        """See `Log.stop`. What was handed to the writer is written first. Safe to call twice."""
        writer, self._writer = self._writer, None
        self._trouble = _CLOSED
        if self._pulse is not None:
            self._pulse.cancel()
            await asyncio.wait({self._pulse})
        if writer is not None:
            if not await writer.close(_DEADLINE_S):
                return
            await asyncio.to_thread(self._readers.shutdown)
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            await asyncio.to_thread(self._file.close)

    @property
    def reachable(self) -> bool:
        """See `Log.reachable`. After a failure one small write a second says when the file can be written again."""
        return not self._trouble

    @property
    def trouble(self) -> str:
        """See `Log.trouble`."""
        return self._trouble

    def partitions(self, topic: str) -> int:
        """See `Log.partitions`."""
        slot_at(topic, 0)
        return self._partitions

    async def identity(self, topic: str) -> str:
        """See `Log.identity`: made with the file."""
        return self._file.identities[topic]

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """See `Log.bounds`."""
        return self.bounds_now(slot_at(topic, partition))

    async def read(self, topic: str, partition: int, start: int, limit: int = 1000) -> Sequence[StoredRecord]:
        """See `Log.read`."""
        return await self.read_slot(slot_at(topic, partition), start, limit)

    def tail(self, topic: str, partition: int, start: int) -> Tail:
        """See `Log.tail`."""
        slot = slot_at(topic, partition)
        tail = SqliteTail(self, slot, start)
        self._tails.setdefault(slot, set()).add(tail)
        return tail

    async def append(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        """See `Log.append`."""
        if self._writer is None:
            raise AppendFailed("the log is closed; nothing was written")
        if partition not in range(self._partitions):
            raise ValueError(f"topic {topic} has no partition {partition}")
        size = check_batch(records)
        return await self._write(self._writer, Batch(slot_at(topic, partition), records, size), size)

    async def appender(self, topic: str, partition: int) -> Appender:
        """See `Log.appender`."""
        return SqliteAppender(self, topic, partition)

    async def offset_at(self, topic: str, partition: int, time: int) -> int:
        """See `Log.offset_at`."""
        slot = slot_at(topic, partition)
        begin, end = self.bounds_now(slot)
        return await self._in_reader(lambda connection: sqlite_file.find_time(connection, slot, begin, end, time))

    async def join(self, group: str, topic: str) -> Member:
        """See `Log.join`."""
        found = self._groups.get((group, topic))
        if found is None:
            marks = await self._in_reader(lambda connection: sqlite_file.read_marks(connection, group, topic, self._partitions))
            found = self._groups.setdefault((group, topic), Group(group, self._partitions, marks, self._keep_mark(group, topic)))
        return found.join()

    def on_growth(self, heard: Callable[[int, int], None] | None) -> None:
        """Tell somebody of every slot that grew, and where it ends then; None: nobody any more."""
        self._heard = heard

    def bounds_now(self, slot: int) -> tuple[int, int]:
        """The bounds of a slot, as far as everybody has been told."""
        return self._file.begins[slot], self._ends[slot]

    def check_place(self, slot: int, start: int) -> int:
        """The end of the slot. Raises `HistoryLost` when `start` is outside of it."""
        begin, end = self.bounds_now(slot)
        if not begin <= start <= end:
            raise HistoryLost(f"offset {start} was asked for, and the log goes from {begin} to {end}")
        return end

    async def read_slot(self, slot: int, start: int, limit: int) -> list[StoredRecord]:
        """Records of a slot. Raises `HistoryLost`, `Unreachable`."""
        end = self.check_place(slot, start)
        if start == end:
            return []
        return await self._in_reader(lambda connection: sqlite_file.read(connection, slot, start, end, limit))

    def forget(self, slot: int, tail: "SqliteTail") -> None:
        """A tail was closed."""
        self._tails[slot].discard(tail)

    def _keep_mark(self, group: str, topic: str) -> Store:
        async def keep(partition: int, offset: int) -> None:
            if self._writer is None:
                raise Unreachable("the log is closed")
            try:
                await self._write(self._writer, Mark(group, slot_at(topic, partition), offset))
            except AppendFailed as failed:
                raise Unreachable(f"the mark was not kept: {failed}") from None

        return keep

    async def _write(self, writer: Writer, what: Batch | Mark, size: int = 0) -> int:
        """Raises `AppendFailed`, also after the deadline: then it may still be written."""
        try:
            async with asyncio.timeout(_DEADLINE_S):
                first = await writer.write(what, size)
        except TimeoutError:
            self._suffer(f"the log's file was not written in {_DEADLINE_S:g} s")
            raise AppendFailed(f"the log's file was not written in {_DEADLINE_S:g} s; it may still be") from None
        except AppendFailed as failed:
            self._suffer(str(failed))
            raise
        self._trouble = ""
        return first

    def _suffer(self, why: str) -> None:
        self._trouble = why
        if self._writer is not None and (self._pulse is None or self._pulse.done()):
            self._pulse = asyncio.create_task(self._feel_pulse(self._writer))

    async def _feel_pulse(self, writer: Writer) -> None:
        """Whether the file can be written again. Nobody else may want to write now."""
        while self._trouble:
            await asyncio.sleep(_PULSE_S)
            with contextlib.suppress(AppendFailed):
                await self._write(writer, _PULSE)

    def _committed(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self._ends[batch.slot] = batch.first + len(batch.records)
            if self._heard is not None:
                self._heard(batch.slot, self._ends[batch.slot])
            tails = self._tails.get(batch.slot)
            if tails:
                stored = [StoredRecord(batch.first + place, record) for place, record in enumerate(batch.records)]
                for tail in tails:
                    tail.hand(stored, batch.size)

    def _connect(self) -> None:
        self._local.connection = sqlite_file.connect(self._path)
        self._connections.append(self._local.connection)

    async def _in_reader(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._writer is None:
            raise Unreachable("the log is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, lambda: work(self._local.connection))
        except sqlite3.Error as wrong:
            self._suffer(f"the log's file could not be read: {wrong}")
            raise Unreachable(f"the log's file could not be read: {wrong}") from None


class SqliteAppender:
    """See `services.kit.log.Appender`."""

    def __init__(self, log: SqliteLog, topic: str, partition: int) -> None:
        self._log = log
        self._topic = topic
        self._partition = partition
        self._closed = ""

    async def append(self, records: Sequence[Record]) -> int:
        """See `Appender.append`."""
        if self._closed:
            raise AppendFailed(self._closed)
        try:
            return await self._log.append(self._topic, self._partition, records)
        except AppendFailed as failed:
            self._closed = f"this appender is closed since: {failed}"
            raise

    async def close(self) -> None:
        """See `Appender.close`."""
        self._closed = self._closed or "this appender was closed"


class SqliteTail:
    """See `services.kit.log.Tail`. What was committed since the last `next` waits in memory, up to about 8 MiB."""

    def __init__(self, log: SqliteLog, slot: int, start: int) -> None:
        self._log = log
        self._slot = slot
        self._place = start
        self._ahead: list[StoredRecord] = []
        self._bytes = 0
        self._news = asyncio.Event()

    async def next(self) -> Sequence[StoredRecord]:
        """See `Tail.next`."""
        while not self._ahead:
            if self._place != self._log.check_place(self._slot, self._place):
                return self._take(await self._log.read_slot(self._slot, self._place, 1000))
            self._news.clear()
            await self._news.wait()
        return self._take(self._ahead)

    async def close(self) -> None:
        """See `Tail.close`."""
        self._log.forget(self._slot, self)

    def hand(self, stored: Sequence[StoredRecord], size: int) -> None:
        """Committed records: kept when they follow what is known and there is room; else `next` reads them from the file."""
        if stored[0].offset == self._place + len(self._ahead) and self._bytes < _AHEAD_BYTES:
            self._ahead.extend(stored)
            self._bytes += size
        self._news.set()

    def _take(self, stored: list[StoredRecord]) -> list[StoredRecord]:
        self._place = stored[-1].offset + 1
        self._ahead, self._bytes = [], 0
        return stored
