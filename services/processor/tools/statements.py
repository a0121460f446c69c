"""The statements of a database node, written by SQLAlchemy: names quoted, values bound, nothing joined as text.

In comes a `DatabaseRequest`; out goes a function that does it on a connection and gives rows and a count.
"""

import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, cast

import sqlalchemy as sa
from pydantic import JsonValue
from pydantic_core import from_json, to_json
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.sql.elements import quoted_name

from services.core.language.template import Constant, Unit, parse
from services.core.running.effects import Condition, DatabaseRequest
from services.kit.outside.databases import DatabaseFailed

MOST = 10_000
"""Rows of one answer."""
_OPENS, _CLOSES = re.compile(r"(?<!')'$"), re.compile(r"'(?!')")
Rows = tuple[list[dict[str, Any]], int]


class BadStatement(DatabaseFailed):
    """The node's parameters do not fit the database."""

    def __init__(self, message: str) -> None:
        super().__init__(message, kind="parameters")


def do(request: DatabaseRequest, connection: sa.Connection) -> Rows:
    """Do it. Raises `BadStatement`, and what the database raises."""
    if request.mode == 0:
        return _sql(request, connection)
    table = _table(request, connection)
    where = _where(request, table)
    match request.mode:
        case 1:
            return _counted(connection, sa.insert(table).values(_values(request.values, table)))
        case 2:
            return _counted(connection, sa.update(table).values(_values(request.values, table)).where(where))
        case 4:
            return _counted(connection, sa.delete(table).where(where))
        case _:
            return _select(request, connection, table, where)


def _select(request: DatabaseRequest, connection: sa.Connection, table: sa.Table, where: Any) -> Rows:
    columns = [_column(table, name) for name in request.fields] or list(table.columns)
    statement = sa.select(*columns).where(where)
    for name, is_descending in request.order:
        column = _column(table, name)
        statement = statement.order_by(column.desc() if is_descending else column.asc())
    if request.limit:
        statement = statement.limit(request.limit)
    return _rows(connection.execute(statement))


def _counted(connection: sa.Connection, statement: Any) -> Rows:
    return [], cast("Any", connection.execute(statement, execution_options={"preserve_rowcount": True})).rowcount


def _rows(result: Any) -> Rows:
    rows: list[dict[str, Any]] = []
    for row in result.mappings():
        if len(rows) >= MOST:
            raise BadStatement(f"it found more than {MOST} rows: give the node a limit")
        rows.append({str(name): plain(value) for name, value in row.items()})
    return rows, len(rows)


