"""What is remembered of a stream comes back the same, whatever its state has in it."""

import json

import pytest
from hypothesis import given, settings

from services.core.deciders import memory
from services.core.deciders.bot import BotState
from services.core.deciders.flow import FLOW, Absent, Present
from services.core.running.run_state import Active, NotStarted, RunState, evolve
from tests.core.test_laws import ANY_EVENT, NOW, SEEDS, plans, tell
from tests.support.spec import Story


def same(state: memory.State) -> None:
    kind, text = memory.encode(state)
    again = memory.decode(kind, text)
    assert json.loads(memory.encode(again)[1]).keys() == json.loads(text).keys()
    if isinstance(state, Active):
        assert isinstance(again, Active)
        assert again.terms.model_dump() == state.terms.model_dump()
        for name in Active.__dataclass_fields__:
            assert name == "terms" or getattr(again, name) == getattr(state, name)
    else:
        assert again == state


@settings(max_examples=30)
@given(plans(), SEEDS)
def test_every_state_of_a_run_is_remembered_as_it_is(plan, seed):
    story = tell(Story(plan.document), seed)
    state: RunState = NotStarted()
    for event in story.events:
        state = evolve(state, event, NOW)
        if isinstance(state, Active):
            same(state)


@settings(max_examples=50)
@given(ANY_EVENT, ANY_EVENT)
def test_every_state_of_a_flow_is_remembered_as_it_is(one, two):
    same(FLOW.evolve(FLOW.evolve(FLOW.initial, one, NOW), two, NOW))


@pytest.mark.parametrize(
    "state", [Absent(deleted=True), Present("demo", None, 3, {"v1": "a" * 64, "v2": None}, frozenset({"x"})), BotState("demo")]
)
def test_small_states_are_remembered_as_they_are(state):
    same(state)


def test_what_is_no_state_is_not_read():
    with pytest.raises(ValueError, match="no kind of state"):
        memory.decode("Robot", "{}")
    with pytest.raises(ValueError, match="terms"):
        memory.decode("Active", "{}")
