"""aiosqlite with one trip to its thread for each statement, where a cursor, its rows and its end would take one each.

Beside a busy loop every trip waits for a turn of the loop and for the interpreter's lock, so that four trips for a row are
the better part of what a request takes.
"""

from collections.abc import Iterable
from typing import Any, Self

import aiosqlite

FEW = 200
"""So many rows come with their statement; further ones are fetched."""


class OneTrip(aiosqlite.Connection):
    """A connection whose cursors are made, filled and emptied together with their statement."""

    def cursor(self) -> "OneTripCursor":  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """A cursor that is made when its statement is."""
        return OneTripCursor(self)

    async def rollback(self) -> None:
        """See `aiosqlite.Connection.rollback`. Where nothing was begun there is nothing to do."""
        if self._conn.in_transaction:
            await super().rollback()


class OneTripCursor(aiosqlite.Cursor):
    """See `aiosqlite.Cursor`. What came with the statement is given without another trip."""

    def __init__(self, connection: OneTrip) -> None:
        super().__init__(connection, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self._came: list[Any] = []
        self._open = False

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> Self:
        """See `aiosqlite.Cursor.execute`."""
        await self._execute(self._carried_out, sql, () if parameters is None else parameters)  # pyright: ignore[reportUnknownMemberType]
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> Self:
        """See `aiosqlite.Cursor.executemany`."""
        await self._execute(self._carried_out_often, sql, parameters)  # pyright: ignore[reportUnknownMemberType]
        return self

    async def fetchone(self) -> Any:
        """See `aiosqlite.Cursor.fetchone`."""
        if not self._came and self._open:
            return await super().fetchone()
        return self._came.pop(0) if self._came else None

    async def fetchmany(self, size: int | None = None) -> Iterable[Any]:
        """See `aiosqlite.Cursor.fetchmany`."""
        if not self._came and self._open:
            return await super().fetchmany(size)
        count = self.arraysize if size is None else size
        came, self._came = self._came[:count], self._came[count:]
        return came

    async def fetchall(self) -> Iterable[Any]:
        """See `aiosqlite.Cursor.fetchall`."""
        came, self._came = self._came, []
        return [*came, *await super().fetchall()] if self._open else came

    async def close(self) -> None:
        """See `aiosqlite.Cursor.close`."""
        if self._open:
            self._open = False
            await super().close()

    def _carried_out(self, sql: str, parameters: Any) -> None:
        self._cursor = self._conn._conn.execute(sql, parameters)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._came = self._cursor.fetchmany(FEW) if self._cursor.description else []
        self._open = len(self._came) == FEW

    def _carried_out_often(self, sql: str, parameters: Any) -> None:
        self._cursor = self._conn._conn.executemany(sql, parameters)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
