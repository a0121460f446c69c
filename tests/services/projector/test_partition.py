"""One partition of the projector: it goes on where the rows are, waits for what is away, and stops where the log is another."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from events.acceptance import Checkpoint
from events.topics import EVENTS, run_stream
from projections import checkpoints, run_journal, runs
from services.kit.database import Database
from services.kit.rows import Rows
from services.kit.world import World
from services.projector.partition import WrongHistory
from tests.support.histories import History, run_events
from tests.support.projecting import append, following, projector_world
from tests.support.rows import all_rows
from tests.support.samples import RUN

PATIENCE_S = 20
OTHER = str(int(RUN) + 1)


@pytest.fixture
async def world(tmp_path: Path, database: Database) -> AsyncIterator[World]:
    async with projector_world(tmp_path, database) as made:
        yield made


async def status(world: World, run: str = RUN) -> str | None:
    async with world.database.connect() as connection:
        found = await runs.get(connection, run)
    return None if found is None else found.status


async def checkpoint(world: World) -> Checkpoint | None:
    async with world.database.connect() as connection:
        return await checkpoints.load(connection, 0)


async def test_rows_follow_the_log_as_it_grows(world: World) -> None:
    history = History()
    rows = Rows(world.database)
    async with following(world):
        for event in run_events():
            history.say(run_stream(RUN), event)
            await rows.wait(0, await append(world, history), PATIENCE_S)
    assert await status(world) == "completed"
    async with world.database.connect() as connection:
        assert await run_journal.read(connection, RUN) == history.accepted()[1:]


async def test_the_next_projector_goes_on_at_the_checkpoint(world: World) -> None:
    history = History()
    history.run()
    async with following(world):
        await Rows(world.database).wait(0, await append(world, history), PATIENCE_S)
    before = await checkpoint(world)
    history.run(OTHER)
    async with following(world, batch=4):
        await Rows(world.database).wait(0, await append(world, history), PATIENCE_S)
    after = await checkpoint(world)
    assert before is not None
    assert after is not None
    assert (before.offset, after.offset) == (before.offset, len(history.records))
    assert (await status(world), await status(world, OTHER)) == ("completed", "completed")


async def test_values_that_travel_as_blobs_are_in_the_rows(world: World) -> None:
    history = History()
    history.run(texts=["long " * 40_000])
    async with following(world):
        await Rows(world.database).wait(0, await append(world, history), PATIENCE_S)
    async with world.database.connect() as connection:
        assert await run_journal.read(connection, RUN) == history.accepted()[1:]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"topic": "topic-of-yesterday"}, r"partition 0 of prozess.events .* from another topic \(topic-of-yesterday"),
        ({"last": "e-9"}, "another record at offset .* than it says"),
        ({"offset": 500}, "does not have offset 499, up to which it goes"),
    ],
)
async def test_rows_of_another_history_stop_the_projector(world: World, wrong: dict[str, object], sentence: str) -> None:
    history = History()
    history.run()
    async with following(world):
        await Rows(world.database).wait(0, await append(world, history), PATIENCE_S)
    before = await checkpoint(world)
    assert before is not None
    async with world.database.begin() as connection:
        await connection.run_sync(checkpoints.advance, before, replace(before, **wrong))
    rows = await all_rows(world.database)
    with pytest.raises(WrongHistory, match=sentence):
        async with asyncio.timeout(PATIENCE_S), following(world) as partition:
            await asyncio.wait({task for task in asyncio.all_tasks() if "follow" in repr(task.get_coro())})
    assert partition.offset is None
    assert await all_rows(world.database) == rows


class Unsteady(Database):
    """A database that is away for the next `away` transactions: before it did anything, or after it committed."""

    away = 0
    after_commit = False

    async def write(self, work: Callable[[sa.Connection], None]) -> None:
        gone = self.away > 0
        self.away -= gone
        if gone and not self.after_commit:
            raise OperationalError("BEGIN", None, Exception("the server closed the connection"))
        await super().write(work)
        if gone:
            raise OperationalError("COMMIT", None, Exception("the server closed the connection"))


@pytest.mark.parametrize("after_commit", [False, True])
async def test_a_database_that_is_away_is_waited_for_and_nothing_is_lost_or_twice(
    tmp_path: Path, database_url: str, after_commit: bool
) -> None:
    database = Unsteady(database_url)
    await database.migrate()
    history = History()
    history.run(chat="c-1")
    database.away, database.after_commit = 2, after_commit
    async with projector_world(tmp_path, database) as world:
        async with following(world, batch=5):
            await Rows(database).wait(0, await append(world, history), PATIENCE_S)
        async with database.connect() as connection:
            assert await run_journal.read(connection, RUN) == history.accepted()[1:]
    await database.dispose()


@pytest.mark.postgres
async def test_connections_that_the_server_ends_are_made_again(tmp_path: Path, postgres_url: str) -> None:
    database, killer = Database(postgres_url), Database(postgres_url)
    await database.migrate()
    history = History()
    history.run()
    end = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
    async with projector_world(tmp_path, database) as world, following(world):
        await Rows(killer).wait(0, await append(world, history), PATIENCE_S)
        async with killer.begin() as connection:
            await connection.execute(end)
        history.run(OTHER)
        await Rows(killer).wait(0, await append(world, history), PATIENCE_S)
        assert await status(world, OTHER) == "completed"
    await killer.dispose()
    await database.dispose()


async def test_a_projector_that_was_overtaken_begins_again_at_the_new_checkpoint(tmp_path: Path, database: Database) -> None:
    other = Database(database.url.render_as_string(hide_password=False))
    async with projector_world(tmp_path, database) as world:
        history = History()
        history.run()
        async with following(world):
            await Rows(database).wait(0, await append(world, history), PATIENCE_S)
            here = await checkpoint(world)
            assert here is not None
            topic = await world.log.identity(EVENTS)
            assert here.topic == topic
            history.run(OTHER)
            ahead = replace(here, offset=len(history.records), last="e-0-" + str(len(history.records) - 1))
            async with other.begin() as connection:
                await connection.run_sync(checkpoints.advance, here, ahead)
            await append(world, history)
            third = str(int(RUN) + 2)
            history.run(third)
            await Rows(other).wait(0, await append(world, history), PATIENCE_S)
            assert (await status(world, OTHER), await status(world, third)) == (None, "completed")
    await other.dispose()
