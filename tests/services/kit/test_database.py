"""The database port: addresses, transactions, and what counts as away."""

import asyncio
import contextlib
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError, ProgrammingError

from services.kit.database import Database, is_gone, url_of
from services.kit.errors import Refused
from services.kit.secrets.table import secrets
from services.kit.settings import Settings
from tests.support.programs import free_port

WHY = Exception("why")
ROW = {"reference": "r", "app": "a", "sealed": b"\x00\xff"}


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite:////tmp/x.sqlite", "sqlite+aiosqlite"),
        ("postgresql://u@h/n", "postgresql+psycopg"),
        ("postgresql+asyncpg://u@h/n", "postgresql+psycopg"),
    ],
)
async def test_an_address_gets_the_driver_that_we_use(given: str, driver: str) -> None:
    database = Database(given)
    assert database.url.drivername == driver
    await database.dispose()


@pytest.mark.parametrize("given", ["", "rows", "mysql://u:secret@h/n", "oracle://u:secret@h"])
def test_other_addresses_are_refused_without_repeating_them(given: str) -> None:
    with pytest.raises(Refused, match="the database") as no:
        Database(given)
    assert "secret" not in str(no.value)


def test_without_an_address_the_rows_are_a_file_in_the_data_folder(tmp_path: Path) -> None:
    assert url_of(Settings(data=tmp_path)) == f"sqlite:///{tmp_path}/rows.sqlite"
    assert url_of(Settings(data=tmp_path, database="postgresql://h/n")) == "postgresql://h/n"


async def test_a_database_that_does_not_answer_is_refused_in_one_sentence_without_its_password() -> None:
    database = Database(f"postgresql://someone:secret@127.0.0.1:{free_port()}/rows")
    for work in (database.check_schema, database.migrate):
        with pytest.raises(Refused, match="does not answer: check that it runs and the address is right") as no:
            await work()
        assert "secret" not in str(no.value)
    await database.dispose()


async def test_a_folder_that_is_not_there_is_refused_in_one_sentence(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/missing/rows.sqlite")
    with pytest.raises(Refused, match="does not answer"):
        await database.check_schema()
    await database.dispose()


async def found(database: Database) -> int:
    async with database.connect() as connection:
        return (await connection.execute(sa.select(sa.func.count()).select_from(secrets))).scalar_one()


@pytest.mark.parametrize("durable", [False, True])
async def test_a_transaction_is_kept_at_its_end_and_dropped_when_something_is_raised(database: Database, durable: bool) -> None:
    async def broken() -> None:
        async with database.begin(durable) as connection:
            await connection.execute(secrets.insert(), [ROW])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await broken()
    assert await found(database) == 0
    async with database.begin(durable) as connection:
        await connection.execute(secrets.insert(), [ROW])
    assert await found(database) == 1


async def test_many_writers_at_once_all_get_their_turn(database: Database) -> None:
    async def write(number: int) -> None:
        async with database.begin() as connection:
            await connection.execute(secrets.insert(), [{**ROW, "reference": str(number)}])

    await asyncio.gather(*(write(number) for number in range(40)))
    assert await found(database) == 40


async def test_a_writer_that_is_cancelled_leaves_the_line_free(database: Database) -> None:
    inside = asyncio.Event()

    async def write_for_ever() -> None:
        async with database.begin() as connection:
            await connection.execute(secrets.insert(), [ROW])
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write_for_ever())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(20), database.begin() as connection:
        await connection.execute(secrets.insert(), [ROW])
    assert await found(database) == 1


async def test_nothing_of_a_connection_that_was_cut_off_outlives_the_database(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/rows.sqlite")
    for _ in range(5):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01), database.connect() as connection:
                await connection.exec_driver_sql(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) SELECT max(i) FROM n"
                )
    await database.dispose()
    assert [thread for thread in database._workers if thread.is_alive()] == []


async def test_on_sqlite_only_durable_transactions_wait_for_the_disk(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/rows.sqlite")
    seen: list[int] = []
    for durable in (False, True, True, False):
        async with database.begin(durable) as connection:
            seen.append((await connection.exec_driver_sql("PRAGMA synchronous")).scalar_one())
    assert seen == [1, 2, 2, 1]
    await database.dispose()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (OperationalError("x", None, WHY), True),
        (InterfaceError("x", None, WHY), True),
        (ProgrammingError("x", None, WHY, connection_invalidated=True), True),
        (OSError(), True),
        (TimeoutError(), True),
        (ProgrammingError("x", None, WHY), False),
        (IntegrityError("x", None, WHY), False),
        (DataError("x", None, WHY), False),
        (ValueError(), False),
    ],
)
def test_what_does_not_answer_is_told_from_what_says_no(wrong: Exception, expected: bool) -> None:
    assert is_gone(wrong) is expected


async def test_a_question_sees_what_was_committed_before_it_and_a_busy_file_is_asked_again(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'rows.sqlite'}")

    def count(rows: sa.Connection) -> int:
        return rows.execute(sa.select(sa.func.count()).select_from(secrets)).scalar_one()

    async with database.begin() as connection:
        await connection.run_sync(secrets.create)
    assert await database.ask(count, "count") == 0
    async with database.begin() as connection:
        await connection.execute(sa.insert(secrets), ROW)
        assert await database.ask(count, "count") == 0
    assert await database.ask(count, "count") == 1
    asked: list[str] = []

    def busy_once(rows: sa.Connection) -> int:
        asked.append(rows.engine.url.drivername)
        if len(asked) == 1:
            raise OperationalError("select", {}, WHY)
        return count(rows)

    assert await database.ask(busy_once, "busy") == 1
    assert asked == ["sqlite", "sqlite+aiosqlite"]
    await database.dispose()
