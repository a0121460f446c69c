"""The database of the rows: SQLite for one machine, PostgreSQL for many, behind one async engine.

`begin()` writes, `connect()` reads, `snapshot()` reads several things as of one moment. On SQLite one process has one
writer at a time and waits in line for it, never on the file's lock. Schema changes are in `services.kit.migrations`.
"""

import asyncio
import contextlib
import sqlite3
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.kit.errors import Refused
from services.kit.one_trip import OneTrip
from services.kit.pooling import CONNECT_S, postgres
from services.kit.progress import Progress
from services.kit.settings import Settings, load
from services.kit.telling.metrics import Tally

T = TypeVar("T")
_KNOWN = 1_000
BUSY_MS = 10_000
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


class Database:
    """One engine, by settings or by URL. `progress` tells programs in the same process how far the rows are."""

    def __init__(self, where: Settings | str) -> None:
        settings = load() if isinstance(where, str) else where
        self.url = _url(where if isinstance(where, str) else url_of(where))
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._workers = weakref.WeakSet[threading.Thread]()
        self.engine = _sqlite(self.url, self._workers) if self.is_sqlite else postgres(self.url, settings)
        self._apart = _sqlite_apart(self.url) if self.is_sqlite else None
        self.progress = Progress()
        self._line = asyncio.Lock()
        self._nearby: sa.Connection | None = None
        self.tally = Tally(lambda: len(self._nearby.info["known"]) if self._nearby is not None and "known" in self._nearby.info else 0)

    @property
    def name(self) -> str:
        """The address without its password, for messages."""
        return self.url.render_as_string(hide_password=True)

    @contextlib.asynccontextmanager
    async def begin(self, durable: bool = False) -> AsyncGenerator[AsyncConnection]:
        """A transaction that writes; committed at the end, rolled back when anything is raised.

        `durable` survives a power cut on SQLite as well (rows need not: their checkpoint goes back with them).
        """
        async with self._line if self.is_sqlite else contextlib.nullcontext(), self.engine.connect() as connection:
            await connection.execution_options(writes=True, durable=durable)
            async with connection.begin():
                yield connection

    async def write(self, work: Callable[[sa.Connection], None]) -> None:
        """A transaction that writes, for work that does all of it in one go.

        On SQLite in a thread: from the event loop each of its statements would go to a thread and back four times. Cancelled,
        it is waited for, since nothing can stop it half-way.
        """
        if self._apart is None:
            async with self.begin() as connection:
                await connection.run_sync(work)
            return
        async with self._line:
            done = asyncio.ensure_future(asyncio.to_thread(_write, self._apart, work))
            try:
                await asyncio.shield(done)
            except asyncio.CancelledError:
                await asyncio.wait({done})
                raise

    @contextlib.asynccontextmanager
    async def begin_beside(self, file: Path, name: str) -> AsyncGenerator[AsyncConnection]:
        """On SQLite: a transaction that will write, with another file to read under this name.

        It holds nothing before its first statement: `BEGIN IMMEDIATE` would hold the other file too.
        """
        async with self._line, self.engine.connect() as connection:
            driver: aiosqlite.Connection = (await connection.get_raw_connection()).driver_connection  # pyright: ignore[reportAssignmentType]
            await driver.execute(f'ATTACH ? AS "{name}"', (str(file),))
            try:
                async with connection.begin():
                    yield connection
            finally:
                await driver.execute(f'DETACH "{name}"')

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncGenerator[AsyncConnection]:
        """A connection that reads. Each statement sees what is written when it begins."""
        async with self.engine.connect() as connection:
            await connection.execution_options(looks=True)
            yield connection

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[AsyncConnection]:
        """A connection whose reads all see the same moment."""
        async with self.engine.connect() as connection:
            if not self.is_sqlite:
                await connection.execution_options(isolation_level="REPEATABLE READ")
            async with connection.begin():
                yield connection

    async def ask(self, work: Callable[[sa.Connection], T], *about: str) -> T:
        """What `work` reads now, for questions that every request asks and an index answers; `about` tells them apart.

        On SQLite it is read here and at once: a thread's turn takes longer than the answer. As long as the file says that
        nobody has written, the last answer is still the answer. Where the file is busy, and on PostgreSQL, it is asked as
        everything else is.
        """
        if self.is_sqlite and self.url.database:
            try:
                near = self._near()
                known: dict[tuple[str, ...], Any] = near.info["known"]
                if about not in known:
                    self.tally.misses += 1
                    known[about] = work(near)
                else:
                    self.tally.hits += 1
                return known[about]
            except DBAPIError:
                self._let_go()
        async with self.engine.connect() as connection:
            return await connection.run_sync(work)

    def _near(self) -> sa.Connection:
        if self._nearby is None:
            self._nearby = sa.create_engine(
                self.url.set(drivername="sqlite"), isolation_level="AUTOCOMMIT", poolclass=sa.pool.StaticPool, connect_args={"timeout": 0}
            ).connect()
        near = self._nearby
        written: int = near.connection.cursor().execute("PRAGMA data_version").fetchone()[0]
        if near.info.get("written") != written or len(near.info["known"]) > _KNOWN:
            near.info.update(written=written, known={})
        return near

    def _let_go(self) -> None:
        nearby, self._nearby = self._nearby, None
        if nearby is not None:
            nearby.close()
            nearby.engine.dispose()

    async def check_schema(self) -> None:
        """Raises `Refused` when the schema is older or newer than this program, or the database does not answer."""
        from services.kit.migrations import check

        await check(self)

    async def migrate(self) -> None:
        """Bring the schema to what this program needs. Raises `Refused` when it is newer."""
        from services.kit.migrations import migrate

        await migrate(self)

    async def dispose(self) -> None:
        """Close all connections, and wait for the threads of those that were cut off. Safe to call twice."""
        self._let_go()
        await self.engine.dispose()
        if self._apart is not None:
            await asyncio.to_thread(self._apart.dispose)
        for worker in list(self._workers):
            if worker.is_alive():
                await asyncio.to_thread(worker.join, CONNECT_S)


