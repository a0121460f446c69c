"""The embedded log can be read by another process while its own goes on writing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events.envelope import Record
from events.topics import COMMANDS, EVENTS
from services.kit.embedded.log import SqliteLog
from services.kit.embedded.view import SqliteView
from services.kit.errors import HistoryLost, Refused


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteLog]:
    log = SqliteLog(tmp_path / "log.sqlite", 3)
    await log.start()
    yield log
    await log.stop()


@pytest.fixture
async def view(log: SqliteLog, tmp_path: Path) -> SqliteView:
    view = SqliteView(tmp_path / "log.sqlite")
    await view.start()
    return view


def record(text: str) -> Record:
    return Record(key=b"k", value=text.encode(), headers=(("ce_id", b"1"),), time=7)


async def test_it_sees_what_the_holder_wrote(log: SqliteLog, view: SqliteView):
    await log.append(EVENTS, 1, [record("a"), record("b")])

    assert (view.partitions(EVENTS), await view.bounds(EVENTS, 1), await view.bounds(COMMANDS, 1)) == (3, (0, 2), (0, 0))
    assert await view.identity(EVENTS) == await log.identity(EVENTS)
    assert [stored.record for stored in await view.read(EVENTS, 1, 1)] == [record("b")]


async def test_its_tail_goes_on_with_what_is_written_later(log: SqliteLog, view: SqliteView):
    tail = view.tail(EVENTS, 0, 0)
    waiting = asyncio.create_task(tail.next())
    await log.append(EVENTS, 0, [record("first")])

    assert [stored.record.value for stored in await waiting] == [b"first"]
    await log.append(EVENTS, 0, [record("second")])
    assert [(stored.offset, stored.record.value) for stored in await tail.next()] == [(1, b"second")]
    await tail.close()


async def test_a_place_outside_the_log_is_lost_history(view: SqliteView):
    with pytest.raises(HistoryLost):
        await view.read(EVENTS, 0, 1)


async def test_where_there_is_no_log_it_is_refused_and_none_is_made(tmp_path: Path):
    with pytest.raises(Refused, match="there is no log in"):
        await SqliteView(tmp_path / "log.sqlite").start()

    assert not list(tmp_path.iterdir())  # noqa: ASYNC240 (a test may look)


async def test_a_file_that_is_no_log_is_refused(tmp_path: Path):
    tmp_path.joinpath("log.sqlite").write_bytes(b"sausage" * 1000)

    with pytest.raises(Refused, match="cannot be read"):
        await SqliteView(tmp_path / "log.sqlite").start()
