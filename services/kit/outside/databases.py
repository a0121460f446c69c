"""Databases that flows use: PostgreSQL anywhere that may be called, SQLite below one folder. Not the rows of this service.

In comes an address (a secret), and a function that works on a connection; out goes its result, or `DatabaseFailed` with a
sentence that holds no address and no values. Each call is one transaction in a thread, bounded in time; files of this
machine and its sockets cannot be reached by any statement or address.
"""

import asyncio
import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from services.kit.errors import OutsideFailed, ProzessError
from services.kit.outside.egress import Egress, EgressRefused

_DIALECTS = {"postgresql": "postgresql", "postgres": "postgresql", "sqlite": "sqlite"}
_ALLOWED = frozenset({"sslmode", "application_name", "options"})
_AT_ONCE, _ENGINES = 16, 64
_CONNECT_S = 10
_STEPS = 10_000
"""SQLite looks at the clock after so many of its instructions."""
_LOOKS = frozenset({"table_info", "table_xinfo", "table_list", "read_uncommitted"})
_NO_PASSWORDS = "/dev/null/none"
"""The operator's own passwords go nowhere."""
_AUTHOR = "42"
"""The class of PostgreSQL's errors that talk about the statement, never about values."""
T = TypeVar("T")


class BadDatabase(ProzessError):
    """An address that no database can have here."""


class DatabaseFailed(OutsideFailed):
    """The database did not do it."""


def dialect_of(dsn: str) -> str:
    """`postgresql` or `sqlite`. Raises `BadDatabase` for an address that cannot be used."""
    return _DIALECTS[_parsed(dsn).drivername.partition("+")[0]]


def _parsed(dsn: str) -> URL:
    try:
        url = make_url(dsn)
        dialect = _DIALECTS[url.drivername.partition("+")[0]]
    except (ArgumentError, KeyError, ValueError):
        raise BadDatabase("expected postgresql://user:password@host/database or sqlite:///file") from None
    if dialect == "sqlite":
        if not url.database or url.database == ":memory:" or url.query or url.host:
            raise BadDatabase("expected sqlite:///file, a path below the folder that the operator names, without options")
        return url
    unknown = sorted(set(url.query) - _ALLOWED)
    if not url.host or url.host.startswith("/") or "," in url.host or not url.database:
        raise BadDatabase("expected postgresql://user:password@host/database with one host")
    if unknown:
        raise BadDatabase(f"the option {unknown[0][:64]} is not taken; these are: {', '.join(sorted(_ALLOWED))}")
    return url


class Databases:
    """The databases of one program, each with a small pool."""

    def __init__(self, egress: Egress, sqlite_root: Path | None) -> None:
        self._egress = egress
        self._root = sqlite_root
        self._engines: OrderedDict[tuple[str, bool], sa.Engine] = OrderedDict()
        self._threads: ThreadPoolExecutor | None = None

    async def run(self, dsn: str, work: Callable[[sa.Connection], T], seconds: float, *, read_only: bool = False) -> T:
        """`work` on a connection in one transaction, which is undone when it raises. Raises `DatabaseFailed`."""
        try:
            url = _parsed(dsn)
            address = await self._address(url)
        except BadDatabase as wrong:
            raise DatabaseFailed(f"its address cannot be used: {wrong}", kind="dsn") from None
        except EgressRefused as no:
            raise DatabaseFailed(f"it is not called: {no}", kind="refused") from None
        except OSError:
            raise DatabaseFailed("its host is not known", kind="connection", temporary=True) from None
        engine = self._engine(url, address, read_only=read_only)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="database")
        try:
            async with asyncio.timeout(seconds + _CONNECT_S):
                return await asyncio.get_running_loop().run_in_executor(self._threads, _do, engine, work, seconds)
        except TimeoutError:
            raise _too_slow(seconds) from None

    async def _address(self, url: URL) -> str:
        if url.get_backend_name() == "sqlite":
            return str(await asyncio.to_thread(self._file, url.database or ""))
        return (await self._egress.addresses(url.host or "", url.port or 5432))[0]

    def _file(self, name: str) -> Path:
        if self._root is None:
            raise BadDatabase("SQLite files are not opened here (setting sqlite_root)")
        try:
            file = (self._root / name).resolve()
            if file.is_relative_to(self._root.resolve()) and file.is_file():
                return file
        except (OSError, ValueError):
            pass
        raise BadDatabase("there is no such SQLite file below the folder that the operator names")

    def _engine(self, url: URL, address: str, *, read_only: bool) -> sa.Engine:
        key = (f"{url.render_as_string(hide_password=False)}@{address}", read_only)
        if key not in self._engines:
            self._engines[key] = _sqlite(address, read_only=read_only) if url.get_backend_name() == "sqlite" else _postgres(url, address)
            if len(self._engines) > _ENGINES:
                self._engines.popitem(last=False)[1].dispose()
        self._engines.move_to_end(key)
        engine = self._engines[key]
        return engine.execution_options(postgresql_readonly=True) if read_only and engine.dialect.name == "postgresql" else engine

    async def aclose(self) -> None:
        """Close every connection."""
        engines, self._engines = list(self._engines.values()), OrderedDict()
        threads, self._threads = self._threads, None
        for engine in engines:
            await asyncio.to_thread(engine.dispose)
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)