def plain(value: Any) -> JsonValue:
    """A value of a database as JSON: decimals as numbers, moments and what is no number as text, bytes in base64."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Decimal) and value.is_finite():
        return int(value) if value == value.to_integral_value() else float(value)
    return cast("JsonValue", from_json(to_json(value, bytes_mode="base64", inf_nan_mode="strings", serialize_unknown=True)))


def _table(request: DatabaseRequest, connection: sa.Connection) -> sa.Table:
    """The table as it is in the database; on SQLite values keep the type they come with."""
    schema, _, name = request.table.rpartition(".")
    try:
        found = sa.inspect(connection).get_columns(name, schema or None)
    except NoSuchTableError:
        raise BadStatement(f"there is no table {request.table}") from None
    is_sqlite = connection.dialect.name == "sqlite"
    columns = [sa.Column(quoted_name(one["name"], quote=True), sa.types.NullType() if is_sqlite else one["type"]) for one in found]
    if not columns:
        raise BadStatement(f"there is no table {request.table}")
    inner = quoted_name(schema, quote=True) if schema else None
    return sa.Table(quoted_name(name, quote=True), sa.MetaData(), *columns, schema=inner)


def _column(table: sa.Table, name: str) -> sa.Column[Any]:
    if name not in table.columns:
        raise BadStatement(f"the table {table.name} has no column {name}")
    return table.columns[name]


def _values(values: Mapping[str, JsonValue], table: sa.Table) -> dict[str, Any]:
    return {_column(table, name).name: _bound(value, table.columns[name]) for name, value in values.items()}


def _bound(value: JsonValue, column: sa.Column[Any]) -> Any:
    """A value as it is bound: what is no single value travels as JSON text where the column is not of that type."""
    if isinstance(value, dict | list) and not isinstance(column.type, sa.JSON | sa.ARRAY):
        return json.dumps(value, ensure_ascii=False)
    return value


def _where(request: DatabaseRequest, table: sa.Table) -> Any:
    parts = [_condition(one, table) for one in request.conditions]
    if not parts:
        return sa.true()
    return sa.and_(*parts) if request.every else sa.or_(*parts)


def _condition(one: Condition, table: sa.Table) -> Any:
    column = _column(table, one.field)
    match one.operator:
        case "null":
            return column.is_(None)
        case "not null":
            return column.is_not(None)
        case "in" | "not in":
            values = [_bound(value, column) for value in _listed(one.value)]
            listed = sa.bindparam(None, values, column.type, expanding=True)
            return column.in_(listed) if one.operator == "in" else column.not_in(listed)
        case "like" | "not like":
            text = sa.cast(column, sa.Text)
            return text.like(str(one.value)) if one.operator == "like" else text.not_like(str(one.value))
        case _:
            compare = column.op({"!=": "<>"}.get(one.operator, one.operator), is_comparison=True)
            return compare(sa.bindparam(None, _bound(one.value, column), column.type))


def _listed(value: JsonValue) -> list[JsonValue]:
    """A list, a JSON text of one, or values between commas."""
    if isinstance(value, str):
        try:
            found = cast("JsonValue", from_json(value))
        except ValueError:
            return [part.strip() for part in value.split(",")]
        return found if isinstance(found, list) else [value]
    return value if isinstance(value, list) else [value]


def _sql(request: DatabaseRequest, connection: sa.Connection) -> Rows:
    text, values = bound_sql(parse(request.sql, request.values.keys()), request.values, connection.dialect.name)
    with _one_at_a_time(connection):
        result = cast("Any", connection.exec_driver_sql(text, tuple(values)))
        return _rows(result) if result.returns_rows else ([], result.rowcount)


@contextmanager
def _one_at_a_time(connection: sa.Connection) -> Generator[None]:
    """PostgreSQL takes several statements in one text unless it is prepared; SQLite never does."""
    driver = cast("Any", connection.connection.driver_connection)
    if connection.dialect.name == "sqlite":
        yield
        return
    usual, driver.prepare_threshold = driver.prepare_threshold, 0
    try:
        yield
    finally:
        driver.prepare_threshold = usual


def bound_sql(units: tuple[Unit, ...], values: Mapping[str, JsonValue], dialect: str) -> tuple[str, list[Any]]:
    """SQL with the driver's marks in place of placeholders, and what is bound to them.

    A placeholder inside quotes (`'{{a}}'`, `'%{{a}}%'`), as flows that were written for joined text have it, becomes a value too.
    """
    mark = "?" if dialect == "sqlite" else "%s"
    written, bound, rest = "", list[Any](), list(units)
    for number, unit in enumerate(rest):
        if isinstance(unit, Constant):
            written += unit.text if dialect == "sqlite" else unit.text.replace("%", "%%")
            continue
        if unit.path:
            raise BadStatement(f"sql: the placeholder {unit.written} has a path; give the value itself as an input")
        value = values[unit.name]
        bound.append(json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value)
        after = rest[number + 1]
        if written.count("'") % 2 == 0:
            written += mark
        elif isinstance(after, Constant) and _OPENS.search(written) and _CLOSES.match(after.text):
            written, rest[number + 1] = written[:-1] + mark, Constant(after.text[1:])
        else:
            written += f"' || CAST({mark} AS TEXT) || '"
    return written, bound
