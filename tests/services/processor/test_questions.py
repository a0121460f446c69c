"""Questions under owners: answered a simulated day and two takeovers later, expired by time alone, counted; chats recalled from rows."""

from typing import Any

import pytest
import sqlalchemy as sa

from events.commands import AnswerQuestion
from events.envelope import Protected
from events.node import NodeStarted
from events.question import QuestionAsked
from events.refusal import CommandRefused
from events.run import RunCompleted, RunFailed, RunStarted
from projections import chat_messages
from services.core.language.graph import compile_
from services.core.problems import Problem
from services.core.running.chats import Chats
from services.kit.world import World
from services.processor.memory.recalling import Recalling
from tests.support.asking import direct
from tests.support.flows import at, end, flow, llm
from tests.support.flows import start as begin
from tests.support.processors import APP, SUBJECT, Processor, define, post, start, start_run, wish
from tests.support.record import ended, happened, until
from tests.support.worlds import HandClock

DAY_S = 86_400
DAY_IN_MINUTES = 24 * 60


async def answer(world: World, run: str, content: str, number: int = 1) -> None:
    words = Protected[str](subject=SUBJECT, words=content)
    command = AnswerQuestion(run=run, app=APP, by=APP, question=number, event_type="resume", content=words)
    await post(world, wish(world, command, run))


def counted(processor: Processor, name: str) -> float:
    found: Any = processor.world.metrics.registry.get_sample_value
    return found(f"prozess_questions_{name}") or found(f"prozess_questions_{name}", {"partition": "0"}) or 0.0


async def test_a_question_is_answered_a_day_and_two_owners_later(world: World, clock: HandClock) -> None:
    definition = await define(world, direct(timeout=2 * DAY_IN_MINUTES))
    first = Processor(world).start()
    run = await start(world, definition)
    await until(world, "question", happened(QuestionAsked, run))
    await first.kill()
    clock.move(DAY_S)
    second = Processor(world).start()
    await until(world, "second claim", lambda history: history[-1].meta.type == "partition.claimed" or None)
    await second.kill()
    await answer(world, run, "Bo")
    async with Processor(world) as third:
        history = await until(world, "end of the run", ended(run))
        assert counted(third, "open") == 0
    assert isinstance(history[-1].envelope.data, RunCompleted)
    assert sum(isinstance(event.envelope.data, QuestionAsked) for event in history) == 1
    (answered,) = [event for event in history if event.meta.type == "question.answered"]
    assert answered.meta.actor == "demo/key"


async def test_time_alone_ends_a_question_that_nobody_answers(world: World, clock: HandClock) -> None:
    definition = await define(world, direct(timeout=5))
    async with Processor(world) as processor:
        run = await start(world, definition)
        await until(world, "question", happened(QuestionAsked, run))
        assert (counted(processor, "asked_total"), counted(processor, "open")) == (1, 1)
        clock.move(300)
        history = await until(world, "end of the run", ended(run))
        assert (counted(processor, "expired_total"), counted(processor, "open")) == (1, 0)
    failed = history[-1].envelope.data
    assert isinstance(failed, RunFailed)
    assert failed.code == 23900


async def test_an_answer_is_taken_once_whoever_asks_again(world: World) -> None:
    definition = await define(world, direct())
    async with Processor(world):
        run = await start(world, definition)
        await until(world, "question", happened(QuestionAsked, run))
        await answer(world, run, "one")
        await answer(world, run, "two")

        def refused(history: Any) -> CommandRefused | None:
            return next((one.envelope.data for one in history if isinstance(one.envelope.data, CommandRefused)), None)

        no = await until(world, "refusal", refused)
    assert (no.wished, no.code) == ("question.answer", 23900)


# Chats that are older than the owner's memory


def asking() -> dict[str, Any]:
    switch = {"enableChatHistoryV2": {"isEnabled": True, "rounds": 2}}
    part = llm("ask", "{{q}}", param=switch, q=at("start.AGENT_USER_INPUT"))
    return flow(begin(AGENT_USER_INPUT="string"), part, end("{{o}}", o=at("ask.output")), edges="start > ask > end")


async def said(world: World, *rounds: tuple[str, str]) -> None:
    """What the rows know of the chat c-1."""
    rows = [
        {"run": str(number), "part": part, "app": APP, "chat": "c-1", "subject": SUBJECT, "content": text, "reasoning": "",
         "status": "completed", "time": 1, "turn": number, "position": 1}
        for number, pair in enumerate(rounds) for part, text in enumerate(pair)
    ]  # fmt: skip
    async with world.database.begin() as connection:
        await connection.execute(sa.insert(chat_messages.chat_messages), rows)


async def test_an_owner_that_folded_from_the_middle_recalls_the_chat_from_rows(world: World) -> None:
    await said(world, ("q1", "a1"), ("q2", "a2"), ("q3", "a3"))
    chats = Chats(begun=1)
    world.database.progress.tell(0, 1)
    before = start_run(world, "d", chat="c-1")
    recalling, graph = Recalling(world, 0, chats), compile_(asking())
    await recalling.before(before, graph)
    assert [turn.content for turn in chats.turns((APP, "c-1"), 2)] == ["q2", "a2", "q3", "a3"]
    other = Chats(begun=1)
    await Recalling(world, 0, other).before(start_run(world, "d"), graph)
    assert other.said == {}


async def test_rows_that_are_too_far_behind_refuse_the_run_instead_of_forgetting(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr("services.processor.memory.recalling.PATIENCE_S", 0.05)
    recalling = Recalling(world, 0, Chats(begun=5))
    with pytest.raises(Problem, match="history") as refused:
        await recalling.before(start_run(world, "d", chat="c-1"), compile_(asking()))
    assert refused.value.code == 20805


async def test_the_owner_gives_what_it_remembers_of_the_chat(world: World) -> None:
    definition = await define(world, direct(timeout=5))
    remembering = await define(world, asking())
    async with Processor(world):
        run = await start(world, definition, chat="c-1")
        await until(world, "question", happened(QuestionAsked, run))
        await answer(world, run, "Bo")
        await until(world, "end of the run", ended(run))
        after = await start(world, remembering, chat="c-1", asked="and?")
        started = await until(world, "start", happened(RunStarted, after))
        began = await until(world, "call", happened(NodeStarted, after, 2))
    assert started.remembered is not None
    told = ["why?", "Hello why?. why?, your name?", "Bo", "Hi Bo"]
    assert [turn.content for turn in started.remembered.words or ()] == told
    assert began.kind == "spark-llm"
    assert began.history == started.remembered
