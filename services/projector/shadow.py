"""Shadow tables: a second set of the same tables beside the rows, filled while everybody goes on with the first.

On SQLite they stand in a file beside the rows' own, so that filling them never waits for the projector's transactions;
on PostgreSQL in a schema beside the rows' own. A shadow has checkpoints of its own, written with its rows, and remembers
what it was made for: an interrupted rebuild goes on from there. `taking_place` stops the projector between two of its
transactions, and at its end the shadow's rows are the rows, all at once or not at all.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
import tenacity
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.checkpoints import checkpoints, stream_positions
from services.kit.database import Database
from services.kit.errors import NotReady, Refused

_PATIENCE_S = 60
_SNAPSHOTS_S = 10
_note = sa.Table("note", sa.MetaData(), sa.Column("made_for", sa.Text, nullable=False))
_OLDER = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
AND backend_xmin IS NOT NULL AND age(backend_xmin) > age(CAST(CAST(:mark AS text) AS xid))
AND NOT CAST(:holder AS integer) = ANY(pg_blocking_pids(pid))"""  # the projector, held by us, looks at nothing yet


class Shadow(Protocol):
    """See the module."""

    async def prepare(self, tables: Sequence[sa.Table], made_for: str) -> bool:
        """Have the tables: those of an earlier, interrupted time if they were made for the same (then True), else new ones."""
        ...

    async def write(self, work: Callable[[sa.Connection], None]) -> None:
        """Do it in a transaction that writes the shadow."""
        ...

    def snapshot(self) -> contextlib.AbstractAsyncContextManager[AsyncConnection]:
        """The shadow as of one moment."""
        ...

    def taking_place(self, tables: Sequence[sa.Table]) -> contextlib.AbstractAsyncContextManager[AsyncConnection]:
        """Hold the projector (the connection reads the rows), and at the end put the shadow's rows in the place of the rows."""
        ...

    async def drop(self) -> None:
        """Leave nothing behind. Safe to call twice."""
        ...

    async def close(self) -> None:
        """Close what is open; the shadow stays for the next time."""
        ...


def shadow_of(database: Database, purpose: str) -> Shadow:
    """A shadow for one purpose, which is part of its name."""
    return SqliteShadow(database, purpose) if database.is_sqlite else PostgresShadow(database, purpose)


class SqliteShadow:
    """A file beside the rows. Taking the rows' place copies it, in one transaction."""

    def __init__(self, database: Database, purpose: str) -> None:
        self._rows = database
        self._file = Path(f"{database.url.database}.{purpose}")
        self._database: Database | None = None

    @property
    def _beside(self) -> Database:
        if self._database is None:
            self._database = Database(f"sqlite:///{self._file}")
        return self._database

    async def prepare(self, tables: Sequence[sa.Table], made_for: str) -> bool:
        """See `Shadow.prepare`."""
        if self._file.exists():
            async with self._beside.begin() as connection:
                if await connection.run_sync(_made_for) == made_for:
                    return True
            await self.drop()
        async with self._beside.begin() as connection:
            await connection.run_sync(_make, tables, made_for)
        return False

    async def write(self, work: Callable[[sa.Connection], None]) -> None:
        """See `Shadow.write`."""
        await self._beside.write(work)

    def snapshot(self) -> contextlib.AbstractAsyncContextManager[AsyncConnection]:
        """See `Shadow.snapshot`."""
        return self._beside.snapshot()

    @contextlib.asynccontextmanager
    async def taking_place(self, tables: Sequence[sa.Table]) -> AsyncGenerator[AsyncConnection]:
        """See `Shadow.taking_place`."""
        async with self._rows.begin_beside(self._file, "shadow") as connection:
            await connection.exec_driver_sql(f'DELETE FROM main."{checkpoints.name}" WHERE 0')  # noqa: S608 (from here on others wait)
            yield connection
            for table in tables:
                names = ", ".join(f'"{column.name}"' for column in table.columns)
                await connection.exec_driver_sql(f'DELETE FROM main."{table.name}"')  # noqa: S608 (names of our tables)
                copy = f'INSERT INTO main."{table.name}" ({names}) SELECT {names} FROM shadow."{table.name}"'  # noqa: S608 (the same)
                await connection.exec_driver_sql(copy)

    async def drop(self) -> None:
        """See `Shadow.drop`."""
        await self.close()
        await asyncio.to_thread(self._unlink)

    def _unlink(self) -> None:
        for ending in ("", "-wal", "-shm"):
            Path(f"{self._file}{ending}").unlink(missing_ok=True)

    async def close(self) -> None:
        """See `Shadow.close`."""
        if self._database is not None:
            await self._database.dispose()
        self._database = None


