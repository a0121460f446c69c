"""Which runs were there, and how did they end?"""

import pytest

from events.envelope import Event
from events.run import RunCancelled, RunFailed, RunTimedOut, Usage
from events.topics import run_stream
from projections import runs
from projections.runs import RunFilter
from projections.schema import BadCursor, cursor_of
from services.kit.database import Database
from tests.support.histories import History, run_events, started
from tests.support.rows import project
from tests.support.samples import DIGEST, FLOW, RUN

NAMES = [str(int(RUN) + number) for number in range(5)]


async def get(database: Database, run: str = RUN) -> runs.Run | None:
    async with database.connect() as connection:
        return await runs.get(connection, run)


async def listed(database: Database, wanted: RunFilter, cursor: str | None = None, limit: int = 50) -> runs.RunPage:
    async with database.connect() as connection:
        return await runs.page(connection, wanted, cursor, limit)


async def test_a_run_that_began_is_running(database: Database) -> None:
    history = History(partition=4)
    history.say(run_stream(RUN), started(chat="c-1", flow_version="v1"))
    await project(database, history)
    run = await get(database)
    assert run is not None
    assert (run.status, run.app, run.flow, run.flow_version, run.definition) == ("running", "demo", FLOW, "v1", DIGEST)
    assert (run.chat, run.mode, run.surface, run.stream, run.subject) == ("c-1", "open", "astron", True, "person-1")
    assert run.uid == {"subject": "person-1", "words": "uid-1"}
    assert (run.partition, run.offset, run.position, run.finished, run.usage) == (4, 1, 1, None, None)
    assert await get(database, "1") is None


@pytest.mark.parametrize("batch", [1, 1000])
async def test_a_completed_run_has_usage_and_times(database: Database, batch: int) -> None:
    history = History()
    history.run()
    await project(database, history, batch)
    run = await get(database)
    assert run is not None
    assert (run.status, run.code, run.usage) == ("completed", 0, {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18})
    assert run.finished == run.started + 7 * (run.position - 1)
    assert run.position == len(run_events())


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (RunFailed(code=20380, message="no answer", node="spark-llm::2"), ("failed", 20380, "no answer", "spark-llm::2")),
        (RunTimedOut(code=20303, message="too long", limit_ms=5, usage=Usage(total_tokens=1)), ("timed_out", 20303, "too long", "")),
        (RunCancelled(by="demo", code=20304, message="cancelled"), ("cancelled", 20304, "cancelled", "")),
    ],
)
async def test_a_run_that_ended_badly_says_why(database: Database, end: Event, expected: tuple[object, ...]) -> None:
    history = History()
    history.say(run_stream(RUN), started(), end)
    await project(database, history)
    run = await get(database)
    assert run is not None
    assert (run.status, run.code, run.message, run.node) == expected


async def test_runs_are_listed_newest_first_page_by_page(database: Database) -> None:
    history = History()
    for name in NAMES:
        history.say(run_stream(name), started(name), time=1_000)
    await project(database, history)
    first = await listed(database, RunFilter(), limit=2)
    second = await listed(database, RunFilter(), first.cursor, limit=2)
    third = await listed(database, RunFilter(), second.cursor, limit=2)
    assert [run.run for page in (first, second, third) for run in page.runs] == NAMES[::-1]
    assert third.cursor is None


async def test_runs_are_filtered_by_everything_that_can_be_named(database: Database) -> None:
    history = History()
    differences = [{"app": "other"}, {"flow": "1"}, {"chat": "c-2"}, {"subject": "person-2"}]
    for name, difference in zip(NAMES, [*differences, {}], strict=True):
        history.say(run_stream(name), started(name, **{"chat": "c-1", **difference}))
    history.say(run_stream(NAMES[4]), RunCancelled(by="demo", code=1, message="m"))
    await project(database, history)
    times = {run.run: run.started for run in (await listed(database, RunFilter())).runs}
    answers = {
        RunFilter(app="other"): NAMES[:1],
        RunFilter(flow="1"): NAMES[1:2],
        RunFilter(app="demo", chat="c-2"): NAMES[2:3],
        RunFilter(app="demo", subject="person-2"): NAMES[3:4],
        RunFilter(status="cancelled"): NAMES[4:],
        RunFilter(since=times[NAMES[3]]): NAMES[3:],
        RunFilter(until=times[NAMES[3]]): NAMES[:3],
        RunFilter(chat="c\x00"): [],
    }
    for wanted, expected in answers.items():
        assert [run.run for run in (await listed(database, wanted)).runs] == expected[::-1]


@pytest.mark.parametrize("cursor", ["", "rubbish!", "bnVsbA", cursor_of(1), cursor_of("1", "2"), cursor_of(10**30, "x"), "ÿ"])
async def test_a_cursor_that_was_not_made_here_is_refused(database: Database, cursor: str) -> None:
    with pytest.raises(BadCursor, match="the cursor was not made"):
        await listed(database, RunFilter(), cursor)
