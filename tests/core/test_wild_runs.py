"""What holds for every run of every flow, however its outcomes come: it ends or waits for something named, and shows each word once."""

from collections import defaultdict
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from events.acceptance import Accepted
from events.delta import NodeDelta
from events.envelope import Envelope, Event, Meta
from events.node import NodeCompleted, NodeFailed, OutputClosed, OutputReleased, RoundCompleted
from events.run import RunCompleted, Usage
from services.api.dialects.astron import Frames
from services.core.deciders.memory import decode, encode
from services.core.running.run import GoOn, decide
from services.core.running.run_state import Active, NotStarted, RunState, evolve
from services.core.running.waiting import waits_of
from tests.core.test_laws import written
from tests.support.spec import NOW, Story
from tests.support.wild_flows import Teller, documents

SEEDS = st.integers(0, 2**32)
WILD = settings(max_examples=50, deadline=None)


def wild(document: Any, seed: int, steps: int = 150) -> Story:
    return Teller(Story(document), Random(seed)).tell(steps)


@WILD
@given(documents(), SEEDS)
def test_every_run_ends_and_shows_each_word_once_and_in_order(document, seed):
    story = wild(document, seed)
    assert story.over, "the run ends when its models have answered"
    assert story.last.type != "run.timed_out", "and waits for nobody else"
    story.shown()
    ordinals = shown_ordinals(story.events)
    for (_, unit), found in ordinals.items():
        assert found == list(range(len(found))), f"unit {unit} shows its words once and in order"


@WILD
@given(documents(), SEEDS, st.integers(0, 40))
def test_an_unfinished_run_waits_for_something_named(document, seed, steps):
    story = wild(document, seed, steps)
    state: RunState = NotStarted()
    for step in story.steps:
        for event in step:
            state = evolve(state, event, story.now)
        if isinstance(state, Active):
            named = state.working or state.pauses or state.question
            assert named or decide(state, GoOn(), story.now, story.graph, story.limits).events, (
                "an effect, a timer, a person, or a further step"
            )
            assert bool(named) == any(one.what in {"effect", "pause", "answer"} for one in waits_of(state))
            assert state.working <= state.nodes.keys()
            assert {place for place in state.waiting if place not in state.rounds} <= state.nodes.keys()


@settings(max_examples=25, deadline=None)
@given(documents(), SEEDS, st.floats(0, 1), st.sampled_from(["open", "debug"]))
def test_the_same_log_gives_the_same_state_and_the_same_frames(document, seed, share, mode):
    story = wild(document, seed)
    cut = round(share * len(story.events))
    state: RunState = NotStarted()
    for number, event in enumerate(story.events):
        state = evolve(state, written(event) if number < cut else event, NOW)
    live = frames([story.events[0].model_copy(update={"mode": mode}), *story.events[1:]])
    again = frames([written(event) for event in (story.events[0].model_copy(update={"mode": mode}), *story.events[1:])])
    assert live == again
    assert [frame["choices"][0].get("finish_reason") for frame in live].count("stop") == 1
    content = "".join(frame["choices"][0]["delta"]["content"] for frame in live)
    assert content == story.text
    progress = [frame["workflow_step"]["progress"] for frame in live]
    assert all(0 <= one <= 1 for one in progress)
    assert mode == "debug" or progress == sorted(progress)


@settings(max_examples=25, deadline=None)
@given(documents(), SEEDS)
def test_the_usage_of_a_run_is_that_of_its_nodes(document, seed):
    story = wild(document, seed)
    spent = [one.usage for one in story.events if isinstance(one, NodeCompleted | NodeFailed) and one.usage]
    total = Usage(
        input_tokens=sum(one.input_tokens for one in spent),
        output_tokens=sum(one.output_tokens for one in spent),
        total_tokens=sum(one.total_tokens for one in spent),
    )
    assert story.last.usage == total


@settings(max_examples=25, deadline=None)
@given(documents(), SEEDS)
def test_rounds_are_completed_once_and_give_their_results_in_order(document, seed):
    story = wild(document, seed)
    opened: dict[Any, list[int]] = defaultdict(list)
    for one in story.of("round.opened"):
        opened[one.node, one.path].append(one.round)
    for numbers in opened.values():
        assert numbers == list(range(len(numbers)))
    closed = [(one.node, one.path, one.round) for one in story.events if isinstance(one, RoundCompleted)]
    assert len(closed) == len(set(closed))
    if isinstance(story.last, RunCompleted):
        assert all((*where, number) in closed for where, numbers in opened.items() for number in numbers if _finished(story, where))


def _finished(story: Story, where: Any) -> bool:
    return any(isinstance(one, NodeCompleted) and (one.node, one.path) == where for one in story.events)


def shown_ordinals(events: list[Event]) -> dict[Any, list[int]]:
    """Per output node run and unit, the ordinals of the deltas it showed, in the order in which it did."""
    counts: dict[Any, int] = defaultdict(int)
    found: dict[Any, list[int]] = defaultdict(list)
    floor: Any = None
    for one in events:
        match one:
            case NodeDelta():
                ordinal = counts[one.node, one.path, one.stage]
                counts[one.node, one.path, one.stage] += 1
                if one.shown:
                    found[floor, one.unit].append(ordinal)
            case OutputReleased():
                floor = (one.node, one.path)
                if one.of:
                    found[floor, one.unit] += range(one.of.start, one.of.stop)
            case OutputClosed():
                floor = None
            case _ if one.type == "output.opened":
                floor = (getattr(one, "node", ""), getattr(one, "path", ()))
            case _:
                pass
    return found


def frames(events: list[Event]) -> list[Any]:
    fold = Frames()
    found: list[Any] = []
    for position, event in enumerate(events, 1):
        meta = Meta(id=f"e{position}", type=event.type, version=1, stream="run-1", time=NOW + position, source="t")
        found += fold.feed(Accepted(0, position, position, Envelope(meta, event)))
    return found


@settings(max_examples=25, deadline=None)
@given(documents(), SEEDS, st.integers(0, 40))
def test_a_run_that_is_remembered_is_the_same_run(document, seed, steps):
    state = wild(document, seed, steps).state
    assert not isinstance(state, Active) or decode(*encode(state)) == state
