"""Do the rows say what the log says? The log is folded once more, into a shadow, and the two are compared key by key.

In come the names of read models; out goes for each of their tables how many things it says, a hash over them in the order
of their keys, the hash of the fold, and the first keys that differ. Compared is as of one moment of the rows; the projector
goes on meanwhile. Nothing is changed.
"""

import hashlib
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.schema import Json, Row, Text, Told
from services.kit.blobs import Blobs
from services.kit.database import Database
from services.projector.read_models import ReadModel
from services.projector.refold import ReadableLog, Refold, goals_of
from services.projector.refold import Told as Tell
from services.projector.shadow import shadow_of

FEW = 5
_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class Difference:
    """One key, and what is the matter: `missing` in the rows, `too much` there, or `other` values in these columns."""

    key: tuple[Any, ...]
    what: str


@dataclass(slots=True)
class Compared:
    """One table of a read model."""

    model: str
    table: str
    rows: int = 0
    hash_of_rows: str = ""
    hash_of_log: str = ""
    differing: int = 0
    first: list[Difference] = field(default_factory=list["Difference"])

    @property
    def is_equal(self) -> bool:
        return not self.differing and self.hash_of_rows == self.hash_of_log


async def audit(log: ReadableLog, blobs: Blobs, database: Database, models: Sequence[ReadModel], tell: Tell) -> list[Compared]:
    """Compare all tables of these read models. Raises `Refused`, `Disagreed`, and what the log and the database raise."""
    shadow = shadow_of(database, "audit")
    refold = Refold(log, blobs, shadow, models, tell)
    try:
        async with database.snapshot() as connection:
            goals = await goals_of(connection)
        await refold.open(goals)
        await refold.reach(goals)
        async with database.snapshot() as rows:
            await refold.reach(await goals_of(rows))
            async with shadow.snapshot() as folded:
                found = [await _compare(rows, folded, model, table) for model in models for table in model.tables]
        await shadow.drop()
    finally:
        await shadow.close()
    return found


async def hash_of(connection: AsyncConnection, model: ReadModel, table: sa.Table) -> str:
    """The hash over what a table says."""
    digest = hashlib.sha256()
    async for key, values in _said(connection, model, table):
        digest.update(orjson.dumps([key, values]))
    return digest.hexdigest()


async def _compare(rows: AsyncConnection, folded: AsyncConnection, model: ReadModel, table: sa.Table) -> Compared:
    found, left, right = Compared(model.name, table.name), hashlib.sha256(), hashlib.sha256()
    names = [] if table.name in model.plain else [column.name for column in table.columns if not column.primary_key]
    ours, theirs = _said(rows, model, table), _said(folded, model, table)
    mine, other = await anext(ours, None), await anext(theirs, None)
    while mine is not None or other is not None:
        at = mine if other is None or (mine is not None and mine[0] <= other[0]) else other
        assert at is not None
        is_mine, is_other = mine is not None and mine[0] == at[0], other is not None and other[0] == at[0]
        if not (is_mine and is_other and mine == other):
            found.differing += 1
            if len(found.first) < FEW:
                found.first.append(Difference(at[0], _what(mine if is_mine else None, other if is_other else None, names)))
        if is_mine:
            found.rows += 1
            left.update(orjson.dumps(mine))
            mine = await anext(ours, None)
        if is_other:
            right.update(orjson.dumps(other))
            other = await anext(theirs, None)
    found.hash_of_rows, found.hash_of_log = left.hexdigest(), right.hexdigest()
    return found


def _what(mine: Told | None, other: Told | None, names: Sequence[str]) -> str:
    if mine is None:
        return "missing"
    if other is None:
        return "too much"
    columns = [name for name, ours, theirs in zip(names, mine[1], other[1], strict=False) if ours != theirs]
    return "other " + (", ".join(columns) or "content")


async def _said(connection: AsyncConnection, model: ReadModel, table: sa.Table) -> AsyncGenerator[Told]:
    """What the table says, in the order of its keys as bytes, a few rows at a time."""
    keys = list(table.primary_key.columns)
    plain = model.plain.get(table.name)
    columns = list(table.columns) if plain else [_as_stored(column) for column in table.columns]
    in_bytes = "C" if connection.dialect.name == "postgresql" else "BINARY"
    order = [sa.collate(_as_stored(key), in_bytes) if isinstance(key.type, Text) else key for key in keys]
    tell = plain() if plain else _row_teller([key.name for key in keys])
    result = await connection.stream(sa.select(*columns).order_by(*order).execution_options(yield_per=_CHUNK))
    async for rows in result.mappings().partitions():
        for row in rows:
            for told in tell(dict(row)):
                yield told


def _row_teller(keys: Sequence[str]) -> Callable[[Row], Iterable[Told]]:
    def tell(row: Row) -> Iterable[Told]:
        yield tuple(row[key] for key in keys), [value for name, value in row.items() if name not in keys]

    return tell


def _as_stored(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    return sa.type_coerce(column, sa.Text).label(column.name) if isinstance(column.type, Text | Json) else column