class PostgresShadow:
    """A schema beside the rows. Taking the rows' place gives its tables another schema, which takes milliseconds."""

    def __init__(self, database: Database, purpose: str) -> None:
        self._rows = database
        self._purpose = purpose
        self._home = self._schema = ""

    async def prepare(self, tables: Sequence[sa.Table], made_for: str) -> bool:
        """See `Shadow.prepare`. Raises `Refused` where the user may not make a schema."""
        await self._find()
        async with self._rows.begin() as connection:
            exists = sa.text("SELECT count(*) FROM information_schema.schemata WHERE schema_name = :name")
            there = (await connection.execute(exists, {"name": self._schema})).scalar_one()
        if there:
            async with self._inside(self._rows.begin()) as connection:
                if await connection.run_sync(_made_for) == made_for:
                    return True
            await self.drop()
        try:
            async with self._inside(self._rows.begin()) as connection:
                await connection.exec_driver_sql(f'CREATE SCHEMA "{self._schema}"')
                await connection.run_sync(_make, tables, made_for)
        except ProgrammingError as wrong:
            if getattr(wrong.orig, "sqlstate", "") != "42501":
                raise
            raise Refused(f"the user of the database {self._rows.name} may not make schemas: grant CREATE on the database.") from None
        return False

    async def write(self, work: Callable[[sa.Connection], None]) -> None:
        """See `Shadow.write`."""
        async with self._inside(self._rows.begin()) as connection:
            await connection.run_sync(work)

    def snapshot(self) -> contextlib.AbstractAsyncContextManager[AsyncConnection]:
        """See `Shadow.snapshot`."""
        return self._inside(self._rows.snapshot())

    @contextlib.asynccontextmanager
    async def _inside(self, transaction: contextlib.AbstractAsyncContextManager[AsyncConnection]) -> AsyncGenerator[AsyncConnection]:
        async with transaction as connection:
            await connection.exec_driver_sql(f'SET LOCAL search_path = "{self._schema}"')
            yield connection

    @contextlib.asynccontextmanager
    async def taking_place(self, tables: Sequence[sa.Table]) -> AsyncGenerator[AsyncConnection]:
        """See `Shadow.taking_place`. Raises `NotReady` where other transactions do not let go of the rows."""
        async with self._rows.begin() as connection:
            await connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
            await _locking(connection, f'LOCK TABLE "{self._home}"."{checkpoints.name}" IN SHARE ROW EXCLUSIVE MODE')
            yield connection
            await self._outlive((await connection.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one())
            await connection.exec_driver_sql("SET LOCAL lock_timeout = '500ms'")  # readers wait behind us no longer
            for table in tables:
                await _locking(connection, f'DROP TABLE "{self._home}"."{table.name}"')
                await connection.exec_driver_sql(f'ALTER TABLE "{self._schema}"."{table.name}" SET SCHEMA "{self._home}"')
            await connection.exec_driver_sql(f'DROP SCHEMA "{self._schema}" CASCADE')

    async def drop(self) -> None:
        """See `Shadow.drop`."""
        await self._find()
        async with self._rows.begin() as connection:
            await connection.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{self._schema}" CASCADE')

    async def close(self) -> None:
        """See `Shadow.close`."""

    async def _find(self) -> None:
        if not self._home:
            async with self._rows.connect() as connection:
                self._home = (await connection.exec_driver_sql("SELECT current_schema()")).scalar_one()
            self._schema = f"{self._home}_{self._purpose}"

    async def _outlive(self, holder: int) -> None:
        """Wait until nobody looks through a snapshot that is older than the shadow's newest row: it would not see that row."""
        async with self._rows.begin() as connection:
            mark = (await connection.exec_driver_sql("SELECT CAST(CAST(pg_current_xact_id() AS xid) AS text)")).scalar_one()
        again = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_result(bool),
            wait=tenacity.wait_exponential(multiplier=0.01, max=0.2),
            stop=tenacity.stop_after_delay(_SNAPSHOTS_S),
        )
        try:
            await again(self._count_older, mark, holder)
        except tenacity.RetryError:
            raise NotReady(f"another transaction has been looking at the rows for {_SNAPSHOTS_S} s and more") from None

    async def _count_older(self, mark: str, holder: int) -> int:
        async with self._rows.connect() as connection:
            return (await connection.execute(sa.text(_OLDER), {"mark": mark, "holder": holder})).scalar_one()


def patiently() -> tenacity.AsyncRetrying:
    """Taking place again and again, for a minute, while others hold the rows."""
    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(NotReady),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
        stop=tenacity.stop_after_delay(_PATIENCE_S),
        reraise=True,
    )


async def _locking(connection: AsyncConnection, statement: str) -> None:
    try:
        await connection.exec_driver_sql(statement)
    except OperationalError as wrong:
        if getattr(wrong.orig, "sqlstate", "") != "55P03":
            raise
        raise NotReady("other transactions hold the rows") from None


def _make(connection: sa.Connection, tables: Sequence[sa.Table], made_for: str) -> None:
    for table in (*tables, checkpoints, stream_positions, _note):
        table.create(connection)
    connection.execute(sa.insert(_note).values(made_for=made_for))


def _made_for(connection: sa.Connection) -> str | None:
    try:
        with connection.begin_nested():
            return connection.execute(sa.select(_note.c.made_for)).scalar_one_or_none()
    except DBAPIError:
        return None
