"""The embedded log keeps the log's promises, and those that only a file can break."""

import asyncio
import contextlib
import resource
import signal
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from events.topics import EVENTS, SNAPSHOTS
from services.kit.embedded import log as sqlite
from services.kit.embedded.file import Batch, Mark, slot_at
from services.kit.embedded.log import SqliteLog, SqliteTail
from services.kit.errors import AppendFailed, LogInUse, Refused
from services.kit.log import Log, tombstone
from tests.contracts.log_contract import LogContract
from tests.contracts.log_place import Place, a_record, read_all, some, take, texts

HOLDER = """
import asyncio, sys, pathlib
from events.envelope import Record
from events.topics import EVENTS
from services.kit.embedded.log import SqliteLog, SqliteTail

async def hold():
    log = SqliteLog(pathlib.Path(sys.argv[1]), 4)
    await log.start()
    await log.append(EVENTS, 0, [Record(b"key", b"acknowledged")])
    print("held", flush=True)
    await asyncio.Event().wait()

asyncio.run(hold())
"""


class FilePlace(Place):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def make(self, partitions: int) -> SqliteLog:
        return SqliteLog(self.path, partitions)

    async def trim(self, log: Log, topic: str, partition: int, before: int) -> Log:
        await self.stop_all()
        base = slot_at(topic, partition) << 40
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("DELETE FROM records WHERE place >= ? AND place < ?", (base, base + before))
        return await self.open()

    async def destroy(self) -> None:
        for file in self.path.parent.iterdir():
            file.unlink()


