"""What all read models stand on: types that keep any value, and guarded writes."""

from typing import Any

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis import given

from projections.schema import BadCursor, Json, Row, Text, Whole, cursor_of, insert_new, merge, parts_of, store
from services.kit.database import Database

scratch = sa.Table(
    "scratch",
    sa.MetaData(),
    sa.Column("key", Text, primary_key=True),
    sa.Column("name", Text, nullable=False),
    sa.Column("more", Json),
    sa.Column("position", Whole, nullable=False),
)


@pytest.fixture
async def rows(empty_database: Database) -> Database:
    async with empty_database.begin() as connection:
        await connection.run_sync(scratch.metadata.create_all)
    return empty_database


async def write(database: Database, *changes: Row) -> None:
    async with database.begin() as connection:
        await connection.run_sync(store, scratch, changes)


async def read(database: Database) -> list[tuple[Any, ...]]:
    async with database.connect() as connection:
        return [tuple(row) for row in await connection.execute(sa.select(scratch).order_by("key"))]


@pytest.mark.parametrize("text", ["", "\x00", "a\x00b\ue000c", "\ue0000", "\ue0001\x00", "天\U0010ffff"])
async def test_any_text_comes_back_and_can_be_searched_for(rows: Database, text: str) -> None:
    await write(rows, {"key": text, "name": text, "more": {text: [text]}, "position": 1})
    assert await read(rows) == [(text, text, {text: [text]}, 1)]
    async with rows.connect() as connection:
        assert (await connection.execute(sa.select(scratch.c.key).where(scratch.c.key == text))).scalars().all() == [text]


async def test_an_older_change_changes_nothing(rows: Database) -> None:
    await write(rows, {"key": "a", "name": "new", "position": 5})
    await write(rows, {"key": "a", "name": "old", "position": 5}, {"key": "b", "name": "b", "position": 1})
    await write(rows, {"key": "a", "more": [1], "position": 4})
    assert await read(rows) == [("a", "new", None, 5), ("b", "b", None, 1)]


async def test_a_partial_change_updates_a_row_that_is_there_and_makes_none(rows: Database) -> None:
    await write(rows, {"key": "a", "name": "a", "position": 1})
    await write(rows, {"key": "a", "more": [1], "position": 2}, {"key": "b", "more": [2], "position": 2})
    assert await read(rows) == [("a", "a", [1], 2)]


async def test_inserting_a_row_that_is_there_leaves_it(rows: Database) -> None:
    await write(rows, {"key": "a", "name": "a", "position": 1})
    async with rows.begin() as connection:
        await connection.run_sync(insert_new, scratch, [{"key": "a", "name": "z", "position": 9}, {"key": "b", "name": "b", "position": 1}])
    assert await read(rows) == [("a", "a", None, 1), ("b", "b", None, 1)]


def test_changes_of_one_row_in_one_batch_become_one_change() -> None:
    changes: dict[str, Row] = {}
    merge(changes, "a", {"key": "a", "name": "x", "position": 1})
    merge(changes, "a", {"key": "a", "more": 1, "position": 2})
    assert changes == {"a": {"key": "a", "name": "x", "more": 1, "position": 2}}


@given(st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_cursor_gives_back_what_it_was_made_of(number: int, text: str) -> None:
    assert parts_of(cursor_of(number, text), int, str) == (number, text)


@given(st.text())
def test_any_other_text_is_refused_as_a_cursor(text: str) -> None:
    with pytest.raises(BadCursor):
        parts_of(text, int, str, int, int)
