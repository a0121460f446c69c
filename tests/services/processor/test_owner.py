"""An owner takes a partition, decides its commands, and performs what was decided."""

import asyncio
from collections.abc import Callable

import pytest

from events.commands import StartRun
from events.delta import NodeDelta
from events.node import NodeStarted
from events.refusal import CommandRefused, CommandRepeated
from events.run import RunCancelled, RunCompleted, RunFailed
from services.core.running.turn import MAX_EVENTS
from services.kit.world import World
from services.processor.steps import inbox, pipeline
from tests.support.documents import model_flow, plain_flow, wide_flow
from tests.support.processors import Gate, Processor, Script, cancel_run, define, post, start, start_run, wish
from tests.support.record import accepted, answers, check_positions, ended, happened, of_run, shown_text, soon, types, until

Play = Callable[[Script], Script]


async def test_a_run_is_decided_performed_and_shown(world: World, play: Play) -> None:
    play(Script("be", "cause"))
    definition = await define(world, model_flow())
    async with Processor(world):
        run = await start(world, definition)
        history = await until(world, "end of the run", ended(run))
    assert types(history)[0] == "run.started"
    assert types(history)[-1] == "run.completed"
    assert shown_text(history) == "[because]"
    check_positions(await accepted(world))


async def test_commands_that_came_before_are_decided_by_the_first_owner_and_not_again_by_the_next(world: World) -> None:
    definition = await define(world, plain_flow())
    early = await start(world, definition)
    async with Processor(world):
        await until(world, "end of the early run", ended(early))
    before = await accepted(world)
    async with Processor(world):
        late = await start(world, definition)
        await until(world, "end of the late run", ended(late))
    after = await accepted(world)
    assert after[: len(before)] == before
    assert types(after[len(before) :])[:2] == ["partition.claimed", "run.started"]


async def test_a_command_posted_twice_leaves_a_repetition_that_names_the_first(world: World) -> None:
    definition = await define(world, plain_flow())
    command = start_run(world, definition)
    first = wish(world, command, command.run)
    async with Processor(world):
        await post(world, first, first)
        await until(world, "repetition", lambda history: types(history)[-1] == "command.repeated" or None)
    history = await accepted(world)
    assert types(of_run(history, command.run)).count("run.started") == 1
    repeated = [event.envelope.data for event in history if event.meta.type == "command.repeated"]
    assert repeated == [CommandRepeated(wished="run.start", target=f"run-{command.run}", first=first.meta.id)]


async def test_a_second_start_with_the_same_key_follows_the_first_run(world: World) -> None:
    definition = await define(world, plain_flow())
    one, two = start_run(world, definition, key="k"), start_run(world, definition, key="k")
    first, second = wish(world, one, one.run), wish(world, two, two.run)
    async with Processor(world):
        await post(world, first)
        await until(world, "end of the first run", ended(one.run))
    async with Processor(world):
        await post(world, second)
        answer = await until(world, "answer to the second start", answers(second.meta.id))
    assert answer.envelope.data == CommandRepeated(wished="run.start", target=f"run-{one.run}", first=first.meta.id)
    assert not of_run(await accepted(world), two.run)


async def test_an_effect_starts_only_after_the_acknowledgement(world: World, play: Play) -> None:
    script = play(Script("word"))
    definition = await define(world, model_flow())
    async with Processor(world) as processor:
        await until(world, "claim", lambda history: history)
        processor.faults.stall()
        command = start_run(world, definition)
        await post(world, wish(world, command, command.run))
        await soon("the first batch of the run", asyncio.ensure_future(processor.faults.held.wait()))
        assert not script.calls
        processor.faults.go_on()
        await until(world, "end of the run", ended(command.run))
    assert len(script.calls) == 1


async def test_a_cancelled_run_ends_its_effect_at_once(world: World, play: Play) -> None:
    script = play(Script("never said", pace=Gate()))
    definition = await define(world, model_flow())
    async with Processor(world):
        run = await start(world, definition)
        await soon("the call of the model", asyncio.ensure_future(script.begun.wait()))
        await post(world, wish(world, cancel_run(run), run))
        await soon("the end of the call", asyncio.ensure_future(script.gone.wait()))
        history = await until(world, "end of the run", ended(run))
    assert isinstance(history[-1].envelope.data, RunCancelled)
    assert not any(isinstance(event.envelope.data, NodeDelta) for event in history)


async def test_a_cancel_of_a_run_that_is_not_there_is_refused_beside_the_run(world: World) -> None:
    command = wish(world, cancel_run(world.minter.mint(7)), world.minter.mint(7))
    async with Processor(world):
        await post(world, command)
        answer = await until(world, "answer", answers(command.meta.id))
    assert isinstance(answer.envelope.data, CommandRefused)
    assert answer.meta.stream == "refusals-demo"


async def test_a_start_whose_definition_cannot_run_is_refused(world: World) -> None:
    definition = await define(world, {"data": {"nodes": [], "edges": []}})
    command = start_run(world, definition)
    posted = wish(world, command, command.run)
    async with Processor(world):
        await post(world, posted)
        answer = await until(world, "answer", answers(posted.meta.id))
    assert isinstance(answer.envelope.data, CommandRefused)
    assert "no node" in answer.envelope.data.message


