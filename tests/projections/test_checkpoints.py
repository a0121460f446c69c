"""How far are the rows?"""

from dataclasses import replace

import pytest

from events.acceptance import Cause, Checkpoint
from projections import checkpoints
from services.kit.database import Database

FIRST = Checkpoint(
    topic="topic-1", partition=2, offset=7, last="e-6", claim="claim-1", commands="commands-1",
    cause=Cause("commands-1", 3, "c-3"), positions={"run-1": 4, "app-demo": 1},
)  # fmt: skip
SECOND = replace(FIRST, offset=9, last="e-8", cause=None, positions={"app-demo": 2, "run-2": 1})


async def move(database: Database, before: Checkpoint | None, after: Checkpoint) -> None:
    async with database.begin() as connection:
        await connection.run_sync(checkpoints.advance, before, after)


async def loaded(database: Database, partition: int = 2) -> Checkpoint | None:
    async with database.connect() as connection:
        return await checkpoints.load(connection, partition)


async def test_a_partition_that_was_never_projected_has_no_checkpoint(database: Database) -> None:
    assert await loaded(database) is None
    async with database.connect() as connection:
        assert await checkpoints.reached(connection, 2) == 0


async def test_a_checkpoint_comes_back_whole(database: Database) -> None:
    await move(database, None, FIRST)
    assert await loaded(database) == FIRST
    assert await loaded(database, 3) is None
    async with database.connect() as connection:
        assert await checkpoints.reached(connection, 2) == 7


async def test_streams_that_ended_are_forgotten_and_others_move_on(database: Database) -> None:
    await move(database, None, FIRST)
    await move(database, FIRST, SECOND)
    assert await loaded(database) == SECOND


async def test_positions_of_some_streams_can_be_asked_for(database: Database) -> None:
    await move(database, None, FIRST)
    async with database.connect() as connection:
        some = await checkpoints.load(connection, 2, {"run-1", "run-9"})
    assert some == replace(FIRST, positions={"run-1": 4})


@pytest.mark.parametrize(
    "wrong",
    [None, replace(FIRST, offset=6), replace(FIRST, last="another"), replace(FIRST, topic="topic-2")],
    ids=["thinks it is first", "is behind", "read other records", "read another topic"],
)
async def test_who_does_not_know_where_the_checkpoint_is_cannot_move_it(database: Database, wrong: Checkpoint | None) -> None:
    await move(database, None, FIRST)
    with pytest.raises(checkpoints.Fenced, match="partition 2"):
        await move(database, wrong, SECOND)
    assert await loaded(database) == FIRST
