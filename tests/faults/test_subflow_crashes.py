"""A processor dies at every step of a run and its child; the next one goes on with the same child, and nothing is said twice."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from events.node import ChildStarted
from events.run import RunCompleted, RunStarted
from services.core.running.effects import Outcome, Pinned, ReleaseRequest
from services.kit.world import World
from services.processor.effects import EFFECTS
from tests.support.documents import model_flow
from tests.support.faults import Crash, Faults
from tests.support.flows import at, end, flow, start, subflow
from tests.support.processors import Processor, Script, define
from tests.support.processors import start as begin
from tests.support.record import accepted, check_positions, ended, shown_text, until

Play = Callable[[Script], Script]
WORDS = ("one ", "two ")
CRASHES = [("append", nth) for nth in range(1, 8)] + [(step, nth) for step in ("decide", "acknowledge", "read back") for nth in range(1, 7)]


@pytest.fixture
async def parent(world: World, monkeypatch: pytest.MonkeyPatch) -> str:
    child = await define(world, model_flow())

    async def perform(request: ReleaseRequest, _world: Any) -> AsyncGenerator[Outcome, None]:
        yield Pinned(request.flow, "", child, request.app)

    monkeypatch.setitem(EFFECTS, ReleaseRequest, perform)
    part = subflow("sub", "77", AGENT_USER_INPUT=at("start.AGENT_USER_INPUT"))
    return await define(world, flow(start(AGENT_USER_INPUT="string"), part, end("({{c}})", c=at("sub.content")), edges="start > sub > end"))


def _paced(faults: Faults) -> Script:
    async def acknowledged() -> None:
        await faults.next_acknowledged(faults.acknowledged)

    return Script(*WORDS, continues=True, pace=acknowledged)


@pytest.mark.parametrize(("step", "nth"), CRASHES)
async def test_the_next_owner_goes_on_with_the_same_child(world: World, play: Play, parent: str, step: str, nth: int) -> None:
    faults = Faults().at(step, nth=nth)
    play(_paced(faults))
    run = await begin(world, parent)
    assert isinstance(await Processor(world, faults).start().ended(), Crash)
    healthy = Faults()
    play(_paced(healthy))
    async with Processor(world, healthy):
        of_run = await until(world, "end of the run", ended(run))
    history = await accepted(world)
    check_positions(history)
    assert isinstance(of_run[-1].envelope.data, RunCompleted)
    assert shown_text(of_run) == "([one two ])"
    children = [event.envelope.data.child for event in of_run if isinstance(event.envelope.data, ChildStarted)]
    begun = [event.envelope.data for event in history if isinstance(event.envelope.data, RunStarted)]
    assert [one.run for one in begun] == [run, *children]
    assert len(children) == 1
