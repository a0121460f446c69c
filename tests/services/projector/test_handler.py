"""One batch of the projector: all or nothing, once, and never past what it cannot read."""

from dataclasses import replace
from typing import Any

import pytest

from events.topics import run_stream
from projections import checkpoints, runs
from services.kit.database import Database
from services.projector import handler
from services.projector.handler import Folding, Poisoned, write
from services.projector.read_models import ReadModel
from tests.support.histories import TOPIC, History, run_events, started
from tests.support.rows import all_rows, project
from tests.support.samples import RUN

OTHER = str(int(RUN) + 1)


def chats() -> History:
    history = History()
    for mine, others in zip(run_events(RUN, chat="c-1"), run_events(OTHER, chat="c-1", texts="xyz"), strict=True):
        history.say(run_stream(RUN), mine)
        history.say(run_stream(OTHER), others)
    return history


async def loaded(database: Database) -> Any:
    async with database.connect() as connection:
        return await checkpoints.load(connection, 0)


async def test_rows_and_checkpoint_are_written_together(database: Database) -> None:
    history = chats()
    await project(database, history, 7)
    checkpoint = await loaded(database)
    assert checkpoint == Folding(TOPIC, 0, None).fold(history.records).after
    assert (checkpoint.offset, checkpoint.last) == (len(history.records), history.records[-1].record.headers[1][1].decode())


async def test_when_a_read_model_fails_nothing_is_written(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("broken")

    before = await all_rows(database)
    with monkeypatch.context() as patch:
        patch.setattr(handler, "READ_MODELS", (*handler.READ_MODELS, ReadModel("broken", fails, ())))
        with pytest.raises(RuntimeError, match="broken"):
            await project(database, chats())
    assert await all_rows(database) == before


async def test_a_projector_that_was_overtaken_writes_nothing(database: Database) -> None:
    history = chats()
    await project(database, history, batch=10)
    half = Folding(TOPIC, 0, None)
    zombie = [half.fold(history.records[:10]), half.fold(history.records[10:30])]
    before = await all_rows(database)
    for batch in zombie:
        with pytest.raises(checkpoints.Fenced):
            async with database.begin() as connection:
                await connection.run_sync(write, batch)
    assert await all_rows(database) == before


async def test_two_projectors_at_once_write_each_batch_once(database: Database) -> None:
    history = chats()
    batch = Folding(TOPIC, 0, None).fold(history.records)

    def slow_write(connection: Any) -> None:
        write(connection, batch)

    async with database.begin() as connection:
        await connection.run_sync(slow_write)
    with pytest.raises(checkpoints.Fenced):
        async with database.begin() as connection:
            await connection.run_sync(slow_write)


@pytest.mark.parametrize("cuts", [[1], [5, 6], [10, 20, 30], list(range(1, 40, 2))])
async def test_restarting_anywhere_gives_the_same_rows(database: Database, cuts: list[int]) -> None:
    history = chats()
    whole = list(history.records)
    for cut in cuts:
        history.records = whole[:cut]
        await project(database, history)
    history.records = whole
    await project(database, history)
    found = await all_rows(database)
    async with database.begin() as connection:
        await connection.run_sync(_empty)
    await project(database, history)
    assert await all_rows(database) == found


def _empty(connection: Any) -> None:
    for table in handler_tables():
        connection.execute(table.delete())


def handler_tables() -> list[Any]:
    return list(runs.runs.metadata.sorted_tables)


async def test_what_an_overtaken_owner_wrote_is_not_in_the_rows(database: Database) -> None:
    history = History()
    old = history.claim
    history.claimed("processor-2")
    history.say(run_stream(RUN), started(), claim=old)
    history.say(run_stream(OTHER), started(OTHER))
    await project(database, history)
    async with database.connect() as connection:
        assert await runs.get(connection, RUN) is None
        assert await runs.get(connection, OTHER) is not None


def damaged(history: History, **change: Any) -> Folding:
    last = history.records[-1]
    history.records[-1] = last._replace(record=replace(last.record, **change))
    return Folding(TOPIC, 0, None)


def test_an_accepted_event_that_nobody_here_knows_stops_the_projector_and_says_where() -> None:
    history = History(partition=0)
    history.run()
    headers = tuple((name, b"run.flew" if name == "ce_type" else value) for name, value in history.records[-1].record.headers)
    folding = damaged(history, headers=headers)
    with pytest.raises(Poisoned, match=rf"partition 0, offset {len(history.records) - 1}, stream run-{RUN}: run.flew version 1"):
        folding.fold(history.records)


@pytest.mark.parametrize("value", [b"", b"{}", b"\xff", b'{"outputs": 5}'])
def test_an_accepted_event_that_is_damaged_stops_the_projector_without_showing_it(value: bytes) -> None:
    history = History()
    history.run()
    folding = damaged(history, value=value)
    with pytest.raises(Poisoned, match=r"run.completed .* cannot be read: ") as stopped:
        folding.fold(history.records)
    assert "outputs': 5" not in str(stopped.value)


def test_what_does_not_count_may_be_anything() -> None:
    history = History()
    history.say(run_stream(RUN), started(), claim="somebody else's")
    folding = damaged(history, value=b"rubbish")
    assert [event.meta.type for event in folding.fold(history.records).events] == ["partition.claimed"]


def test_every_read_model_is_asked() -> None:
    import pkgutil

    import projections

    files = {module.name for module in pkgutil.iter_modules(projections.__path__)} - {"schema", "checkpoints"}
    assert {model.name for model in handler.READ_MODELS} == files
