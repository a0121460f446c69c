"""The pool of connections to PostgreSQL: how many there are, and when one is made anew.

In come settings; out goes an engine. A connection that lay idle too long, or that has answered many statements, is
replaced before its next use, so that what a server keeps for it (plans, memory) does not grow for ever.
"""

import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from services.kit.settings import Settings

CONNECT_S = 10


def postgres(url: sa.URL, settings: Settings) -> AsyncEngine:
    """An engine whose pool keeps to the settings; nothing is connected yet."""
    engine = create_async_engine(
        url,
        pool_pre_ping=True,
        pool_size=settings.database_min_size,
        max_overflow=settings.database_max_size - settings.database_min_size,
        pool_timeout=CONNECT_S,
        connect_args={"connect_timeout": url.query.get("connect_timeout", str(CONNECT_S))},
    )

    def count(connection: sa.Connection, *_: Any) -> None:
        connection.info["statements"] = connection.info.get("statements", 0) + 1

    def back(_: Any, entry: ConnectionPoolEntry) -> None:
        entry.info["back"] = time.monotonic()

    def out(_driver: Any, entry: ConnectionPoolEntry, _fairy: Any) -> None:
        idle = time.monotonic() - entry.info.get("back", float("inf"))
        if idle > settings.database_idle_s or entry.info.get("statements", 0) >= settings.database_max_queries:
            raise DisconnectionError  # the pool makes a new one in its place

    event.listen(engine.sync_engine, "after_cursor_execute", count)
    event.listen(engine.sync_engine.pool, "checkin", back)
    event.listen(engine.sync_engine.pool, "checkout", out)
    return engine
