"""`text-joiner`: joins or splits."""

import pytest

from services.core.language.graph import compile_
from services.core.problems import Problem
from tests.support.flows import at, changed, end, flow, joiner, start
from tests.support.spec import told


def joined(part, **params):
    return told(flow(start(q="string", a="array", o="object"), part, end(), edges="start > j > end"), **params).outputs("j")["output"]


def test_inputs_are_joined_by_the_prompt_and_other_types_are_json():
    part = joiner("j", "{{q}} {{a}} {{o}} {{nope}}", q=at("start.q"), a=at("start.a"), o=at("start.o"))
    assert joined(part, q="x", a=[1], o={"k": "ü"}) == 'x [1] {"k": "ü"} {{nope}}'


@pytest.mark.parametrize(("separator", "parts"), [(",", ["a", "b", ""]), ("", ["a,b,"]), ("zz", ["a,b,"])])
def test_the_last_input_is_split_at_the_separator(separator, parts):
    assert joined(joiner("j", separator=separator, other="x,y", q=at("start.q")), q="a,b,") == parts


def test_a_value_that_is_no_text_is_split_as_json():
    assert joined(joiner("j", separator=",", a=at("start.a")), a=[1, 2]) == ["[1", " 2]"]


def test_there_is_no_raw_output():
    run = told(flow(start(), joiner("j", "x"), end(), edges="start > j > end"))
    assert run.of("node.completed", "j")[0].raw_output is None


@pytest.mark.parametrize("part", [changed(joiner("j", "x"), outputs={}), joiner("j", separator=",")])
def test_it_needs_an_output_and_something_to_split(part):
    with pytest.raises(Problem) as problem:
        compile_(flow(start(), part, end(), edges="start > j > end"))
    assert (problem.value.code, problem.value.message.partition(": ")[0]) == (22101, "text-joiner::j")
