"""Which questions were put, which wait for an answer, and who answered what?"""

import pytest

from events.envelope import Event
from events.question import QuestionAnswered, QuestionAsked, QuestionExpired
from events.run import RunCancelled, RunFailed
from events.topics import run_stream
from projections import questions, runs
from projections.questions import Question
from services.kit.database import Database
from tests.support.histories import History, started
from tests.support.rows import project
from tests.support.samples import RUN, TIME, minimal, words

OTHER = str(int(RUN) + 1)
HOUR = 3_600_000


def ask(number: int = 1, chat: str = "c-1", deadline: int = TIME + HOUR) -> QuestionAsked:
    return minimal(QuestionAsked, question=number, chat=chat, deadline=deadline)


def answer(number: int = 1) -> QuestionAnswered:
    return minimal(QuestionAnswered, question=number, content=words("tea"))


async def told(database: Database, *events: Event, run: str = RUN, batch: int = 1000) -> History:
    history = History()
    history.say(run_stream(run), started(run, chat="c-1"), *events)
    await project(database, history, batch)
    return history


async def of_run(database: Database, run: str = RUN) -> list[Question]:
    async with database.connect() as connection:
        return await questions.of_run(connection, run)


async def pending(database: Database, chat: str = "c-1", now: int = TIME, app: str = "demo") -> list[tuple[str, int]]:
    async with database.connect() as connection:
        return [(one.run, one.question) for one in await questions.pending(connection, app, chat, now)]


async def status(database: Database) -> str:
    async with database.connect() as connection:
        run = await runs.get(connection, RUN)
    assert run is not None
    return run.status


@pytest.mark.parametrize("batch", [1, 1000])
async def test_an_answer_is_told_with_what_who_and_when(database: Database, batch: int) -> None:
    await told(database, ask(), answer(), batch=batch)
    (found,) = await of_run(database)
    assert (found.status, found.app, found.chat, found.node, found.text) == (
        "answered", "demo", "c-1", "question-answer::1", words().model_dump(exclude={"sealed"}),
    )  # fmt: skip
    assert (found.event_type, found.content, found.by) == ("resume", {"subject": "person-1", "words": "tea"}, "demo")
    assert found.answered == found.asked + 7
    assert await status(database) == "running"


async def test_an_open_question_is_pending_until_its_deadline_for_its_app_and_chat_only(database: Database) -> None:
    await told(database, ask())
    assert await status(database) == "waiting"
    assert await pending(database) == [(RUN, 1)]
    assert await pending(database, now=TIME + HOUR) == []
    assert await pending(database, chat="c-2") == []
    assert await pending(database, app="other") == []


async def test_pending_questions_are_told_newest_first(database: Database) -> None:
    history = History()
    history.say(run_stream(RUN), started(RUN), ask(1), answer(1), ask(2))
    history.say(run_stream(OTHER), started(OTHER), ask(1))
    await project(database, history)
    assert await pending(database) == [(OTHER, 1), (RUN, 2)]


@pytest.mark.parametrize("batch", [1, 1000])
@pytest.mark.parametrize(
    ("ends", "then"),
    [
        ((RunCancelled(by="demo", code=22301, message="m"),), "withdrawn"),
        ((minimal(QuestionExpired), RunFailed(code=23900, message="m")), "expired"),
        ((answer(), RunFailed(code=23802, message="m")), "answered"),
    ],
)
async def test_the_end_of_a_run_leaves_no_question_open(database: Database, batch: int, ends: tuple[Event, ...], then: str) -> None:
    await told(database, ask(), *ends, batch=batch)
    (found,) = await of_run(database)
    assert found.status == then
    assert await pending(database) == []
