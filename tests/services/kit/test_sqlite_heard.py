"""The embedded log in a second process of the same program: what is told wakes its tails, what they give comes from the file."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events.envelope import Record
from events.topics import COMMANDS, EVENTS
from services.kit.embedded.file import slot_at
from services.kit.embedded.heard import HeardLog
from services.kit.embedded.log import SqliteLog
from services.kit.errors import AppendFailed, HistoryLost
from services.kit.log import Assigned


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteLog]:
    log = SqliteLog(tmp_path / "log.sqlite", 3)
    await log.start()
    yield log
    await log.stop()


@pytest.fixture
async def heard(log: SqliteLog, tmp_path: Path) -> AsyncIterator[HeardLog]:
    heard = HeardLog(tmp_path / "log.sqlite")
    await heard.start()
    log.on_growth(heard.hear)
    yield heard
    await heard.stop()


def record(text: str, time: int = 7) -> Record:
    return Record(key=b"k", value=text.encode(), headers=(("ce_id", b"1"),), time=time)


async def test_a_tail_gives_what_was_there_and_wakes_for_what_comes(log: SqliteLog, heard: HeardLog):
    await log.append(EVENTS, 1, [record("before")])
    tail = heard.tail(EVENTS, 1, 0)

    assert [stored.record for stored in await tail.next()] == [record("before")]
    waiting = asyncio.create_task(tail.next())
    await log.append(COMMANDS, 1, [record("not for it")])
    await log.append(EVENTS, 1, [record("a"), record("b")])
    assert [(stored.offset, stored.record.value) for stored in await waiting] == [(1, b"a"), (2, b"b")]
    await tail.close()
    await tail.close()


async def test_a_tail_gives_nothing_that_was_not_told_yet(log: SqliteLog, heard: HeardLog):
    tail = heard.tail(EVENTS, 0, 0)
    waiting = asyncio.create_task(tail.next())
    await log.append(EVENTS, 0, [record("told")])
    assert [stored.offset for stored in await waiting] == [0]
    log.on_growth(None)
    await log.append(EVENTS, 0, [record("not told")])

    waiting = asyncio.create_task(tail.next())
    _, pending = await asyncio.wait({waiting}, timeout=0)
    heard.hear(slot_at(EVENTS, 0), 2)

    assert pending == {waiting}
    assert [stored.offset for stored in await waiting] == [1]


async def test_a_tail_beyond_the_end_is_lost_history(heard: HeardLog):
    with pytest.raises(HistoryLost, match="offset 5 was asked for"):
        await heard.tail(EVENTS, 0, 5).next()


async def test_its_only_member_has_every_partition_and_times_are_found(log: SqliteLog, heard: HeardLog):
    await log.append(EVENTS, 0, [record("a", 10), record("b", 20)])
    member = await heard.join("group", EVENTS)

    assert await anext(aiter(member.changes())) == Assigned(frozenset({0, 1, 2}))
    await member.commit(0, 2)
    assert await member.committed(0) == 2
    assert [await heard.offset_at(EVENTS, 0, time) for time in (10, 11, 21)] == [0, 1, 2]


async def test_it_never_appends(heard: HeardLog):
    with pytest.raises(AppendFailed, match="nothing was written"):
        await heard.append(EVENTS, 0, [record("a")])
