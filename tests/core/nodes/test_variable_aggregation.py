"""`variable-aggregation`: the first variable that exists."""

import pytest

from services.core.language.graph import compile_
from services.core.problems import Problem
from tests.support.flows import Part, at, changed, end, flow, joiner, llm, retry, start
from tests.support.spec import told


def aggregation(outputs=None, groups=None, **inputs):
    return Part("v", "variable-aggregation", inputs, outputs or {"output": "string"}, {"groups": groups or []})


def branches(part):
    """A model whose failure branch leads to the right, its plain one to the left."""
    model = llm("m", "x", retry=retry(2))
    parts = (start(q="string"), model, joiner("left", ""), joiner("right", "right"), part, end(o=at("v.output")))
    return told(flow(*parts, edges="start > m > left > v > end; m !> right > v"), q="x")


def both(**more):
    return aggregation(a=at("left.output"), b=at("right.output"), **more)


def test_a_value_of_a_node_that_did_not_run_does_not_exist():
    assert branches(both()).fails("m").outputs("v") == {"output": "right"}


def test_an_empty_value_of_a_node_that_ran_exists():
    assert branches(both()).say("m", "fine").done("m").outputs("v") == {"output": ""}


@pytest.mark.parametrize("variables", [["b", "a"], ["in-b", "in-a"]])
def test_groups_name_their_inputs_by_name_or_id_in_order(variables):
    part = aggregation(groups=[{"name": "output", "variables": variables}], a="1", b="2")
    assert told(flow(start(), part, end(), edges="start > v > end")).outputs("v") == {"output": "2"}


def test_where_nothing_exists_the_output_has_its_default():
    part = aggregation({"output": {"type": "string", "default": "none"}}, a=("object", None))
    part = changed(part, inputs={"a": at("right.output")})
    assert branches(part).say("m", "fine").done("m").outputs("v") == {"output": "none"}


@pytest.mark.parametrize(
    "groups", [[{"name": "nope", "variables": ["a"]}], [{"name": "output", "variables": ["z"]}], [{"name": "output", "variables": []}]]
)
def test_groups_must_fit_the_node(groups):
    with pytest.raises(Problem, match=r"variable-aggregation::v: nodeParam\.groups\.0"):
        compile_(flow(start(), aggregation(groups=groups, a="1"), end(), edges="start > v > end"))
