"""A processor dies at every step of its work; the next one goes on, and nobody who reads sees a difference."""

from collections.abc import Callable

import pytest

from events.node import NodeStarted
from events.run import RunCompleted, RunFailed
from services.kit.world import World
from tests.support.documents import model_flow
from tests.support.faults import Crash, Faults
from tests.support.processors import Processor, Script, define, start
from tests.support.record import accepted, check_positions, ended, shown_text, types, until

Play = Callable[[Script], Script]
WORDS = ("one ", "two ", "three")
BATCHES = 7
"""What one run takes: its start, the call, three words, and the end; and the claim before all that."""
CRASHES = [
    ("fold", 1),
    ("fold", 2),
    ("confirm", 1),
    ("claim", 1),
    *(("append", nth) for nth in range(1, BATCHES + 1)),
    *((step, nth) for step in ("decide", "acknowledge", "read back") for nth in range(1, BATCHES)),
]


def _paced(faults: Faults, *, continues: bool) -> Script:
    """One word, one batch: so that a crash can come between any two."""

    async def acknowledged() -> None:
        await faults.next_acknowledged(faults.acknowledged)

    return Script(*WORDS, continues=continues, pace=acknowledged)


async def _crashed(world: World, play: Play, step: str, nth: int, *, continues: bool) -> str:
    """One run with a crash at this step. Its id."""
    faults = Faults().at(step, nth=nth)
    play(_paced(faults, continues=continues))
    run = await start(world, await define(world, model_flow()))
    assert isinstance(await Processor(world, faults).start().ended(), Crash)
    healthy = Faults()
    play(_paced(healthy, continues=continues))
    async with Processor(world, healthy):
        await until(world, "end of the run", ended(run))
    return run


@pytest.mark.parametrize(("step", "nth"), CRASHES)
async def test_a_model_that_continues_says_the_same_as_if_nothing_had_happened(world: World, play: Play, step: str, nth: int) -> None:
    run = await _crashed(world, play, step, nth, continues=True)
    history = await accepted(world)
    check_positions(history)
    of_run = await until(world, "end of the run", ended(run))
    assert isinstance(of_run[-1].envelope.data, RunCompleted)
    assert shown_text(of_run) == "[one two three]"
    assert types(of_run).count("run.started") == 1
    assert types(of_run).count("output.opened") == 1
    attempts = [event.envelope.data.attempt for event in of_run if isinstance(event.envelope.data, NodeStarted)]
    assert sorted(set(attempts)) in ([1], [1, 2])


@pytest.mark.parametrize(("step", "nth"), CRASHES)
async def test_a_model_that_cannot_continue_fails_the_run_and_nothing_is_shown_twice(world: World, play: Play, step: str, nth: int) -> None:
    run = await _crashed(world, play, step, nth, continues=False)
    check_positions(await accepted(world))
    of_run = await until(world, "end of the run", ended(run))
    last = of_run[-1].envelope.data
    if isinstance(last, RunCompleted):
        assert shown_text(of_run) == "[one two three]"
    else:
        assert isinstance(last, RunFailed)
        assert "cannot continue" in last.message
        assert "[one two three]".startswith(shown_text(of_run))
        assert "one" in shown_text(of_run)


async def test_both_ends_happen_in_these_crashes(world: World, play: Play) -> None:
    early = await _crashed(world, play, "decide", 1, continues=False)
    late = await _crashed(world, play, "append", 5, continues=False)
    ends = [(await until(world, "end", ended(run)))[-1].meta.type for run in (early, late)]
    assert ends == ["run.completed", "run.failed"]
