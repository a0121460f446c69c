"""aiosqlite with one trip for each statement: the rows are the same, however many they are and however they are asked for."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.kit.database import Database
from services.kit.one_trip import FEW, OneTrip

COUNTS = (0, 1, FEW - 1, FEW, FEW + 1, 3 * FEW)
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT i FROM n WHERE {count} > 0"


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[OneTrip]:
    async with OneTrip(lambda: sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None, check_same_thread=False), 64) as opened:
        yield opened


@pytest.mark.parametrize("count", COUNTS)
async def test_all_rows_come_at_once_or_in_pieces_or_one_by_one(connection: OneTrip, count: int) -> None:
    wanted = [(number,) for number in range(1, count + 1)]
    async with connection.cursor() as cursor:
        await cursor.execute(NUMBERS.format(count=count))
        assert cursor.description[0][0] == "i"
        assert await cursor.fetchall() == wanted
        assert await cursor.fetchall() == []
    async with connection.cursor() as cursor:
        await cursor.execute(NUMBERS.format(count=count))
        pieces = list[tuple[int]]()
        while piece := list(await cursor.fetchmany(70)):
            pieces += piece
        assert pieces == wanted
    async with connection.cursor() as cursor:
        await cursor.execute(NUMBERS.format(count=count))
        assert [row async for row in cursor] == wanted
    async with connection.cursor() as cursor:
        await cursor.execute(NUMBERS.format(count=count))
        found = [await cursor.fetchone() for _ in range(count + 1)]
        assert found == [*wanted, None]


async def test_statements_without_rows_say_how_many_they_changed(connection: OneTrip) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute("CREATE TABLE t (a INTEGER)")
        await cursor.executemany("INSERT INTO t VALUES (?)", [(1,), (2,), (3,)])
        assert cursor.rowcount == 3
        await cursor.execute("UPDATE t SET a = a + ?", (10,))
        assert (cursor.rowcount, await cursor.fetchall()) == (3, [])
        await cursor.execute("SELECT a FROM t")
        assert await cursor.fetchall() == [(11,), (12,), (13,)]


async def test_what_is_wrong_is_said_where_it_is_asked(connection: OneTrip) -> None:
    async with connection.cursor() as cursor:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await cursor.execute("SELECT * FROM nowhere")


async def test_a_result_that_was_left_half_way_holds_nobody_up(connection: OneTrip) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute("CREATE TABLE t (a INTEGER)")
    async with connection.cursor() as cursor:
        await cursor.execute(NUMBERS.format(count=2 * FEW))
    async with connection.cursor() as cursor:
        await cursor.execute("DROP TABLE t")


async def test_what_was_begun_is_rolled_back_and_where_nothing_was_nothing_happens(connection: OneTrip) -> None:
    await connection.rollback()
    async with connection.cursor() as cursor:
        await cursor.execute("CREATE TABLE t (a INTEGER)")
        await cursor.execute("BEGIN")
        await cursor.execute("INSERT INTO t VALUES (1)")
        await connection.rollback()
        await cursor.execute("SELECT count(*) FROM t")
        assert await cursor.fetchone() == (0,)


async def test_a_database_streams_and_reads_whole_results_of_any_size(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/rows.sqlite")
    for count in COUNTS:
        wanted = list(range(1, count + 1))
        async with database.connect() as connection:
            assert list(await connection.scalars(sa.text(NUMBERS.format(count=count)))) == wanted
            streamed = await connection.stream(sa.text(NUMBERS.format(count=count)))
            assert [row.i async for row in streamed] == wanted
    await database.dispose()


async def test_who_only_looks_begins_no_transaction_and_sees_what_others_wrote_since(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/rows.sqlite")
    async with database.begin() as connection:
        await connection.execute(sa.text("CREATE TABLE t (a INTEGER)"))
    count = sa.text("SELECT count(*) FROM t")
    async with database.connect() as looks, database.snapshot() as stays:
        assert (await looks.scalar(count), await stays.scalar(count)) == (0, 0)
        async with database.begin() as connection:
            await connection.execute(sa.text("INSERT INTO t VALUES (1)"))
        assert (await looks.scalar(count), await stays.scalar(count)) == (1, 0)
    await database.dispose()
