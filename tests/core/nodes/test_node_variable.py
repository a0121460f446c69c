"""`node-variable`: stores values for later runs of the chat, or reads them."""

import pytest

from services.core.language.graph import compile_
from services.core.problems import Problem
from services.core.running.effects import Done, VariablesRequest
from services.core.variables import pool_of
from tests.support.flows import Part, at, changed, end, flow, start
from tests.support.spec import told, wish_to_start


def setter(**inputs):
    return Part("v", "node-variable", inputs, {}, {"method": "set", "flowId": "77"})


def getter(outputs):
    return Part("v", "node-variable", {}, outputs, {"method": "get", "flowId": "77"})


def run(part):
    return told(flow(start(q="string"), part, end(), edges="start > v > end"), q="blue")


def test_set_stores_every_input_as_an_event_before_the_node_ends():
    story = run(setter(colour=at("start.q"), count=("integer", 3)))
    (stored,) = story.of("variables.stored", "v")
    assert (stored.flow, stored.values.words) == ("77", {"colour": "blue", "count": 3})
    assert stored.pool == pool_of(story.events[0], "77")
    assert story.told.index("variables.stored v") < story.told.index("node.completed v")
    assert story.over


def test_get_asks_for_the_pool_and_fills_its_outputs_by_name():
    story = run(getter({"colour": "string", "other": {"type": "string", "default": "nothing"}}))
    assert story.asked("v") == VariablesRequest("demo", "1", pool_of(story.events[0], "77"))
    story.tell("v", Done(outputs={"values": {"colour": "red", "unknown": 5}}))
    assert story.outputs("v") == {"colour": "red", "other": "nothing"}


def test_a_stored_value_of_another_type_is_22900():
    story = run(getter({"colour": "integer"})).tell("v", Done(outputs={"values": {"colour": "purple"}}))
    assert story.last.code == 22900
    assert "purple" not in story.last.message


def test_a_pool_belongs_to_app_person_chat_and_flow():
    terms = wish_to_start()
    ways = [{}, {"app": "other"}, {"subject": "demo/w"}, {"chat": "c"}, {"chat": "1"}, {"run": "2"}]
    pools = {pool_of(terms.model_copy(update=way), "77") for way in ways} | {pool_of(terms, "78")}
    assert len(pools) == len(ways) + 1


def test_two_runs_of_one_chat_share_their_pool_and_runs_without_a_chat_share_nothing():
    one, two = wish_to_start("1"), wish_to_start("2")
    assert pool_of(one, "77") != pool_of(two, "77")
    assert len({pool_of(run.model_copy(update={"chat": "c"}), "77") for run in (one, two)}) == 1


@pytest.mark.parametrize("part", [setter(), getter({}), changed(setter(a=1), param={"method": "drop", "flowId": "1"})])
def test_it_needs_a_method_and_something_to_store_or_to_fill(part):
    with pytest.raises(Problem, match="node-variable::v"):
        compile_(flow(start(q="string"), part, end(), edges="start > v > end"))
