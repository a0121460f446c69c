"""A processor dies at every step of a run whose words are judged; nothing is shown before its verdict, and nothing twice."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from events.audit import AuditAsked
from events.envelope import Event
from events.run import RunCompleted
from services.core.running.effects import AuditRequest, Judgement, Outcome
from services.kit.world import World
from services.processor.effects import EFFECTS
from tests.support.audited import unjudged
from tests.support.documents import model_flow
from tests.support.faults import Crash, Faults
from tests.support.processors import Processor, Script, define, start
from tests.support.record import accepted, check_positions, ended, shown_text, until

Play = Callable[[Script], Script]
CRASHES = [("fold", 1), ("claim", 1), *((step, nth) for step in ("append", "acknowledge", "read back") for nth in (2, 3, 5, 7))]


async def judged(request: AuditRequest, _world: Any) -> AsyncGenerator[Outcome, None]:
    yield Judgement("test", "bad" not in request.text)


@pytest.fixture(autouse=True)
def judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EFFECTS, AuditRequest, judged)


def paced(faults: Faults, *words: str) -> Script:
    async def acknowledged() -> None:
        await faults.next_acknowledged(faults.acknowledged)

    return Script(*words, pace=acknowledged)


async def crashed(world: World, play: Play, step: str, nth: int, *words: str) -> list[Event]:
    faults = Faults().at(step, nth=nth)
    play(paced(faults, *words))
    run = await start(world, await define(world, model_flow()), audit="own")
    assert isinstance(await Processor(world, faults).start().ended(), Crash)
    healthy = Faults()
    play(paced(healthy, *words))
    async with Processor(world, healthy):
        await until(world, "end of the run", ended(run))
    history = await accepted(world)
    check_positions(history)
    return [event.envelope.data for event in await until(world, "end of the run", ended(run)) if isinstance(event.envelope.data, Event)]


@pytest.mark.parametrize(("step", "nth"), CRASHES)
async def test_what_is_held_is_judged_by_the_next_owner_and_shown_once(world: World, play: Play, step: str, nth: int) -> None:
    events = await crashed(world, play, step, nth, "One. ", "two ", "three.")
    assert isinstance(events[-1], RunCompleted)
    assert unjudged(events) == []
    of_run = [event for event in await accepted(world) if event.meta.stream.startswith("run-")]
    assert shown_text(of_run) == "[One. two three.]"
    asked = [event.number for event in events if isinstance(event, AuditAsked) and event.attempt == 1]
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize(("step", "nth"), [("append", 5), ("acknowledge", 6), ("read back", 7)])
async def test_a_refusal_stays_one_whoever_owns_the_run(world: World, play: Play, step: str, nth: int) -> None:
    events = await crashed(world, play, step, nth, "One. ", "bad ", "three.")
    assert getattr(events[-1], "code", 0) == 21103
    of_run = [event for event in await accepted(world) if event.meta.stream.startswith("run-")]
    assert "bad" not in shown_text(of_run)
