"""`extractor-parameter`: what a model is asked, and what becomes of its answer."""

import json

import pytest

from services.core.language.graph import compile_
from services.core.problems import Problem
from services.core.running.effects import Done, FunctionCall
from tests.support.flows import Part, at, changed, end, flow, retry, start
from tests.support.spec import told

MODEL = {"model": "m", "domain": "m", "appId": "", "apiKey": "", "apiSecret": "", "source": "openai"}
MOOD = {"type": "string", "default": "calm", "description": "one word"}


def extractor(mode=1, instruction="", outputs=None, again=None):
    param = {**MODEL, "reasonMode": mode, "instruction": instruction}
    return Part("x", "extractor-parameter", {"q": at("start.q")}, outputs or {"mood": MOOD}, param, again)


def run(part=None):
    return told(flow(start(q="string"), part or extractor(), end(), edges="start > x > end"), q="I am happy")


def answered(text, part=None):
    return run(part).say("x", text).done("x")


def outputs(value, schema):
    return answered(json.dumps({"v": value}), extractor(outputs={"v": schema})).outputs("x")["v"]


def test_the_prompt_holds_the_schema_the_instruction_and_the_text():
    asked = run(extractor(instruction="About {{q}}!")).asked("x")
    system, user = asked.messages
    assert (system.role, user.role, user.content) == ("system", "user", "I am happy")
    assert '"mood": {"type": "string", "description": "one word"}' in system.content
    assert system.content.endswith("About I am happy!")
    assert asked.tools == ()


def test_with_function_calling_the_outputs_are_the_functions_parameters():
    asked = run(extractor(0, "Be brief.")).asked("x")
    assert [one.content for one in asked.messages] == ["Be brief.", "I am happy"]
    (tool,) = asked.tools
    assert (tool.name, asked.tool_choice) == ("extract_parameters", "extract_parameters")
    assert tool.parameters["properties"] == {"mood": {"type": "string", "description": "one word"}}
    call = FunctionCall("1", "extract_parameters", '{"mood": "happy"}')
    assert run(extractor(0)).tell("x", Done(calls=(call,))).outputs("x") == {"mood": "happy"}


@pytest.mark.parametrize("text", ['{"mood": "happy"}', '```json\n{"mood": "happy"}\n```', ' {"mood":"happy","more":1} '])
def test_values_are_read_from_the_answer(text):
    story = answered(text)
    assert story.outputs("x") == {"mood": "happy"}
    assert story.of("node.completed", "x")[0].raw_output.words == text


@pytest.mark.parametrize("text", ["{}", '{"mood": null}'])
def test_what_the_text_does_not_say_has_its_default(text):
    assert answered(text).outputs("x") == {"mood": "calm"}


@pytest.mark.parametrize(
    ("value", "schema", "mended"),
    [
        ("5", "integer", 5),
        (5.0, "integer", 5),
        ("1.5", "number", 1.5),
        (" True", "boolean", True),
        (5, "string", "5"),
        ("a", "array", ["a"]),
    ],
)
def test_a_value_that_only_looks_different_is_mended(value, schema, mended):
    found = outputs(value, schema)
    assert (found, type(found)) == (mended, type(mended))


@pytest.mark.parametrize(("value", "schema"), [("five", "integer"), (1.5, "integer"), ("yes", "boolean"), ([1], "string"), ({}, "array")])
def test_a_value_of_another_type_is_20601(value, schema):
    story = answered(json.dumps({"v": value}), extractor(outputs={"v": schema}))
    assert story.last.code == 20601


@pytest.mark.parametrize("text", ["no json", "[1]", '"x"', ""])
def test_an_answer_without_an_object_is_21900(text):
    assert answered(text).last.code == 21900


def test_a_function_that_is_called_with_nonsense_is_21900():
    call = FunctionCall("1", "other", "{}")
    assert run(extractor(0)).tell("x", Done(calls=(call,))).last.code == 21900


def test_presets_take_the_place_of_an_answer_that_cannot_be_read():
    assert answered("no json", extractor(again=retry(1, preset={"mood": "preset"}))).outputs("x") == {"mood": "preset"}


@pytest.mark.parametrize("part", [changed(extractor(), outputs={}), changed(extractor(), param={**MODEL, "source": "bing"})])
def test_it_needs_outputs_and_a_model_that_is_there(part):
    with pytest.raises(Problem, match="extractor-parameter::x"):
        compile_(flow(start(q="string"), part, end(), edges="start > x > end"))
