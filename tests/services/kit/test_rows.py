"""Waiting for rows, and reading a journal with its checkpoint."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.exc import OperationalError

from projections import checkpoints
from services.kit import rows
from services.kit.database import Database
from services.kit.errors import NotReady
from services.kit.rows import Rows
from tests.support.histories import History
from tests.support.rows import project
from tests.support.samples import RUN

PATIENCE_S = 20


@pytest.fixture
async def elsewhere(database: Database) -> AsyncIterator[Database]:
    """The same database as another process sees it."""
    other = Database(database.url.render_as_string(hide_password=False))
    yield other
    await other.dispose()


async def test_rows_that_are_there_are_not_waited_for(database: Database) -> None:
    history = History()
    await project(database, history)
    await Rows(database).wait(0, 0, timeout=PATIENCE_S)


async def test_a_wait_ends_when_another_process_has_written_the_rows(database: Database, elsewhere: Database) -> None:
    history = History()
    history.run()
    waiting = asyncio.create_task(Rows(elsewhere).wait(0, len(history.records) - 1, PATIENCE_S))
    await project(database, history, batch=5)
    await waiting


async def test_a_wait_ends_at_once_when_the_projector_here_says_so(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_FIRST_PAUSE_S", 2 * PATIENCE_S)
    monkeypatch.setattr(rows, "_LONGEST_PAUSE_S", 2 * PATIENCE_S)
    asked = asyncio.Event()

    class Silent(Rows):
        async def _reached(self, partition: int) -> int:
            asked.set()
            return 0

    waiting = asyncio.create_task(Silent(database).wait(3, 7, PATIENCE_S))
    await asked.wait()
    database.progress.tell(3, 7)
    database.progress.tell(2, 100)
    assert not waiting.done()
    database.progress.tell(3, 8)
    await waiting


async def test_rows_that_do_not_come_are_not_waited_for_for_ever(database: Database) -> None:
    with pytest.raises(NotReady, match=r"the rows of partition 5 did not reach offset 0 within 0\.05 s"):
        await Rows(database).wait(5, 0, timeout=0.05)


async def test_a_database_that_is_away_ends_no_wait_before_its_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([OperationalError("SELECT", None, Exception("gone"))])
    reached = checkpoints.reached

    async def unsteady(*arguments: object) -> int:
        for answer in answers:
            raise answer
        return await reached(*arguments)

    await project(database, History())
    monkeypatch.setattr(checkpoints, "reached", unsteady)
    await Rows(database).wait(0, 0, PATIENCE_S)


async def test_a_journal_and_its_checkpoint_are_read_as_of_one_moment(database: Database, elsewhere: Database) -> None:
    history = History()
    history.run()
    whole, history.records = history.records, history.records[:10]
    await project(database, history)
    async with database.snapshot() as connection:
        before = await checkpoints.reached(connection, 0)
        history.records = whole
        await project(elsewhere, history)
        assert await checkpoints.reached(connection, 0) == before == 10
    events, checkpoint = await Rows(database).open(RUN, 0, after=4)
    assert checkpoint is not None
    assert events == history.accepted()[5:]
    assert (checkpoint.offset, checkpoint.positions) == (len(whole), {})


async def test_the_checkpoint_of_a_running_run_names_its_position(database: Database) -> None:
    history = History()
    history.run()
    history.records = history.records[:10]
    await project(database, history)
    events, checkpoint = await Rows(database).open(RUN, 0, limit=3)
    assert checkpoint is not None
    assert (len(events), checkpoint.positions) == (3, {f"run-{RUN}": 9})
