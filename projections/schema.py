"""What all read models stand on: one MetaData, three column types, and the two ways in which rows are written.

Every row that a stream owns carries `position`, the place of the newest event it shows. A change with an older position
changes nothing, so applying any stretch of events again leaves the rows as they were, and streams may come in any order.
"""

import base64
import binascii
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

Row = dict[str, Any]
Told = tuple[tuple[Any, ...], list[Any]]
"""One thing that rows say: its key, and what it says (plain JSON values)."""
Plain = Callable[[], Callable[[Row], Iterable[Told]]]
"""Makes a reader of rows that come in the order of their key."""

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Whole = sa.BigInteger


class BadCursor(ValueError):
    """The cursor was not made here."""


class Text(sa.TypeDecorator[str]):
    """Any text, also with the character NUL, which PostgreSQL does not store: it is written as U+E000 and a digit."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 (the library asks for it)
        return _text_in(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 (the library asks for it)
        return _text_out(value)

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:  # noqa: ARG002  # pyright: ignore[reportIncompatibleMethodOverride] (a name)
        """The same without the library's steps around it: it is called for every value of every row."""
        return _text_in

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[str | None], str | None]:  # noqa: ARG002  # pyright: ignore[reportIncompatibleMethodOverride] (a name)
        """The same."""
        return _text_out


class Json(sa.TypeDecorator[Any]):
    """A JSON value as text. Not the database's own type: model outputs may hold NaN and NUL, which those refuse."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 (the library asks for it)
        return None if value is None else _encode(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 (the library asks for it)
        return None if value is None else json.loads(value)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _text_in(value: str | None) -> str | None:
    if value is not None and ("\x00" in value or "\ue000" in value):
        return value.replace("\ue000", "\ue0001").replace("\x00", "\ue0000")
    return value


def _text_out(value: str | None) -> str | None:
    if value is not None and "\ue000" in value:
        return value.replace("\ue0000", "\x00").replace("\ue0001", "\ue000")
    return value


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows whose keys are new. All have the same columns."""
    if rows:
        many(connection, ("insert", table, tuple(rows[0])), lambda: sa.insert(table), rows)


def insert_new(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert the rows whose primary key is not there yet; the others stay as they are. All have the same columns."""
    if rows:
        many(connection, ("insert new", table, tuple(rows[0])), lambda: _insert(connection, table).on_conflict_do_nothing(), rows)


def upsert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row], guard: str | None = "position") -> None:
    """Insert rows, or let them take the place of those with the same key whose `guard` is lower. All rows have the same columns."""
    if not rows:
        return

    def statement() -> sa.Executable:
        new = _insert(connection, table)
        keys = [column.name for column in table.primary_key]
        given = {name: new.excluded[name] for name in rows[0] if name not in keys}
        newer = None if guard is None else table.c[guard] < new.excluded[guard]
        return new.on_conflict_do_update(index_elements=keys, set_=given, where=newer)

    many(connection, ("upsert", table, guard, tuple(rows[0])), statement, rows)


def store(connection: sa.Connection, table: sa.Table, changes: Iterable[Row]) -> None:
    """Write one change a row, each with key and `position`: whole rows are upserted, partial ones update a row that is there."""
    groups: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
    for change in changes:
        groups[tuple(sorted(change))].append(change)
    needed = {column.name for column in table.columns if not column.nullable}
    keys = sorted(column.name for column in table.primary_key)
    for columns, rows in groups.items():
        rows.sort(key=lambda row: [row[key] for key in keys])  # always the same order: two writers never lock crosswise
        if needed <= set(columns):
            upsert(connection, table, rows)
            continue

        def statement(columns: tuple[str, ...] = columns) -> sa.Executable:
            here = sa.update(table).where(*(table.c[key] == sa.bindparam(f"_{key}") for key in keys))
            here = here.where(table.c.position < sa.bindparam("_position"))
            return here.values({name: sa.bindparam(f"_{name}") for name in columns if name not in keys})

        named = [{f"_{name}": value for name, value in row.items()} for row in rows]
        many(connection, ("update", table, columns), statement, named)


def many(connection: sa.Connection, name: tuple[Any, ...], statement: Callable[[], sa.Executable], rows: Sequence[Row]) -> None:
    """Run a statement once a row, all with the same columns. It is made and compiled once for all times, under this name."""
    key = (connection.dialect.name, *name)
    ready = _READY.get(key)
    if ready is None:
        ready = _READY[key] = _compiled(connection.dialect, statement(), list(rows[0]))
    text, order, is_named = ready
    values = [tuple([row[name] if change is None else change(row[name]) for name, change in order]) for row in rows]
    names = [name for name, _ in order]
    connection.exec_driver_sql(text, [dict(zip(names, each, strict=True)) for each in values] if is_named else values)


_Change = Callable[[Any], Any]
_Ready = tuple[str, list[tuple[str, _Change | None]], bool]
_READY: dict[tuple[Any, ...], _Ready] = {}
"""As many as there are shapes of rows. What the library does anew for each row of each call is done here once for each shape."""


def _compiled(dialect: Dialect, statement: sa.Executable, columns: list[str]) -> _Ready:
    compiled = cast("Any", statement).compile(dialect=dialect, column_keys=columns)
    changes = {name: bound.type.dialect_impl(dialect).bind_processor(dialect) for name, bound in compiled.binds.items()}
    names: list[str] = compiled.positiontup if compiled.positional else list(compiled.binds)
    return str(compiled), [(name, changes[name]) for name in names], not compiled.positional


def merge(changes: dict[Any, Row], key: Any, change: Row) -> None:
    """Add a later change of the same row to what one batch changes."""
    known = changes.get(key)
    if known is None:
        changes[key] = change
    else:
        known.update(change)


def cursor_of(*parts: str | int) -> str:
    """An opaque text that leads to the next page."""
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def parts_of(cursor: str, *types: type) -> tuple[Any, ...]:
    """What `cursor_of` was given. Raises `BadCursor`."""
    try:
        parts: Any = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise BadCursor("the cursor was not made by this service") from None
    if not isinstance(parts, list) or [type(part) for part in cast("list[Any]", parts)] != list(types):
        raise BadCursor("the cursor was not made for this list")
    made = tuple(cast("list[Any]", parts))
    if any(isinstance(part, int) and not -(2**63) <= part < 2**63 for part in made):
        raise BadCursor("the cursor was not made for this list")
    return made


def mappings(result: sa.CursorResult[Any]) -> list[Mapping[str, Any]]:
    """The rows as mappings from column name to value."""
    return [dict(row) for row in result.mappings()]


def _insert(connection: sa.Connection, table: sa.Table) -> "postgresql.Insert | sqlite.Insert":
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
