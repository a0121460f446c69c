"""The laws of decisions, over histories that nobody wrote by hand.

The same command twice changes nothing the second time. Folding takes any event in any state, and may be interrupted. A
run that is not finished waits for something named. No secret's name is told, and words stand in protected fields only.
"""

from copy import deepcopy
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.catalogue import EVENTS, decode
from events.commands import BindFlow, CancelRun, DeleteFlow, DraftFlow, PublishFlow, RegisterApp, ReviseFlow
from events.envelope import Command, Envelope, Event, Meta, encode
from events.refusal import CommandRefused, CommandRepeated
from services.core.deciders.app import APP
from services.core.deciders.flow import FLOW
from services.core.language.graph import compile_
from services.core.running.effects import Done, Piece
from services.core.running.run import GoOn, Told, decide
from services.core.running.run_state import Active, Ended, NotStarted, RunState, evolve
from services.core.running.turn import Limits
from services.processor.memory.state import PartitionState
from tests.support import samples
from tests.support.flows import at, end, flow, llm, start
from tests.support.random_flows import Plan, plans, tell
from tests.support.spec import NOW, Story, wish_to_start

SEEDS = st.integers(0, 2**32)
GRAPH = compile_(flow(start(q="string"), llm("ask", "{{q}}", q=at("start.q")), end("{{o}}", o=at("ask.output")), edges="start > ask > end"))
FLOW_ID = "7300000000000001024"
RUNS = [str(1000 << 22 | number) for number in range(3)]


# 1. The same command twice changes nothing the second time.


def run_commands() -> st.SearchStrategy[Command]:
    starts = st.builds(
        lambda run, key: wish_to_start(run, q="x").model_copy(update={"idempotency_key": key}),
        st.sampled_from(RUNS),
        st.sampled_from(["", "", "key"]),
    )
    return starts | st.builds(CancelRun, run=st.sampled_from(RUNS), app=st.just("demo"), by=st.just("demo"))


def flow_commands() -> st.SearchStrategy[Command]:
    flow_ = st.just(FLOW_ID)
    content = st.sampled_from(["d1", "d2"])
    draft = {"name": st.just("n"), "description": st.just(""), "source": st.just(1), "app": st.just("demo")}
    return (
        st.builds(DraftFlow, flow=flow_, status=st.sampled_from([0, 1]), definition=content, **draft)
        | st.builds(ReviseFlow, flow=flow_, definition=content, status=st.sampled_from([None, 1]))
        | st.builds(
            PublishFlow,
            flow=flow_,
            operation=st.integers(0, 4),
            platform=st.sampled_from([0, 1, 2, 4]),
            flow_version=st.sampled_from(["", "v1"]),
        )
        | st.builds(BindFlow, flow=flow_, app=st.sampled_from(["a", "b"]))
        | st.builds(DeleteFlow, flow=flow_, app=st.sampled_from(["demo", "other"]))
        | st.just(samples.full(RegisterApp))
    )


def stream_of(command: Any) -> str:
    if isinstance(command, RegisterApp):
        return f"app-{command.app}"
    return f"run-{command.run}" if hasattr(command, "run") else f"flow-{command.flow}"


def put(state: PartitionState, command: Command, id_: str) -> list[Event]:
    """One command as the owner takes it: decided, its events folded, full steps continued."""
    stream = stream_of(command)
    meta = Meta(id=id_, type=command.type, version=1, stream=stream, time=NOW, source="test", app="demo")
    answer = state.decide(Envelope(meta, command), NOW, GRAPH, Limits())
    for number, said in enumerate(answer.said):
        state.apply(
            Meta(id=f"{id_}-{number}", type=said.event.type, version=1, stream=said.stream, time=NOW, source="t", command=id_), said.event
        )
    return [said.event for said in answer.said]


@settings(max_examples=40)
@given(st.lists(run_commands() | flow_commands(), max_size=12))
def test_a_command_that_comes_twice_changes_nothing_the_second_time(commands):
    state = PartitionState()
    for number, command in enumerate(commands):
        first = put(state, command, f"c{number}")
        assert first, "every command leaves at least one event"
        before = deepcopy(asdict(state))
        (again,) = put(state, command, f"c{number}")
        assert isinstance(again, CommandRepeated)
        assert again.first == f"c{number}"
        assert asdict(state) == before


