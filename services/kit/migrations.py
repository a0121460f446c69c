"""The schema of the rows over time: alembic without a configuration file, on a connection of ours.

`migrate` brings a database to this program's schema, `check` says whether it is there, `revise` writes a new migration
from what the tables have become.
"""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy.exc import DBAPIError

from projections import (
    apps,
    audit_events,
    bots,
    chat_messages,
    checkpoints,
    flows,
    node_runs,
    providers,
    questions,
    run_journal,
    runs,
    tools,
    variables,
)
from projections.schema import metadata as METADATA  # noqa: N812 (a constant here)
from services.kit.database import Database, is_gone
from services.kit.errors import Refused
from services.kit.secrets import table as secret_table

TABLES_OF = (
    apps,
    audit_events,
    bots,
    chat_messages,
    checkpoints,
    flows,
    node_runs,
    providers,
    questions,
    run_journal,
    runs,
    secret_table,
    tools,
    variables,
)
"""Importing these fills the metadata."""
FOLDER = Path(__file__).resolve().parents[2] / "alembic"


def config(connection: sa.Connection | None = None) -> Config:
    """Alembic's configuration, bound to a connection."""
    made = Config()
    made.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    made.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    made.attributes["connection"] = connection
    return made


async def migrate(database: Database) -> None:
    """Bring the schema to the newest revision. Raises `Refused` when it is newer than this program, or does not answer."""
    await _answered(database, _upgrade, writes=True)


async def check(database: Database) -> None:
    """Raises `Refused` when the schema is older or newer than this program, or the database does not answer."""
    await _answered(database, _compare, writes=False)


async def revise(name: str) -> Path | None:
    """Write a migration from what the migrations give to what the tables are; None where they are the same."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/scratch.sqlite")
        try:
            await migrate(database)
            async with database.begin() as connection:
                return await connection.run_sync(lambda sync: _revise(sync, name))
        finally:
            await database.dispose()


async def drift() -> list[str]:
    """What differs between the tables and what the migrations give, one line each."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/scratch.sqlite")
        try:
            await migrate(database)
            async with database.connect() as connection:
                return [str(difference) for difference in await connection.run_sync(differences)]
        finally:
            await database.dispose()


def differences(connection: sa.Connection) -> list[object]:
    """What alembic would change in this database."""
    return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA))


async def _answered(database: Database, work: Callable[[sa.Connection, str], None], writes: bool) -> None:
    try:
        async with database.begin() if writes else database.connect() as connection:
            await connection.run_sync(lambda sync: work(sync, database.name))
    except (DBAPIError, OSError) as wrong:
        if is_gone(wrong):
            raise Refused(f"the database {database.name} does not answer: check that it runs and the address is right") from None
        raise


def _upgrade(connection: sa.Connection, name: str) -> None:
    _refuse_newer(connection, name)
    command.upgrade(config(connection), "head")


def _compare(connection: sa.Connection, name: str) -> None:
    current = _refuse_newer(connection, name)
    if current != _revisions()[0]:
        raise Refused(f"the schema of {name} is older than this program: run `prozess migrate`")


def _refuse_newer(connection: sa.Connection, name: str) -> str | None:
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in _revisions():
        raise Refused(f"the schema of {name} is newer than this program ({current}): start a newer version of prozess")
    return current


@cache
def _revisions() -> tuple[str, ...]:
    """This program's, the newest first: the files are read once, since readiness asks every few seconds."""
    return tuple(one.revision for one in ScriptDirectory.from_config(config()).walk_revisions())


def _revise(connection: sa.Connection, name: str) -> Path | None:
    if not differences(connection):
        return None
    script = command.revision(config(connection), name, autogenerate=True, rev_id=_next_number())
    assert isinstance(script, Script)
    return Path(script.path)


def _next_number() -> str:
    head = ScriptDirectory.from_config(config()).get_current_head()
    return f"{int(head or 0) + 1:04}"