def url_of(settings: Settings) -> str:
    """The setting, or SQLite in the data folder."""
    return settings.database or f"sqlite:///{settings.data.absolute() / 'rows.sqlite'}"


def is_gone(wrong: BaseException) -> bool:
    """Whether the database does not answer now (try again), rather than says no."""
    if isinstance(wrong, DBAPIError):
        return wrong.connection_invalidated or isinstance(wrong, OperationalError | InterfaceError | InternalError)
    return isinstance(wrong, OSError | TimeoutError | PoolTimeout)


def _url(text: str) -> sa.URL:
    try:
        url = sa.make_url(text)
    except ArgumentError:
        raise Refused("the database address must be a URL like postgresql://user:password@host/name or sqlite:///file") from None
    driver = _DRIVERS.get(url.get_backend_name())
    if driver is None:
        raise Refused(f"the database must be postgresql:// or sqlite://, not {url.get_backend_name()}://")
    return url.set(drivername=driver)


def _write(engine: sa.Engine, work: Callable[[sa.Connection], None]) -> None:
    with engine.connect() as connection:
        connection.execution_options(writes=True)
        with connection.begin():
            work(connection)


def _opened(url: sa.URL) -> sqlite3.Connection:
    path = url.database or ":memory:"
    connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)  # we say BEGIN, below
    for setting in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def _began(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if options.get("looks"):
        return
    if bool(options.get("durable")) != bool(connection.info.get("durable")):
        connection.info["durable"] = bool(options.get("durable"))
        connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if options.get('durable') else 'NORMAL'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")


def _sqlite_apart(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(
        url.set(drivername="sqlite"), creator=lambda: _opened(url), poolclass=sa.QueuePool, pool_size=1, max_overflow=0
    )
    event.listen(engine, "begin", _began)
    return engine


def _sqlite(url: sa.URL, workers: weakref.WeakSet[threading.Thread]) -> AsyncEngine:
    def connect() -> aiosqlite.Connection:
        connection = OneTrip(lambda: _opened(url), 64)
        worker: threading.Thread = connection._thread  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] (as SQLAlchemy itself does)
        worker.daemon = True
        workers.add(worker)
        return connection

    engine = create_async_engine(url, async_creator=connect)
    event.listen(engine.sync_engine, "begin", _began)
    return engine