@settings(max_examples=40)
@given(st.lists(run_commands() | flow_commands(), max_size=8), st.data())
def test_a_command_that_comes_again_much_later_changes_nothing(commands, data):
    state = PartitionState()
    for number, command in enumerate(commands):
        put(state, command, f"c{number}")
    before = deepcopy(asdict(state))
    for number, command in enumerate(commands):
        (again,) = put(state, command, f"c{number}")
        assert isinstance(again, CommandRepeated)
    assert asdict(state) == before


def test_an_idempotency_key_that_comes_again_names_the_first_run():
    state = PartitionState()
    first, second = (wish_to_start(run, q="x").model_copy(update={"idempotency_key": "key"}) for run in RUNS[:2])
    put(state, first, "c0")
    (again,) = put(state, second, "c1")
    assert again == CommandRepeated(wished="run.start", target=f"run-{RUNS[0]}", first="c0")
    assert list(state.runs) == RUNS[:1]


def test_a_refusal_leaves_the_stream_as_it_was():
    state = PartitionState()
    put(state, wish_to_start(RUNS[0], q="x"), "c0")
    before = state.runs[RUNS[0]]
    (refused,) = put(state, wish_to_start(RUNS[0], q="y"), "c1")
    assert isinstance(refused, CommandRefused)
    assert state.runs[RUNS[0]] is before


@settings(max_examples=25)
@given(plans(), SEEDS)
def test_an_outcome_that_comes_after_the_end_of_its_node_leaves_nothing(plan: Plan, seed: int):
    story = tell(Story(plan.document), seed)
    state: RunState = NotStarted()
    for event in story.events:
        state = evolve(state, event, NOW)
        if event.type == "node.completed" and isinstance(state, Active):
            place = (getattr(event, "node", ""), ())
            for outcome in (Piece("content", "late"), Done()):
                told = Told(place, state.nodes[place].attempt, outcome)
                assert decide(state, told, NOW, story.graph, story.limits).events == []


# 2. Folding takes any event in any state.

ANY_EVENT = st.sampled_from([sample[kind] for kind in EVENTS for sample in (samples.MINIMAL, samples.FULL)])


def states() -> list[RunState]:
    """Every state of a run that thinks, answers, changes its owner and ends."""
    story = Story(
        flow(start(q="string"), llm("ask", "{{q}}", q=at("start.q")), end("{{o}}", o=at("ask.output")), edges="start > ask > end")
    )
    story.start(q="x").call("ask").think("ask", "hm").say("ask", "a").taken_over().say("ask", "b").done("ask")
    found: list[RunState] = [NotStarted()]
    for event in story.events:
        found.append(evolve(found[-1], event, NOW))
    return found


@pytest.mark.parametrize("kind", EVENTS)
def test_a_run_s_fold_takes_any_event_in_any_state(kind):
    for state in states():
        for sample in (samples.MINIMAL[kind], samples.FULL[kind]):
            for node in ("spark-llm::1", "spark-llm::ask", "node-end::end"):
                like: Any = sample.model_copy(update={"node": node, "path": ()}) if hasattr(sample, "node") else sample
                after = evolve(evolve(state, like, NOW), like, NOW)
                assert isinstance(after, NotStarted | Active | Ended)


@settings(max_examples=40)
@given(st.lists(ANY_EVENT, max_size=12))
def test_flows_and_apps_take_any_event_in_any_state(events):
    flow_state, app_state = FLOW.initial, APP.initial
    for event in events:
        flow_state = FLOW.evolve(flow_state, event, NOW)
        app_state = APP.evolve(app_state, event, NOW)
    assert flow_state is not None
    assert app_state is not None


