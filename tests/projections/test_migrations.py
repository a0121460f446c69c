"""The schema over time: one head, every step up and down, and what the migrations give is what the tables are."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from pytest_alembic import MigrationContext, tests
from pytest_alembic.config import Config

from services.kit import migrations
from services.kit.database import Database
from services.kit.errors import Refused

MIGRATE = "import asyncio, sys; from services.kit.database import Database; asyncio.run(Database(sys.argv[1]).migrate())"


@pytest.fixture
def alembic_config() -> Config:
    return Config(config_options={"script_location": str(migrations.FOLDER)})


@pytest.fixture
def alembic_engine(database_url: str) -> Iterator[sa.Engine]:
    url = Database(database_url).url
    engine = sa.create_engine(url.set(drivername=url.drivername.replace("+aiosqlite", "")))
    yield engine
    engine.dispose()


def test_there_is_one_head(alembic_runner: MigrationContext) -> None:
    tests.test_single_head_revision(alembic_runner)


def test_every_migration_goes_up(alembic_runner: MigrationContext) -> None:
    tests.test_upgrade(alembic_runner)


def test_every_migration_goes_down_and_up_again(alembic_runner: MigrationContext) -> None:
    tests.test_up_down_consistency(alembic_runner)


def test_the_migrations_give_the_tables_as_they_are(alembic_runner: MigrationContext, alembic_engine: sa.Engine) -> None:
    alembic_runner.migrate_up_to("head")
    with alembic_engine.connect() as connection:
        assert migrations.differences(connection) == []


async def test_migrating_twice_is_fine_and_the_schema_fits(empty_database: Database) -> None:
    await empty_database.migrate()
    await empty_database.migrate()
    await empty_database.check_schema()


async def test_an_empty_database_is_older_than_the_program(empty_database: Database) -> None:
    with pytest.raises(Refused, match="older than this program: run `prozess migrate`"):
        await empty_database.check_schema()


async def test_a_schema_that_nobody_here_knows_is_newer(database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for work in (database.check_schema, database.migrate):
        with pytest.raises(Refused, match=r"newer than this program \(9999\)"):
            await work()


async def test_two_programs_may_migrate_at_the_same_time(empty_database: Database, database_url: str) -> None:
    programs = [await asyncio.create_subprocess_exec(sys.executable, "-c", MIGRATE, database_url) for _ in range(2)]
    assert [await program.wait() for program in programs] == [0, 0]
    await empty_database.check_schema()


def written() -> list[Path]:
    return sorted(Path(migrations.FOLDER, "versions").glob("*.py"))


async def test_no_migration_is_written_when_nothing_changed() -> None:
    before = written()
    assert await migrations.revise("nothing") is None
    assert await migrations.drift() == []
    assert written() == before


def test_the_folder_of_migrations_does_not_hide_the_library() -> None:
    import alembic

    assert not (migrations.FOLDER / "__init__.py").exists()
    assert "site-packages" in str(alembic.__file__)
