"""`node-end`: JSON in mode 0, templates in mode 1."""

import pytest

from services.core.language.graph import compile_
from services.core.problems import Problem
from tests.support.flows import at, changed, end, flow, start
from tests.support.spec import told


def ending(part, **params):
    return told(flow(start(q="string", n="integer"), part, edges="start > end"), **params)


def test_mode_0_prints_the_inputs_as_compact_json():
    assert ending(end(answer=at("start.q"), n=at("start.n"), lit=("array", [1])), q="ü", n=3).text == '{"answer":"ü","n":3,"lit":[1]}'


def test_mode_0_without_inputs_prints_an_empty_object():
    assert ending(end()).text == "{}"


def test_a_template_without_placeholders_is_one_piece():
    assert ending(end("hey")).shown() == [("end", "content", "hey")]


def test_an_unknown_placeholder_is_left_and_the_run_succeeds():
    run = ending(end("e {{nope}}", q=at("start.q")))
    assert (run.text, run.last.type) == ("e {{nope}}", "run.completed")


def test_the_thinking_template_comes_first_and_completely():
    run = ending(end("A {{q}}", reasoning="R {{q}}.", q=at("start.q")), q="x")
    assert [(stage, text) for _, stage, text in run.shown()] == [
        ("reasoning", "R "), ("reasoning", "x"), ("reasoning", "."), ("content", "A "), ("content", "x"), ("content", ""),
    ]  # fmt: skip


def test_its_inputs_are_the_outputs_of_the_run_in_both_modes():
    assert ending(end("A", q=at("start.q")), q="x").last.outputs.words == {"q": "x"}
    assert ending(end(q=at("start.q")), q="x").last.outputs.words == {"q": "x"}


@pytest.mark.parametrize("param", [{}, {"outputMode": 2}, {"outputMode": 1, "template": None}])
def test_wrong_parameters_are_refused(param):
    with pytest.raises(Problem) as problem:
        compile_(flow(start(), changed(end(), param=param), edges="start > end"))
    assert problem.value.message.startswith("node-end::end: nodeParam.")
