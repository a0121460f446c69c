"""What comes due: silent nodes, runs that take too long, and the alarm clock behind both."""

import asyncio
from collections.abc import Callable

from events.delta import NodeDelta
from events.node import NodeTimedOut
from events.run import RunFailed, RunTimedOut
from services.core.running.run import GRACE_MS
from services.kit.world import World
from services.processor.steps.timers import Timers
from tests.support.documents import model_flow
from tests.support.processors import Gate, Processor, Script, define, start
from tests.support.record import ended, happened, soon, until
from tests.support.worlds import NOON, HandClock

Play = Callable[[Script], Script]


async def test_a_silent_node_fails_its_run_and_its_effect_is_cancelled(world: World, play: Play, clock: HandClock) -> None:
    script = play(Script("never said", pace=Gate()))
    definition = await define(world, model_flow())
    async with Processor(world):
        run = await start(world, definition)
        await soon("the call of the model", asyncio.ensure_future(script.begun.wait()))
        clock.move(world.settings.node_limit_s + GRACE_MS / 1000)
        timed_out = await until(world, "time-out of the node", happened(NodeTimedOut, run))
        history = await until(world, "end of the run", ended(run))
        await soon("the end of the call", asyncio.ensure_future(script.gone.wait()))
    assert timed_out.limit_ms == world.settings.node_limit_s * 1000
    assert isinstance(history[-1].envelope.data, RunFailed)


async def test_a_node_that_speaks_is_given_its_time_again(world: World, play: Play, clock: HandClock) -> None:
    gate = Gate()
    play(Script("one ", "two", pace=gate))
    definition = await define(world, model_flow())
    limit = world.settings.node_limit_s
    async with Processor(world):
        run = await start(world, definition)
        for word in (1, 2):
            await until(world, "call", lambda history: history[-1].meta.type in {"model.called", "node.delta"} or None)
            clock.move(limit - 1)
            gate.let()
            await until(world, "word", happened(NodeDelta, run, word))
        gate.let()
        history = await until(world, "end of the run", ended(run))
    assert history[-1].meta.type == "run.completed"


async def test_a_run_that_takes_too_long_is_ended(world: World, play: Play, clock: HandClock) -> None:
    script = play(Script("never said", pace=Gate()))
    definition = await define(world, model_flow())
    async with Processor(world):
        run = await start(world, definition)
        await soon("the call of the model", asyncio.ensure_future(script.begun.wait()))
        clock.move(world.settings.run_limit_s)
        history = await until(world, "end of the run", ended(run))
        await soon("the end of the call", asyncio.ensure_future(script.gone.wait()))
    assert isinstance(history[-1].envelope.data, RunTimedOut)


async def test_time_goes_on_for_a_run_that_was_taken_over(world: World, play: Play, clock: HandClock) -> None:
    script = play(Script("never said", pace=Gate()))
    definition = await define(world, model_flow())
    first = Processor(world).start()
    run = await start(world, definition)
    await soon("the call of the model", asyncio.ensure_future(script.begun.wait()))
    await first.kill()
    clock.move(world.settings.run_limit_s)
    async with Processor(world):
        history = await until(world, "end of the run", ended(run))
    assert isinstance(history[-1].envelope.data, RunTimedOut)


async def test_a_run_whose_definition_never_comes_back_ends_by_its_time(world: World, play: Play, clock: HandClock) -> None:
    script = play(Script("never said", pace=Gate()))
    definition = await define(world, model_flow())
    first = Processor(world).start()
    run = await start(world, definition)
    await soon("the call of the model", asyncio.ensure_future(script.begun.wait()))
    await first.kill()
    async with world.database.begin() as connection:
        await connection.exec_driver_sql("DELETE FROM definitions")
    async with Processor(world):
        await until(world, "second claim", lambda history: history[-1].meta.type == "partition.claimed" or None)
        clock.move(world.settings.run_limit_s)
        history = await until(world, "end of the run", ended(run))
    assert isinstance(history[-1].envelope.data, RunTimedOut)


async def test_alarms_come_in_order_of_time_and_an_earlier_one_wins() -> None:
    clock = HandClock()
    timers = Timers(clock)
    timers.set("late", NOON + 3_000)
    timers.set("early", NOON + 2_000)
    timers.set("late", NOON + 1_000)
    waiting = asyncio.ensure_future(timers.next())
    clock.move(1)
    assert await soon("the first alarm", waiting) == "late"
    clock.move(1)
    assert await soon("the second alarm", asyncio.ensure_future(timers.next())) == "early"


async def test_an_alarm_that_was_taken_back_does_not_come() -> None:
    clock = HandClock()
    timers = Timers(clock)
    timers.set("over", NOON + 1_000)
    timers.set("open", NOON + 2_000)
    timers.set("over", None)
    clock.move(5)
    assert await soon("an alarm", asyncio.ensure_future(timers.next())) == "open"


async def test_alarms_of_runs_that_are_over_do_not_pile_up() -> None:
    timers = Timers(HandClock())
    for number in range(10_000):
        timers.set(str(number), NOON + 1_800_000)
        timers.set(str(number), None)
    assert len(timers._heap) <= 1_001
