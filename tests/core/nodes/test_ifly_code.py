"""`ifly-code`: what is asked of the sandbox, and what becomes of the answer."""

import pytest

from services.core.language.graph import compile_
from services.core.problems import Problem
from services.core.running.effects import CodeRequest, Done
from tests.support.flows import Part, at, changed, end, flow, retry, start
from tests.support.spec import Story, told

SOURCE = "def main(q):\n    return {'x': q}\n"
PARAM = {"code": SOURCE, "appId": "demo", "uid": "u", "codeLanguage": "python"}


def code(outputs=None, again=None):
    return Part("c", "ifly-code", {"q": at("start.q")}, outputs or {"x": "string"}, PARAM, again)


def run(part=None):
    return told(flow(start(q="string"), part or code(), end(x=at("c.x")), edges="start > c > end"), q="good")


def answered(raw, part=None):
    return run(part).tell("c", Done(outputs={"text": raw}))


def failed(story: Story):
    (problem,) = [one.problem for one in story.of("node.failed", "c")]
    return problem.code, problem.message


def test_the_code_is_asked_for_with_its_inputs_and_its_limit():
    assert run(code(again=retry(timeout=7))).asked("c") == CodeRequest("demo", SOURCE, {"q": "good"}, 7_000)
    limit = code(again={"timeout": 300})
    assert run(limit).asked("c").limit_ms == 60_000, "no longer than a node may be silent"
    assert run(changed(limit, retry={"timeout": 2})).asked("c").limit_ms == 2_000


def test_the_keys_of_the_answer_are_the_outputs_and_missing_ones_have_their_default():
    part = code({"x": "string", "n": "integer", "m": {"type": "string", "default": "d"}})
    story = answered('{"x": "y", "z": 1}', part)
    assert story.outputs("c") == {"x": "y", "n": 0, "m": "d"}
    assert story.of("node.completed", "c")[0].raw_output.words == '{"x": "y", "z": 1}'
    assert story.over


@pytest.mark.parametrize(
    ("raw", "schema", "value"),
    [('"text"', "string", "text"), ("[1]", "array", [1]), ("[1]", "string", "[1]"), ("5", "integer", 5), ("null", "string", "null")],
)
def test_an_answer_that_is_no_object_is_the_first_output(raw, schema, value):
    assert answered(raw, code({"x": schema, "other": "integer"})).outputs("c") == {"x": value, "other": 0}


@pytest.mark.parametrize(
    ("raw", "schema", "said"),
    [
        ('{"x": "1"}', "integer", "the result of main: x: expected integer"),
        ('{"x": true}', "number", "the result of main: x: expected number"),
        ('{"x": ["a", 1]}', {"type": "array", "items": {"type": "string"}}, "the result of main: x: expected array"),
        ('"1"', "integer", "main must return an object with the outputs; x"),
        ('{"x": NaN}', "number", "main must return what JSON can hold"),
        ("[" * 100 + "]" * 100, "array", "main must return what JSON can hold"),
        (f'{{"x": {10**400}}}', "integer", "main must return what JSON can hold: a number is too large"),
    ],
)
def test_an_answer_of_the_wrong_type_is_21602(raw, schema, said):
    code_, message = failed(answered(raw, code({"x": schema})))
    assert (code_, message.startswith(said)) == (21602, True)


def test_a_wrong_answer_is_handled_as_the_settings_say():
    story = answered('{"x": 1}', code(again=retry(1, 1, preset={"x": "preset"})))
    assert (story.outputs("c"), story.over) == ({"x": "preset"}, True)
    assert [one.then for one in story.of("node.failed", "c")] == ["preset"], "the same code would answer the same"


def test_a_failed_code_is_run_again_while_attempts_are_left():
    story = run(code(again=retry(0, 1))).fails("c", 21600)
    assert story.active.working
    assert failed(run().fails("c", 21603, "stopped")) == (21603, "stopped")


@pytest.mark.parametrize("param", [{"code": ""}, {"codeLanguage": "java"}, {"appId": 5}])
def test_parameters_are_checked(param):
    with pytest.raises(Problem, match=next(iter(param))):
        compile_(flow(start(q="string"), changed(code(), param=PARAM | param), end(), edges="start > c > end"))