@settings(max_examples=40)
@given(st.lists(st.tuples(ANY_EVENT, st.sampled_from(["run-1", "flow-1", "app-demo", "partition-0", "odd", "refusals-demo"])), max_size=12))
def test_a_partition_takes_any_event_in_any_stream(events):
    state = PartitionState()
    for number, (event, stream) in enumerate(events):
        state.apply(Meta(id=str(number), type=event.type, version=1, stream=stream, time=NOW, source="t", command=f"c{number % 3}"), event)
    state.forget(NOW + 10**12)
    assert list(state.ids) == []


# 3. Folding in two halves equals folding at once, and what was written equals what was decided.


def written(event: Event) -> Event:
    data = decode(
        encode(Envelope(Meta(id="e", type=event.type, version=event.version, stream="run-1", time=NOW, source="t", claim="c"), event))
    ).data
    assert isinstance(data, Event)
    return data


@settings(max_examples=30)
@given(plans(), SEEDS, st.floats(0, 1))
def test_folding_in_two_halves_equals_folding_at_once(plan: Plan, seed: int, share: float):
    story = tell(Story(plan.document), seed)
    cut = round(share * len(story.events))
    half: RunState = NotStarted()
    for event in story.events[:cut]:
        half = evolve(half, written(event), NOW)
    kept = deepcopy(half)
    at_once: RunState = NotStarted()
    for number, event in enumerate(story.events):
        if number == cut:
            assert half == at_once
        at_once = evolve(at_once, event, NOW)
        if number >= cut:
            half = evolve(half, event, NOW)
            kept = evolve(kept, written(event), NOW)
    assert half == kept == at_once == story.state


@settings(max_examples=40)
@given(st.lists(run_commands() | flow_commands(), max_size=8), st.integers(0, 8))
def test_a_partition_folded_in_two_halves_equals_one_folded_at_once(commands, cut):
    at_once, halves = PartitionState(), PartitionState()
    for number, command in enumerate(commands):
        if number == cut:
            halves = deepcopy(halves)
        put(at_once, command, f"c{number}")
        put(halves, command, f"c{number}")
    assert halves == at_once


# 7. A run that is not finished waits for something named.


@settings(max_examples=40)
@given(plans(), SEEDS)
def test_an_unfinished_run_always_waits_for_an_effect_with_a_timer(plan: Plan, seed: int):
    story = tell(Story(plan.document), seed)
    state: RunState = NotStarted()
    for step in story.steps:
        for event in step:
            state = evolve(state, event, NOW)
        if not isinstance(state, Active):
            continue
        waits = bool(state.working) or decide(state, GoOn(), NOW, story.graph, story.limits).events
        assert waits, "something is under way, or a further step follows"
        for place in state.working:
            assert story.graph.nodes[place[0]].kind.ask is not None
            assert story.asked_of(state, place)
    assert story.over


@settings(max_examples=30)
@given(plans(), SEEDS, st.integers(0, 40))
def test_time_alone_ends_every_run(plan: Plan, seed: int, after: int):
    story = Story(plan.document, Limits(run_ms=100_000, quiet_ms=10_000))
    tell(story, seed, steps=after)
    for _ in range(200):
        due = story.due
        if due is None:
            break
        assert due > story.now, "what was due was done"
        story.wait(due - story.now)
    assert story.over


@settings(max_examples=30)
@given(plans(), SEEDS)
def test_going_on_without_need_changes_nothing(plan: Plan, seed: int):
    story = tell(Story(plan.document), seed, steps=3)
    if isinstance(story.state, Active):
        assert decide(story.state, GoOn(), NOW, story.graph, story.limits).events == []


# Words stand in protected fields only.


@pytest.mark.parametrize("secret", ["the person's words"])
def test_words_of_people_and_models_stand_in_protected_fields_only(secret):
    run = Story(flow(start(q="string"), llm("ask", "{{q}}", q=at("start.q")), end("{{o}}", o=at("ask.output")), edges="start > ask > end"))
    run.start(q=secret).think("ask", secret).say("ask", secret).done("ask")
    for event in run.events:
        assert secret not in _outside(event.model_dump())


def _outside(part: Any) -> str:
    if isinstance(part, dict):
        return "" if "subject" in part and "words" in part else " ".join(map(_outside, part.values()))
    return " ".join(map(_outside, part)) if isinstance(part, list | tuple) else str(part)
