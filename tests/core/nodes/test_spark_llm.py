"""`spark-llm`: what is asked, and what becomes of the answer."""

import pytest

from services.core.language.graph import compile_
from services.core.problems import Problem
from services.core.running.effects import ChatMessage, ModelRequest
from tests.support.flows import at, end, flow, llm, start
from tests.support.spec import told


def asking(template="{{q}}", *, outputs=None, **param):
    part = llm("ask", template, outputs=outputs, param=param, q=at("start.q"), a=at("start.a"))
    return flow(start(q="string", a="array"), part, end(o=at("ask.errorCode")), edges="start > ask > end")


def asked(template="{{q}}", params=None, **param) -> ModelRequest:
    request = told(asking(template, **param), **({"q": "tea"} if params is None else params)).asked("ask")
    assert isinstance(request, ModelRequest)
    return request


def test_the_request_has_the_rendered_messages_in_order():
    request = asked("About {{q}}: {{a}} {{nope}}", {"q": "tea", "a": [1, "ü"]}, systemTemplate="Be {{q}}.")
    assert request.messages == (ChatMessage("system", "Be tea."), ChatMessage("user", 'About tea: [1, "ü"] {{nope}}'))


def test_an_empty_user_message_is_one_space_and_an_empty_system_message_is_left_out():
    assert asked("").messages == (ChatMessage("user", " "),)
    assert asked("{{q}}", {}).messages == (ChatMessage("user", " "),)


def test_the_request_names_model_key_and_limits():
    request = asked(domain="d", apiKey="ref", url="http://m/v1/chat/completions", temperature=0.5, maxTokens=9, extraParams={"x": 1})
    assert (request.app, request.model, request.key, request.url) == ("demo", "d", "ref", "http://m/v1/chat/completions")
    assert (request.temperature, request.max_tokens, request.extra, request.quiet_ms) == (0.5, 9, {"x": 1}, 60_000)
    assert asked(domain="", model="m2").model == "m2"


def answered(text, outputs, thought="", **param):
    run = told(asking(outputs=outputs, **param), q="x")
    if thought:
        run.think("ask", thought)
    return run.say("ask", text).done("ask")


def test_the_answer_goes_to_every_output_but_thinking():
    outputs = {"output": "string", "again": "string", "REASONING_CONTENT": "string"}
    run = answered("tea", outputs, "hm")
    assert run.outputs("ask") == {"output": "tea", "again": "tea", "REASONING_CONTENT": "hm"}
    assert run.of("node.completed", "ask")[0].raw_output.words == "tea"


JSON = {"city": "string", "n": "integer", "absent": {"type": "string", "default": "d"}}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"city": "H", "n": 3}', {"city": "H", "n": 3, "absent": "d"}),
        ('Well:\n```json\n{"city": "H"}\n```', {"city": "H", "n": 0, "absent": "d"}),
        ('```\n{"city": "H", "n": 0, "absent": ""}\n```', {"city": "H", "n": 0, "absent": "d"}),
        ("no json", {"city": "", "n": 0, "absent": "d"}),
        ("[1]", {"city": "", "n": 0, "absent": "d"}),
        ('{"n": NaN}', {"city": "", "n": 0, "absent": "d"}),
        ('{"city": "\\ud83d"}', {"city": "", "n": 0, "absent": "d"}),
        ("[" * 100_000, {"city": "", "n": 0, "absent": "d"}),
    ],
)
def test_an_answer_in_json_is_read_by_output_name(text, found):
    assert answered(text, JSON, respFormat=2).outputs("ask") == found


def test_a_json_value_of_another_type_fails_the_node_with_20601():
    assert answered('{"n": "three"}', JSON, respFormat=2).last.code == 20601


@pytest.mark.parametrize(("pattern", "text"), [("<<(.*)>>", '<<{"city": "H"}>>'), ("{.*}", 'so {"city": "H"} it is')])
def test_a_pattern_says_where_the_json_is(pattern, text):
    assert answered(text, JSON, respFormat=2, re_match_pattern=pattern).outputs("ask")["city"] == "H"


def test_a_pattern_whose_group_found_nothing_gives_defaults():
    assert answered("b", JSON, respFormat=2, re_match_pattern="(a)|b").outputs("ask")["city"] == ""


def test_an_answer_in_json_is_one_unit_and_not_streamed():
    part = llm("ask", outputs={"city": "string"}, param={"respFormat": 2})
    run = told(flow(start(), part, end("<{{c}}>", c=at("ask.city")), edges="start > ask > end")).say("ask", '{"city": ', '"H"}').done("ask")
    assert [text for _, _, text in run.shown()] == ["<", "H", ">"]


@pytest.mark.parametrize(
    "param", [{"source": "bing"}, {"re_match_pattern": "("}, {"temperature": 0}, {"maxTokens": 0}, {"respFormat": 3}, {"model": None}]
)
def test_wrong_parameters_are_refused_by_name(param):
    with pytest.raises(Problem) as problem:
        compile_(asking(**param))
    assert problem.value.message.startswith(f"spark-llm::ask: nodeParam.{next(iter(param))}")