async def test_a_request_that_cannot_be_made_fails_its_node_and_nobody_else(world: World, play: Play) -> None:
    play(Script("fine"))
    broken = await define(world, model_flow(template="{{question[9]}} {{question[0]}}"))
    good = await define(world, model_flow())
    bad = {**model_flow(template="{{list[9]}}")}
    node = bad["data"]["nodes"][1]["data"]
    node["inputs"] = [{"id": "l", "name": "list", "schema": {"type": "array", "value": {"type": "literal", "content": [1]}}}]
    outside = await define(world, bad)
    async with Processor(world):
        odd = await start(world, broken)
        failing = await start(world, outside)
        fine = await start(world, good)
        assert shown_text(await until(world, "end of the fine run", ended(fine))) == "[fine]"
        assert shown_text(await until(world, "end of the odd run", ended(odd))) == "[fine]"
        history = await until(world, "end of the failing run", ended(failing))
    failed = history[-1].envelope.data
    assert isinstance(failed, RunFailed)
    assert "index 9" in failed.message


async def test_an_effect_with_a_bug_fails_its_node_with_a_sentence(world: World, play: Play) -> None:
    def bug() -> None:
        raise RuntimeError("a bug")

    async def pace() -> None:
        bug()

    play(Script("word", pace=pace))
    definition = await define(world, model_flow())
    async with Processor(world):
        run = await start(world, definition)
        history = await until(world, "end of the run", ended(run))
    failed = history[-1].envelope.data
    assert isinstance(failed, RunFailed)
    assert "inside the service" in failed.message


async def test_a_full_step_is_continued_until_the_run_is_over(world: World) -> None:
    definition = await define(world, wide_flow(MAX_EVENTS))
    async with Processor(world):
        run = await start(world, definition)
        history = await until(world, "end of the run", ended(run))
    assert isinstance(history[-1].envelope.data, RunCompleted)
    assert types(history).count("node.completed") == MAX_EVENTS + 2
    steps = [event.meta.command for event in history]
    assert "" in steps, "everything was decided in one step"
    check_positions(await accepted(world))


async def test_a_fast_model_is_held_up_by_a_stalled_log(world: World, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "INBOX", 10)
    monkeypatch.setattr(inbox, "TOGETHER", 10)
    monkeypatch.setattr(pipeline, "WAITING_LIMIT", 20)
    words = [f"{number} " for number in range(500)]
    definition = await define(world, model_flow())
    async with Processor(world) as processor:

        async def stall_at_once() -> None:
            if not script.said:
                processor.faults.stall()

        script = play(Script(*words, pace=stall_at_once))
        run = await start(world, definition)
        await soon("the call of the model", asyncio.ensure_future(script.begun.wait()))
        said = -1
        for _ in range(1_000):
            said = script.said
            await asyncio.sleep(0)
        assert said == script.said < 60
        processor.faults.go_on()
        history = await until(world, "end of the run", ended(run))
    assert shown_text(history) == f"[{''.join(words)}]"


async def test_a_stopped_owner_writes_what_effects_told_it_and_the_next_goes_on(world: World, play: Play) -> None:
    gate = Gate(open_=2)
    script = play(Script("one ", "two ", "three", pace=gate))
    definition = await define(world, model_flow())
    processor = Processor(world).start()
    run = await start(world, definition)
    await until(world, "second word", happened(NodeDelta, run, 2))
    await processor.stop()
    assert script.gone.is_set()
    gate.let(10)
    async with Processor(world):
        history = await until(world, "end of the run", ended(run))
    assert shown_text(history) == "[one two three]"
    again = [event.envelope.data for event in history if isinstance(event.envelope.data, NodeStarted)]
    assert [(node.attempt, node.reason, node.recorded) for node in again if node.kind == "spark-llm"] == [
        (1, "arrived", 0),
        (2, "taken_over", len("one two ")),
    ]


async def test_what_was_told_before_a_stop_is_on_the_record(world: World, play: Play) -> None:
    definition = await define(world, model_flow())
    processor = Processor(world).start()
    gate = Gate(open_=1)
    script = play(Script("one ", "two", pace=gate))
    run = await start(world, definition)
    await until(world, "first word", happened(NodeDelta, run))
    processor.faults.stall()
    gate.let(1)
    await soon("the second word", asyncio.ensure_future(script.has_said(2)))
    stopping = asyncio.ensure_future(processor.stop())
    await soon("the end of the effect", asyncio.ensure_future(script.gone.wait()))
    processor.faults.go_on()
    await soon("the stop", stopping)
    assert types(of_run(await accepted(world), run)).count("node.delta") == 2


async def test_a_run_with_a_missing_definition_holds_up_only_itself(world: World, play: Play) -> None:
    play(Script("word"))
    lost, there = await define(world, model_flow("{{question}}!")), await define(world, model_flow())
    runs = [start_run(world, lost), start_run(world, there)]
    await _left_open(world, runs)
    async with world.database.begin() as connection:
        await connection.exec_driver_sql("DELETE FROM definitions WHERE hash = ?", (lost,))
    async with Processor(world):
        await until(world, "end of the other run", ended(runs[1].run))
        refused = wish(world, cancel_run(runs[0].run, app="strangers"), runs[0].run)
        await post(world, refused)
        await until(world, "refusal of a stranger's cancel", answers(refused.meta.id))
        await define(world, model_flow("{{question}}!"))
        history = await until(world, "end of the run whose definition came back", ended(runs[0].run))
    assert isinstance(history[-1].envelope.data, RunCompleted)


async def _left_open(world: World, runs: list[StartRun]) -> None:
    """Let an owner start these runs and die before their models say a word."""
    processor = Processor(world).start()
    for one in runs:
        await post(world, wish(world, one, one.run))
    for one in runs:
        await until(
            world, "start of the model", lambda history, one=one: types(of_run(history, one.run)).count("node.started") >= 2 or None
        )
    await processor.kill()