def _sqlite(file: str, *, read_only: bool) -> sa.Engine:
    def connect() -> sqlite3.Connection:
        uri = f"{Path(file).as_uri()}?mode={'ro' if read_only else 'rw'}"
        connection = sqlite3.connect(uri, uri=True, timeout=_CONNECT_S, check_same_thread=False)
        connection.set_authorizer(_allow)
        return connection

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.NullPool)


def _allow(action: int, first: str | None, *_: object) -> int:
    """No other file may be opened, and no setting changed."""
    if action == sqlite3.SQLITE_PRAGMA:
        return sqlite3.SQLITE_OK if first in _LOOKS else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_DENY if action in {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH} else sqlite3.SQLITE_OK


def _postgres(url: URL, address: str) -> sa.Engine:
    more: dict[str, Any] = dict(url.query)

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=url.host,
            hostaddr=address,
            port=url.port or 5432,
            dbname=url.database,
            user=url.username,
            password=url.password,
            passfile=_NO_PASSWORDS,
            connect_timeout=_CONNECT_S,
            tcp_user_timeout=30_000,
            **more,
        )

    return sa.create_engine("postgresql+psycopg://", creator=connect, pool_size=2, max_overflow=6, pool_recycle=300, pool_pre_ping=True)


def _do(engine: sa.Engine, work: Callable[[sa.Connection], T], seconds: float) -> T:
    deadline = monotonic() + seconds
    try:
        with engine.connect() as connection, connection.begin():
            driver: Any = connection.connection.driver_connection
            if engine.dialect.name == "sqlite":
                driver.set_progress_handler(lambda: monotonic() > deadline, _STEPS)
            else:
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, round(seconds * 1000))}")
            return work(connection)
    except DBAPIError as wrong:
        raise _said(wrong, late=monotonic() > deadline, seconds=seconds) from None
    except SQLAlchemyError as wrong:
        raise DatabaseFailed(f"the statement cannot be written down ({type(wrong).__name__})", kind="statement") from None


def _said(wrong: DBAPIError, *, late: bool, seconds: float) -> DatabaseFailed:
    cause = wrong.orig
    if isinstance(cause, psycopg.Error):
        state = cause.sqlstate or ""
        if state == "57014":
            return _too_slow(seconds)
        if not state:
            return DatabaseFailed("it cannot be reached, or the connection broke off", kind="connection", temporary=True)
        words = (cause.diag.message_primary or "") if state.startswith(_AUTHOR) else type(cause).__name__
        return DatabaseFailed(f"it refused the statement: {words} ({state})", kind=state, temporary=state[:2] in {"08", "40", "53", "57"})
    if late:
        return _too_slow(seconds)
    busy = "locked" in str(cause) or "busy" in str(cause)
    return DatabaseFailed(f"it refused the statement: {cause}", kind=type(cause).__name__, temporary=busy)


def _too_slow(seconds: float) -> DatabaseFailed:
    return DatabaseFailed(f"it did not answer within {seconds:g} s", kind="timeout", temporary=True)
