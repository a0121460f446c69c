"""Statements in databases of apps, on SQLite and PostgreSQL: values are bound, whatever is in them."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from services.core.running.effects import Condition, DatabaseRequest, Done
from services.kit.database import Database
from services.processor.effects import EffectWorld
from services.processor.tools.statements import plain
from tests.support import postgres
from tests.support.fixtures.effect_tools import keep, secret, tool_rows, tool_world
from tests.support.fixtures.effects import effect_settings, effect_world, outcomes_of
from tests.support.forwarding import on_a_port

__all__ = ["tool_rows", "tool_world"]
EVIL = "x'; DROP TABLE people; --"
SCHEMA = 'CREATE TABLE people (id integer, name text, "select" text, born date)'
ROWS = "INSERT INTO people VALUES (1, 'Ann', 'a', '2001-02-03'), (2, 'Bob', 'b', '2002-03-04'), (3, 'Cid', 'c', '2003-04-05')"


@pytest.fixture(scope="module")
def postgres_on_a_port(postgres_server: str) -> Iterator[str]:
    with postgres.database(postgres_server) as url, on_a_port(sa.make_url(url)) as address:
        yield address.render_as_string(hide_password=False)


@pytest.fixture
def dsn(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if database_kind == "sqlite":
        with sqlite3.connect(tmp_path / "people.db") as file:
            file.execute(SCHEMA)
            file.execute(ROWS)
        file.close()
        yield "sqlite:///people.db"
        return
    address = request.getfixturevalue("postgres_on_a_port")
    with psycopg.connect(address) as connection:
        connection.execute("DROP TABLE IF EXISTS people")
        connection.execute(SCHEMA)
        connection.execute(ROWS)
    yield address


@pytest.fixture
async def people(tool_world: EffectWorld, tool_rows: Database, dsn: str) -> EffectWorld:
    await keep(tool_rows, "77", "database", {"dsn": secret(tool_world, dsn), "dialect": "x", "read_only": False})
    return tool_world


SELECT = DatabaseRequest("demo", "77", 3, "", "people", {}, (), True, (), (("id", False),), 0, 5_000)


def where(*conditions: tuple[str, str, Any]) -> tuple[Condition, ...]:
    return tuple(Condition(*one) for one in conditions)


async def perform(world: EffectWorld, **changes: Any) -> list[Any]:
    return (await outcomes_of(replace(SELECT, **changes), world)).all


async def rows(world: EffectWorld, **changes: Any) -> Any:
    done = (await perform(world, **changes))[-1]
    assert isinstance(done, Done), done
    assert done.outputs is not None
    return done.outputs["outputList"]


async def test_no_limit_means_all_rows(people: EffectWorld):
    found = await rows(people)
    assert [one["id"] for one in found] == [1, 2, 3]
    assert found[0] == {"id": 1, "name": "Ann", "select": "a", "born": "2001-02-03"}
    assert [one["id"] for one in await rows(people, limit=2)] == [1, 2]
    assert await rows(people, fields=("select",), order=(("id", True),), limit=1) == [{"select": "c"}]


@pytest.mark.parametrize(
    ("conditions", "every", "ids"),
    [
        (where(("id", "=", 2)), True, [2]),
        (where(("id", "=", "2")), True, [2]),
        (where(("id", "!=", 2)), True, [1, 3]),
        (where(("id", "<", 2), ("id", ">=", 3)), False, [1, 3]),
        (where(("id", "<=", 2), ("id", ">", 1)), True, [2]),
        (where(("name", "like", "%b%")), True, [2]),
        (where(("name", "not like", "A%")), True, [2, 3]),
        (where(("id", "in", [1, 3])), True, [1, 3]),
        (where(("id", "in", "1, 3")), True, [1, 3]),
        (where(("id", "not in", "[1, 3]")), True, [2]),
        (where(("name", "null", None)), True, []),
        (where(("name", "not null", None)), True, [1, 2, 3]),
        (where(("name", "=", EVIL)), True, []),
        (where(("select", "=", "b")), True, [2]),
    ],
)
async def test_conditions_hold_their_values(people: EffectWorld, conditions: Any, every: bool, ids: list[int]):
    assert [one["id"] for one in await rows(people, conditions=conditions, every=every)] == ids


async def test_rows_are_inserted_updated_and_deleted(people: EffectWorld):
    (*_, done) = await perform(people, mode=1, values={"id": 4, "name": EVIL})
    assert done.outputs == {"isSuccess": True, "message": "1 rows", "outputList": []}
    assert [one["name"] for one in await rows(people, conditions=where(("id", "=", 4)))] == [EVIL]
    await perform(people, mode=2, values={"name": "Dan"}, conditions=where(("name", "=", EVIL)))
    assert [one["name"] for one in await rows(people, conditions=where(("id", "=", 4)))] == ["Dan"]
    await perform(people, mode=4, conditions=where(("id", "=", 4)))
    assert len(await rows(people)) == 3


@pytest.mark.parametrize(
    ("sql", "ids"),
    [
        ("SELECT id FROM people WHERE name = {{n}}", [1]),
        ("SELECT id FROM people WHERE name = '{{n}}'", [1]),
        ("SELECT id FROM people WHERE name LIKE '%{{part}}%' ORDER BY id", [1]),
        ("SELECT id FROM people WHERE id = {{i}} AND '50%' = '50%'", [2]),
        ("SELECT id FROM people WHERE name = '{{evil}}' OR name = '{{n}}'", [1]),
    ],
)
async def test_placeholders_of_sql_are_bound_inside_quotes_too(people: EffectWorld, sql: str, ids: list[int]):
    values = {"n": "Ann", "part": "nn", "i": 2, "evil": EVIL}
    assert [one["id"] for one in await rows(people, mode=0, sql=sql, values=values)] == ids


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"table": "nobody"}, 21002, "there is no table nobody"),
        ({"fields": ("nothing",)}, 21002, "has no column nothing"),
        ({"conditions": where(("nothing", "=", 1))}, 21002, "has no column nothing"),
        ({"database": "78"}, 21002, "this app has no database 78"),
        ({"app": "other"}, 21002, "this app has no database 77"),
        ({"mode": 0, "sql": "SELECT FORM"}, 21000, "the database 77: it refused the statement"),
        ({"mode": 0, "sql": "SELECT 1; DROP TABLE people"}, 21000, "the database 77: it refused the statement"),
    ],
)
async def test_what_cannot_be_done_is_said(people: EffectWorld, changes: dict[str, Any], code: int, said: str):
    broke = (await perform(people, **changes))[-1]
    assert broke.problem.code == code
    assert said in broke.problem.message
    assert len(await rows(people)) == 3


async def test_a_statement_that_takes_too_long_is_ended(people: EffectWorld, database_kind: str):
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    broke = (await perform(people, mode=0, sql=endless, quiet_ms=200))[-1]
    assert (broke.problem.code, broke.temporary) == (21000, True)
    assert "did not answer within 0.2 s" in broke.problem.message


async def test_a_database_kept_for_reading_is_only_read(tool_world: EffectWorld, tool_rows: Database, dsn: str):
    await keep(tool_rows, "77", "database", {"dsn": secret(tool_world, dsn), "dialect": "x", "read_only": True})
    broke = (await perform(tool_world, mode=4, conditions=where(("id", "=", 1))))[-1]
    assert broke.problem.code == 21000
    assert len(await rows(tool_world)) == 3


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("sqlite:///../outside.db", "there is no such SQLite file"),
        ("sqlite:////etc/passwd", "there is no such SQLite file"),
        ("postgresql://u:sesame@169.254.169.254/d", "egress_networks"),
        ("postgresql://u:sesame@127.0.0.1:1/d", "cannot be reached"),
    ],
)
async def test_addresses_that_may_not_be_used_are_refused(tool_world: EffectWorld, tool_rows: Database, address: str, said: str):
    await keep(tool_rows, "77", "database", {"dsn": secret(tool_world, address), "dialect": "x"})
    broke = (await perform(tool_world))[-1]
    assert broke.problem.code == 21000
    assert said in broke.problem.message
    assert "sesame" not in broke.problem.message


@pytest.mark.parametrize("sql", ["ATTACH DATABASE 'other.db' AS o", "PRAGMA journal_mode = DELETE", "VACUUM INTO 'copy.db'"])
async def test_no_statement_reaches_another_file(tool_world: EffectWorld, tool_rows: Database, tmp_path: Path, sql: str):
    sqlite3.connect(tmp_path / "own.db").close()
    await keep(tool_rows, "77", "database", {"dsn": secret(tool_world, "sqlite:///own.db"), "dialect": "x"})
    broke = (await perform(tool_world, mode=0, sql=sql))[-1]
    assert broke.problem.code == 21000
    assert files(tmp_path) == ["own.db"]


def files(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir() if not one.name.startswith("rows"))


async def test_sqlite_files_are_not_opened_where_no_setting_names_a_folder(tool_rows: Database):
    world = effect_world(effect_settings(), database=tool_rows)
    await keep(tool_rows, "77", "database", {"dsn": secret(world, "sqlite:///own.db"), "dialect": "x"})
    broke = (await perform(world))[-1]
    assert "setting sqlite_root" in broke.problem.message
    await world.models.aclose()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Decimal("1.5"), 1.5), (Decimal(3), 3), (Decimal("NaN"), "NaN"), (Decimal("-Infinity"), "-Infinity"), (float("inf"), "Infinity"),
        ([1.5, float("nan")], [1.5, "NaN"]), (b"ab", "YWI="), (date(2001, 2, 3), "2001-02-03"), (True, True), (None, None), (2**70, 2**70),
    ],
)  # fmt: skip
def test_a_value_is_told_as_json_has_it(value: Any, told: Any):
    assert plain(value) == told
