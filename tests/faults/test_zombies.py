"""Owners that do not know yet that somebody else took their partition."""

import asyncio
from collections.abc import Callable

from events.delta import NodeDelta
from services.kit.errors import NotMember
from services.kit.world import World
from tests.support.documents import model_flow, plain_flow
from tests.support.faults import Faults
from tests.support.processors import Gate, Processor, Script, define, start
from tests.support.record import accepted, check_positions, ended, happened, shown_text, soon, types, until

Play = Callable[[Script], Script]


class Group:
    """A group that confirms a member until it has another one."""

    def __init__(self) -> None:
        self.gone = False

    async def confirm(self) -> None:
        if self.gone:
            raise NotMember("partition 0 is somebody else's now")


async def test_an_owner_stops_at_a_foreign_claim_and_its_effects_are_cancelled(world: World, play: Play) -> None:
    group, gate = Group(), Gate(open_=1)
    definition = await define(world, model_flow())
    old = Processor(world, confirm=group.confirm).start()
    script = play(Script("one ", "two", pace=gate))
    run = await start(world, definition)
    await until(world, "first word", happened(NodeDelta, run))
    group.gone = True
    play(Script("one ", "two"))
    async with Processor(world):
        await soon("the end of the old effect", asyncio.ensure_future(script.gone.wait()))
        assert isinstance(await old.ended(), NotMember)
        history = await until(world, "end of the run", ended(run))
    assert shown_text(history) == "[one two]"
    check_positions(await accepted(world))


async def test_a_late_batch_of_a_zombie_is_in_the_log_and_nobody_accepts_it(world: World, play: Play) -> None:
    group, faults = Group(), Faults()
    play(Script("word"))
    definition = await define(world, model_flow())
    zombie = Processor(world, faults, group.confirm).start()
    await until(world, "first claim", lambda history: history)
    faults.stall()
    run = await start(world, definition)
    await soon("the zombie's batch", asyncio.ensure_future(faults.held.wait()))
    group.gone = True
    async with Processor(world):
        history = await until(world, "end of the run", ended(run))
        before = await accepted(world)
        faults.go_on()
        wrong = await zombie.ended()
    assert isinstance(wrong, NotMember)
    assert await accepted(world) == before
    assert types(history).count("run.started") == 1


async def test_a_zombie_whose_batch_lands_after_the_foreign_claim_changes_nothing(world: World) -> None:
    group, faults = Group(), Faults().at("decide", "fail_and_late")
    definition = await define(world, plain_flow())
    zombie = Processor(world, faults, group.confirm).start()
    await until(world, "first claim", lambda history: history)
    group.gone = True
    run = await start(world, definition)
    assert isinstance(await zombie.ended(), NotMember)
    async with Processor(world):
        await until(world, "end of the run", ended(run))
        before = await accepted(world)
        for append in faults.late:
            await append()
        after_it = await start(world, definition)
        await until(world, "end of the next run", ended(after_it))
    history = await accepted(world)
    assert history[: len(before)] == before
    stored = await world.log.read("prozess.events", 0, 0, 10_000)
    assert len(stored) > len(history), "the late batch is not even in the log"
    check_positions(history)


async def test_an_owner_that_was_only_frightened_goes_on_with_a_new_claim(world: World) -> None:
    """Somebody claimed and vanished; the group still says that the partition is ours."""
    definition = await define(world, plain_flow())
    async with Processor(world):
        first = await start(world, definition)
        await until(world, "end of the first run", ended(first))
        visitor = Processor(world).start()
        await until(world, "second claim", lambda history: types(history).count("partition.claimed") >= 2 or None)
        await visitor.kill()
        second = await start(world, definition)
        await until(world, "end of the second run", ended(second))
    history = await accepted(world)
    assert types(history).count("partition.claimed") == 3
    check_positions(history)