@contextlib.contextmanager
def no_room(beyond: int) -> Iterator[None]:
    """No file of this process may grow beyond this size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (beyond, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[FilePlace]:
    place = FilePlace(tmp_path / "log" / "log.sqlite")
    yield place
    await place.stop_all()


class TestSqliteLog(LogContract):
    async def test_a_second_log_on_the_file_is_refused_in_one_sentence(self, place: FilePlace) -> None:
        await place.open()
        with pytest.raises(LogInUse, match=r"is in use by process \d+: stop it, or choose another folder"):
            await place.open()
        await place.stop_all()
        await place.open()

    async def test_a_killed_process_lets_go_and_what_it_acknowledged_is_there(self, place: FilePlace) -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, str(place.path), stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"held\n"
        with pytest.raises(LogInUse, match=f"process {process.pid}:"):
            await place.open()
        process.send_signal(signal.SIGKILL)
        await process.communicate()
        assert texts(await read_all(await place.open())) == ["acknowledged"]

    async def test_a_full_disk_fails_the_append_leaves_nothing_and_closes_the_appender(self, place: FilePlace) -> None:
        log = await place.open()
        appender = await log.appender(EVENTS, 0)
        await appender.append(some(1, "before"))
        full = place.path.with_name("log.sqlite-wal").stat().st_size
        with no_room(full):
            with pytest.raises(AppendFailed):
                await appender.append(some(500, "lost"))
            assert not log.reachable
        with pytest.raises(AppendFailed):
            await appender.append(some(1, "late"))
        assert await (await log.appender(EVENTS, 0)).append(some(1, "after")) == 1
        assert log.reachable
        assert texts(await read_all(log)) == ["before0", "after0"]
        await place.stop_all()
        assert texts(await read_all(await place.open())) == ["before0", "after0"]

    async def test_a_full_disk_fails_all_who_wait_for_the_same_commit(self, place: FilePlace) -> None:
        log = await place.open()
        await log.append(EVENTS, 0, some(1))
        full = place.path.with_name("log.sqlite-wal").stat().st_size
        with no_room(full):
            outcomes = await asyncio.gather(*(log.append(EVENTS, one % 4, some(100)) for one in range(8)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {AppendFailed}
        assert [await log.bounds(EVENTS, partition) for partition in range(4)] == [(0, 1), (0, 0), (0, 0), (0, 0)]

    async def test_a_tail_that_nobody_asks_keeps_little_in_memory(self, place: FilePlace) -> None:
        log = await place.open()
        tail = log.tail(EVENTS, 0, 0)
        for _ in range(12):
            await log.append(EVENTS, 0, [a_record("x" * 1_000_000)])
        assert isinstance(tail, SqliteTail)
        assert len(tail._ahead) < 10
        assert len(await take(tail, 12)) == 12

    async def test_a_file_that_is_no_log_is_refused(self, place: FilePlace) -> None:
        place.path.parent.mkdir()
        place.path.write_bytes(b"these are my holiday notes" * 100)
        with pytest.raises(Refused, match="cannot be opened"):
            await place.open()

    async def test_a_log_of_another_version_is_refused(self, place: FilePlace) -> None:
        await place.open()
        await place.stop_all()
        with contextlib.closing(sqlite3.connect(place.path)) as connection:
            connection.execute("PRAGMA user_version = 99")
        with pytest.raises(Refused, match="written by another version"):
            await place.open()

    async def test_a_folder_that_cannot_be_made_is_refused(self, place: FilePlace) -> None:
        place.path.parent.write_text("a file where the folder should be")
        with pytest.raises(Refused, match="cannot be opened"):
            await place.open()

    async def test_a_compacted_topic_does_not_grow_with_what_is_written(self, place: FilePlace) -> None:
        log = await place.open()
        for _ in range(5):
            await log.append(SNAPSHOTS, 0, [a_record(str(number), key=f"run-{number % 100}") for number in range(5_000)])
        stored = await log.read(SNAPSHOTS, 0, 0, 1_000)
        assert len(stored) == 100
        assert stored[-1].offset == 24_999
        await log.append(SNAPSHOTS, 0, [tombstone(b"run-1", 0), a_record("last", key="run-2")])
        await place.stop_all()
        with contextlib.closing(sqlite3.connect(place.path)) as connection:
            assert connection.execute("SELECT count(*) FROM records").fetchone() == (102,)
        log = await place.open()
        assert len(await log.read(SNAPSHOTS, 0, (await log.bounds(SNAPSHOTS, 0))[0])) == 99

    async def test_a_log_from_before_a_topic_was_there_gets_it(self, place: FilePlace) -> None:
        log = await place.open()
        await log.append(EVENTS, 0, some(1))
        await place.stop_all()
        with contextlib.closing(sqlite3.connect(place.path)) as connection, connection:
            connection.execute("DELETE FROM topics WHERE name = ?", (SNAPSHOTS,))
        log = await place.open()
        assert await log.append(SNAPSHOTS, 3, some(1)) == 0
        assert await log.identity(SNAPSHOTS) != await log.identity(EVENTS)
        assert len(await read_all(log)) == 1

    async def test_stopping_waits_for_what_was_handed_over(self, place: FilePlace) -> None:
        log = await place.open()
        writing = [asyncio.create_task(log.append(EVENTS, 0, some(1))) for _ in range(20)]
        await asyncio.gather(*writing[:1])
        await place.stop_all()
        assert sorted(await asyncio.gather(*writing)) == list(range(20))


async def test_a_file_that_hangs_fails_the_append_in_time_and_is_told_until_it_goes_on(
    place: FilePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_DEADLINE_S", 0.2)
    monkeypatch.setattr(sqlite, "_PULSE_S", 0.01)
    log = await place.open()
    assert isinstance(log, SqliteLog)
    appender = await log.appender(EVENTS, 0)
    write, goes_on = log._file.write, threading.Event()

    def hang(jobs: Sequence[Batch | Mark]) -> None:
        goes_on.wait()
        write(jobs)

    monkeypatch.setattr(log._file, "write", hang)
    try:
        with pytest.raises(AppendFailed, match="it may still be"):
            await appender.append(some(1, "late"))
        assert (log.reachable, log.trouble) == (False, "the log's file was not written in 0.2 s")
        with pytest.raises(AppendFailed, match="closed since"):
            await appender.append(some(1))
    finally:
        goes_on.set()
    async with asyncio.timeout(30):
        while not log.reachable:  # noqa: ASYNC110 (the pulse tells nobody)
            await asyncio.sleep(0.01)
    await log.append(EVENTS, 0, some(1, "next"))
    assert texts(await read_all(log)) == ["late0", "next0"]
