"""What happened in a run, event by event?"""

import pytest
import sqlalchemy as sa

from events.delta import NodeDelta
from events.envelope import Words
from events.topics import run_stream
from projections import run_journal
from projections.schema import mappings
from services.kit.database import Database
from tests.support.histories import History, run_events
from tests.support.rows import project
from tests.support.samples import RUN, words

OTHER = "7300000000000000002"


def of_run(history: History, run: str = RUN) -> list[object]:
    return [event for event in history.accepted() if event.meta.stream == run_stream(run)]


async def rows(database: Database) -> list[dict[str, object]]:
    async with database.connect() as connection:
        found = await connection.execute(sa.select(run_journal.run_journal).order_by("run", "position"))
        return [dict(row) for row in mappings(found)]


@pytest.mark.parametrize("batch", [1, 3, 1000])
async def test_the_journal_gives_back_every_event_as_it_was_accepted(database: Database, batch: int) -> None:
    history = History(partition=3)
    history.run()
    await project(database, history, batch)
    async with database.connect() as connection:
        assert await run_journal.read(connection, RUN) == of_run(history)


async def test_text_of_a_node_that_comes_in_one_batch_is_one_row(database: Database) -> None:
    history = History()
    history.run(texts=["a", "b", "c", "d"])
    await project(database, history)
    blocks = [row["block"]["texts"] for row in await rows(database) if row["block"] is not None]
    assert blocks == [["Hm. "], ["a", "b", "c", "d"]]


async def test_text_of_runs_that_come_at_the_same_time_is_kept_apart(database: Database) -> None:
    history = History()
    for mine, others in zip(run_events(RUN), run_events(OTHER, texts=["x", "y", "z"]), strict=True):
        history.say(run_stream(RUN), mine)
        history.say(run_stream(OTHER), others)
    await project(database, history)
    async with database.connect() as connection:
        assert await run_journal.read(connection, RUN) == of_run(history)
        assert await run_journal.read(connection, OTHER) == of_run(history, OTHER)
    assert [len(row["block"]["texts"]) for row in await rows(database) if row["block"] is not None] == [1, 3, 1, 3]


async def test_a_long_text_is_cut_into_rows_of_bounded_length(database: Database) -> None:
    history = History()
    history.run(texts=[str(number) for number in range(600)])
    await project(database, history)
    assert [len(row["block"]["texts"]) for row in await rows(database) if row["block"] is not None] == [1, 256, 256, 88]
    async with database.connect() as connection:
        assert await run_journal.read(connection, RUN) == of_run(history)


async def test_reading_may_begin_and_end_in_the_middle_of_a_text(database: Database) -> None:
    history = History()
    history.run(texts=[str(number) for number in range(600)])
    await project(database, history)
    events = of_run(history)
    async with database.connect() as connection:
        for after, limit in ((0, 5), (12, 3), (100, 300), (300, 1), (500, 1000), (len(events) - 1, 10)):
            assert await run_journal.read(connection, RUN, after, limit) == events[after : after + limit]
        assert await run_journal.read(connection, RUN, len(events), 10) == []
        assert await run_journal.head(connection, RUN) == len(events)


async def test_an_unknown_run_has_no_journal(database: Database) -> None:
    async with database.connect() as connection:
        assert await run_journal.read(connection, RUN) == []
        assert await run_journal.head(connection, RUN) == 0


async def test_shown_and_waiting_text_sealed_text_and_text_of_another_attempt_do_not_share_a_row(database: Database) -> None:
    history = History()
    said = [
        NodeDelta(node="n", stage="content", text=words("a"), shown="m"),
        NodeDelta(node="n", stage="content", text=words("b")),
        NodeDelta(node="n", stage="content", text=Words(subject="person-1", sealed="c2VhbGVk")),
        NodeDelta(node="n", stage="content", text=words("c"), attempt=2),
        NodeDelta(node="n", stage="content", text=words("d"), attempt=2, path=(1,)),
        NodeDelta(node="n", stage="reasoning", text=words("e", "person-2"), attempt=2, path=(1,)),
    ]
    history.say(run_stream(RUN), *said)
    await project(database, history)
    assert len(await rows(database)) == len(said)
    async with database.connect() as connection:
        assert await run_journal.read(connection, RUN) == of_run(history)


async def test_text_with_nul_and_private_characters_comes_back_unchanged(database: Database) -> None:
    history = History()
    history.run(texts=["a\x00b", "\ue000", "\ue0000", "天空 🌌"])
    await project(database, history)
    async with database.connect() as connection:
        assert await run_journal.read(connection, RUN) == of_run(history)
