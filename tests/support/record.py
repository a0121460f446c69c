"""Reading the record in tests: what is accepted, what a person was shown, and waiting for it without sleeping."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

from events import topics
from events.acceptance import ENDS_A_RUN, Acceptance, Accepted, Checkpoint
from events.delta import NodeDelta
from events.envelope import Event
from events.node import OutputClosed, OutputReleased
from services.kit.blobs import unpack
from services.kit.world import World

T = TypeVar("T")
E = TypeVar("E", bound=Event)
LONGEST_S = 15.0


async def accepted(world: World, partition: int = 0) -> list[Accepted]:
    """Everything that is true of a partition now."""
    fold = Acceptance(Checkpoint(await world.log.identity(topics.EVENTS), partition))
    found: list[Accepted] = []
    while stored := await world.log.read(topics.EVENTS, partition, fold.offset, 10_000):
        found += [event for one in stored if (event := fold.step(await unpack(one, world.blobs))) is not None]
    return found


async def until(world: World, what: str, look: Callable[[list[Accepted]], T | None], partition: int = 0, seconds: float = LONGEST_S) -> T:
    """Wait for something in the accepted history. `look` is asked after every event; what it finds is returned."""
    fold = Acceptance(Checkpoint(await world.log.identity(topics.EVENTS), partition))
    history: list[Accepted] = []
    tail = world.log.tail(topics.EVENTS, partition, 0)
    try:
        async with asyncio.timeout(seconds):
            while True:
                for stored in await tail.next():
                    event = fold.step(await unpack(stored, world.blobs))
                    if event is not None:
                        history.append(event)
                        if (found := look(history)) is not None:
                            return found
    except TimeoutError:
        told = ", ".join(event.meta.type for event in history[-12:])
        raise AssertionError(f"in {seconds:g} s there was no {what}; the last events are: {told or 'none'}") from None
    finally:
        await tail.close()


async def soon(what: str, awaitable: "asyncio.Future[T] | asyncio.Task[T]", seconds: float = LONGEST_S) -> T:
    """Wait for a task or a future, not for ever."""
    done, _ = await asyncio.wait({awaitable}, timeout=seconds)
    assert done, f"in {seconds:g} s {what} did not happen"
    return awaitable.result()


def of_run(history: Sequence[Accepted], run: str) -> list[Accepted]:
    """The events of one run."""
    return [event for event in history if event.meta.stream == topics.run_stream(run)]


def ended(run: str) -> Callable[[list[Accepted]], list[Accepted] | None]:
    """For `until`: the whole run, once it is over."""

    def look(history: list[Accepted]) -> list[Accepted] | None:
        newest = history[-1].meta
        return of_run(history, run) if newest.stream == topics.run_stream(run) and newest.type in ENDS_A_RUN else None

    return look


def happened(type_: type[E], run: str, times: int = 1) -> Callable[[list[Accepted]], E | None]:
    """For `until`: the n-th event of this kind in a run."""

    def look(history: list[Accepted]) -> E | None:
        found = [event.envelope.data for event in of_run(history, run) if isinstance(event.envelope.data, type_)]
        return found[times - 1] if len(found) >= times else None

    return look


def answers(command: str) -> Callable[[list[Accepted]], Accepted | None]:
    """For `until`: the first event that answers a command."""
    return lambda history: next((event for event in history if event.meta.command == command), None)


def types(history: Sequence[Accepted]) -> list[str]:
    """The kinds of events in order."""
    return [event.meta.type for event in history]


def shown_text(history: Sequence[Accepted], stage: str = "content") -> str:
    """What a person was shown of one run, from its events alone."""
    said: defaultdict[tuple[str, tuple[int, ...], str], list[str]] = defaultdict(list)
    shown: list[str] = []
    for event in history:
        match event.envelope.data:
            case NodeDelta() as delta:
                text = delta.text.words or ""
                said[delta.node, delta.path, delta.stage].append(text)
                if delta.shown and delta.stage == stage:
                    shown.append(text)
            case OutputReleased(of=None) as released if released.stage == stage and released.text:
                shown.append(released.text.words or "")
            case OutputReleased(of=of) if of is not None and of.stage == stage:
                shown += said[of.node, of.path, of.stage][of.start : of.stop]
            case OutputClosed() as closed if stage == "content":
                shown.append(closed.text.words or "")
            case _:
                pass
    return "".join(shown)


def check_positions(history: Sequence[Accepted]) -> None:
    """Every stream counts 1, 2, 3, and no event is there twice."""
    newest: dict[str, int] = {}
    ids: set[str] = set()
    for event in history:
        assert event.position == newest.get(event.meta.stream, 0) + 1, f"a gap before {event}"
        newest[event.meta.stream] = event.position
        assert event.meta.id not in ids, f"twice: {event}"
        ids.add(event.meta.id)
