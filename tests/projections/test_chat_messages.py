"""What was said in a chat?"""

import pytest
import sqlalchemy as sa

from events.envelope import Event, Values
from events.node import OutputClosed
from events.question import QuestionAnswered, QuestionAsked
from events.run import RunCompleted, RunFailed, Usage
from events.topics import run_stream
from projections import chat_messages
from projections.chat_messages import Message
from projections.schema import BadCursor
from services.kit.database import Database
from tests.support.histories import History, run_events, started
from tests.support.rows import project
from tests.support.samples import RUN, minimal, values, words

NAMES = [str(int(RUN) + number) for number in range(3)]
FAILED = RunFailed(code=20380, message="no answer")


async def of_chat(database: Database, chat: str = "c-1", app: str = "demo") -> list[Message]:
    async with database.connect() as connection:
        return (await chat_messages.page(connection, app, chat)).messages


@pytest.mark.parametrize("batch", [1, 2, 7, 1000])
async def test_a_run_of_a_chat_is_a_question_and_what_was_shown(database: Database, batch: int) -> None:
    history = History()
    history.run(chat="c-1")
    await project(database, history, batch)
    question_, answer = await of_chat(database)
    assert (question_.role, question_.content, question_.subject, question_.run) == ("user", "Why is the sky blue?", "person-1", RUN)
    assert (answer.role, answer.status, answer.reasoning) == ("assistant", "completed", "Hm. ")
    assert answer.content == "Because of Rayleigh.!Once more: Because of Rayleigh."
    assert answer.time > question_.time


async def test_nothing_but_the_messages_is_kept_of_a_run_that_ended(database: Database) -> None:
    history = History()
    history.run(chat="c-1")
    await project(database, history, 2)
    async with database.connect() as connection:
        assert (await connection.execute(sa.select(sa.func.count()).select_from(chat_messages.chat_parts))).scalar_one() == 0


async def test_the_answer_of_a_running_run_is_what_was_shown_so_far(database: Database) -> None:
    history = History()
    history.say(run_stream(RUN), *run_events(chat="c-1")[:9])
    await project(database, history, 3)
    answer = (await of_chat(database))[1]
    assert (answer.status, answer.content, answer.reasoning) == ("running", "Because ", "Hm. ")


async def test_what_was_shown_before_a_failure_stays(database: Database) -> None:
    history = History()
    history.run(chat="c-1", end=FAILED)
    await project(database, history)
    answer = (await of_chat(database))[1]
    assert (answer.status, answer.content) == ("failed", "Because of Rayleigh.")


async def test_runs_without_a_chat_other_chats_and_other_apps_are_not_shown(database: Database) -> None:
    history = History()
    history.run(NAMES[0])
    history.run(NAMES[1], chat="c-2")
    history.run(NAMES[2], chat="c-1", app="other")
    await project(database, history)
    assert await of_chat(database) == []
    assert [message.run for message in await of_chat(database, "c-2")] == [NAMES[1]] * 2
    assert [message.run for message in await of_chat(database, "c-1", "other")] == [NAMES[2]] * 2


@pytest.mark.parametrize("newest_first", [False, True])
async def test_a_chat_is_read_page_by_page_in_the_order_of_the_log(database: Database, newest_first: bool) -> None:
    history = History()
    events: list[tuple[str, Event]] = []
    for name in NAMES:
        events += [(name, event) for event in run_events(name, chat="c-1")]
    for name, event in events:
        history.say(run_stream(name), event, time=1_000)
    await project(database, history)
    seen: list[Message] = []
    cursor = None
    async with database.connect() as connection:
        while True:
            page = await chat_messages.page(connection, "demo", "c-1", cursor, limit=2, newest_first=newest_first)
            seen += page.messages
            cursor = page.cursor
            if cursor is None:
                break
        with pytest.raises(BadCursor):
            await chat_messages.page(connection, "demo", "c-1", "rubbish")
    expected = [(name, role) for name in NAMES for role in ("user", "assistant")]
    assert [(message.run, message.role) for message in seen] == (expected[::-1] if newest_first else expected)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (values(a="first", AGENT_USER_INPUT="asked"), "asked"),
        (values(n=1, a="first", b="second"), "first"),
        (values(n=1, AGENT_USER_INPUT={"x": "天"}), '{"n": 1, "AGENT_USER_INPUT": {"x": "天"}}'),
        (values(), ""),
        (Values(subject="person-1", sealed="c2VhbGVk"), ""),
    ],
)
def test_the_question_is_the_users_input_else_the_first_text_else_everything(parameters: Values, expected: str) -> None:
    assert started(parameters=parameters).asked == expected


def asking(run: str = RUN, end: Event | None = None) -> list[Event]:
    """A run that says something, asks something, gets its answer, and says something more."""
    closed = minimal(OutputClosed)
    return [
        started(run, chat="c-1"),
        closed.model_copy(update={"text": words("Hello. ")}),
        minimal(QuestionAsked, question=1, text=words("Your name?")),
        minimal(QuestionAnswered, question=1, content=words("Bo")),
        closed.model_copy(update={"text": words("Hi Bo")}),
        RunCompleted(outputs=values(), usage=Usage()) if end is None else end,
    ]


@pytest.mark.parametrize("batch", [1, 2, 1000])
async def test_a_question_and_its_answer_are_messages_of_their_own(database: Database, batch: int) -> None:
    history = History()
    history.say(run_stream(RUN), *asking())
    await project(database, history, batch)
    found = await of_chat(database)
    assert [(one.role, one.content, one.status) for one in found] == [
        ("user", "Why is the sky blue?", "said"), ("assistant", "Hello. Your name?", "completed"),
        ("user", "Bo", "said"), ("assistant", "Hi Bo", "completed"),
    ]  # fmt: skip
    assert [one.time - found[0].time for one in found] == [0, 14, 21, 35]


@pytest.mark.parametrize("batch", [1, 2, 1000])
@pytest.mark.parametrize(
    ("told", "expected"),
    [(2, ["Hello. "]), (3, ["Hello. Your name?"]), (4, ["Hello. Your name?", ""]), (5, ["Hello. Your name?", "Hi Bo"])],
)
async def test_a_running_run_shows_its_questions_and_answers_so_far(database: Database, batch: int, told: int, expected: list[str]) -> None:
    history = History()
    history.say(run_stream(RUN), *asking()[:told])
    await project(database, history, batch)
    assert [one.content for one in await of_chat(database) if one.role == "assistant"] == expected


async def test_the_last_rounds_of_completed_runs_are_told(database: Database) -> None:
    history = History()
    history.say(run_stream(NAMES[0]), *asking(NAMES[0]))
    history.say(run_stream(NAMES[1]), *asking(NAMES[1], FAILED))
    history.say(run_stream(NAMES[2]), *asking(NAMES[2])[:5])
    await project(database, history)
    async with database.connect() as connection:
        found = await chat_messages.rounds(connection, "demo", "c-1", 9)
        assert [(one.run, one.asked, one.answered) for one in found] == [
            (NAMES[0], "Why is the sky blue?", "Hello. Your name?"), (NAMES[0], "Bo", "Hi Bo"),
        ]  # fmt: skip
        assert await chat_messages.rounds(connection, "demo", "c-1", 1) == found[1:]
        assert await chat_messages.rounds(connection, "demo", "c-2", 9) == []
