"""A batch that failed, or seems to have failed, or was lost or doubled after its acknowledgement."""

import asyncio
from collections.abc import Callable

import pytest

from events.acceptance import Accepted
from events.delta import NodeDelta
from events.node import NodeCompleted, NodeStarted
from events.run import RunCompleted
from services.kit.world import World
from tests.support.documents import model_flow
from tests.support.faults import Faults
from tests.support.processors import Gate, Processor, Script, define, start
from tests.support.record import accepted, check_positions, ended, shown_text, soon, types, until

Play = Callable[[Script], Script]
FAILURES = ["fail", "fail_but_there", "fail_and_late"]


def _paced(faults: Faults) -> Script:
    async def acknowledged() -> None:
        await faults.next_acknowledged(faults.acknowledged)

    return Script("one ", "two ", "three", pace=acknowledged)


def _claimed_again(history: list[Accepted]) -> bool | None:
    return types(history).count("partition.claimed") >= 2 or None


@pytest.mark.parametrize("nth", range(1, 7))
@pytest.mark.parametrize("fault", FAILURES)
async def test_a_failed_batch_ends_the_ownership_and_the_next_goes_on(world: World, play: Play, fault: str, nth: int) -> None:
    faults = Faults().at("decide", fault, nth)
    play(_paced(faults))
    definition = await define(world, model_flow())
    async with Processor(world, faults):
        run = await start(world, definition)
        history = await until(world, "end of the run", ended(run))
        await until(world, "second claim", _claimed_again)
    for append in faults.late:
        await append()
    assert isinstance(history[-1].envelope.data, RunCompleted)
    assert shown_text(history) == "[one two three]"
    assert types(history).count("run.started") == 1
    everything = await accepted(world)
    check_positions(everything)
    assert [event for event in everything if event in history] == history, "a late batch changed what is accepted"


@pytest.mark.parametrize("fault", ["fail", "fail_but_there", "fail_and_late"])
async def test_an_effect_whose_start_was_not_acknowledged_never_starts(world: World, play: Play, fault: str) -> None:
    faults = Faults().at("decide", fault, 1)
    script = play(Script("word"))
    definition = await define(world, model_flow())
    async with Processor(world, faults):
        run = await start(world, definition)
        history = await until(world, "end of the run", ended(run))
    assert len(script.calls) == 1
    started = [event.envelope.data for event in history if isinstance(event.envelope.data, NodeStarted)]
    attempts = [node.attempt for node in started if node.kind == "spark-llm"]
    assert attempts == ([1, 2] if fault == "fail_but_there" else [1])


async def test_a_batch_that_is_there_twice_ends_the_ownership(world: World, play: Play) -> None:
    faults = Faults().at("decide", "repeat", 2)
    play(_paced(faults))
    definition = await define(world, model_flow())
    async with Processor(world, faults):
        await start(world, definition)
        await until(world, "second claim", _claimed_again)


@pytest.mark.parametrize("nth", range(1, 5))
async def test_an_acknowledged_batch_that_the_log_lost_is_noticed_with_the_next(world: World, play: Play, nth: int) -> None:
    """No promise holds for what a log loses; but from what is left everything goes on, and what is completed is what was said.

    (Unless it loses the last words and keeps the end: then the seal in the end says so.)
    """
    faults = Faults().at("decide", "lose", nth)
    play(_paced(faults))
    definition = await define(world, model_flow())
    async with Processor(world, faults):
        run = await start(world, definition)
        await until(world, "second claim", _claimed_again)
        history = await until(world, "end of the run", ended(run))
    assert isinstance(history[-1].envelope.data, RunCompleted)
    said = "".join(data.text.words or "" for one in history if isinstance(data := one.envelope.data, NodeDelta))
    outputs = [data.outputs.words for one in history if isinstance(data := one.envelope.data, NodeCompleted) and data.content]
    assert outputs == [{"output": said}]
    check_positions(await accepted(world))


async def test_an_owner_that_lost_its_last_batch_notices_when_somebody_else_writes(world: World, play: Play) -> None:
    """The log was cut, and a zombie's batch stands where ours was."""
    faults = Faults().at("decide", "lose", 2)
    play(Script("never said", pace=Gate()))
    definition = await define(world, model_flow())
    async with Processor(world, faults):
        await start(world, definition)
        await soon("the call of the model on the record", asyncio.ensure_future(faults.next_acknowledged(2)))
        stored = await world.log.read("prozess.events", 0, 0)
        stranger = [one.record for one in stored][:1]
        await world.log.append("prozess.events", 0, stranger * 20)
        await until(world, "second claim", _claimed_again)
