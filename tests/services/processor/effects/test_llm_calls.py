"""Functions that a model calls: what it is offered, and what becomes of its fragments."""

import json

import pytest

from services.core.running.effects import ChatMessage, FunctionCall, Tool
from services.kit.models.calls import Calls
from services.kit.models.port import Fragment, ModelFailed
from tests.support.fixtures.effects import AskModel
from tests.support.model_server import ModelServer

TEA = Tool("tea", "about tea", {"type": "object", "properties": {}})
CALLS = json.dumps([["tea", '{"kind": "oolong"}'], ["car", "{}"]])


async def test_calls_are_put_together_from_their_fragments(ask_model: AskModel) -> None:
    seen = await ask_model("calls", {"calls": CALLS}, tools=(TEA,))
    assert seen.done.calls == (FunctionCall("call-0", "tea", '{"kind": "oolong"}'), FunctionCall("call-1", "car", "{}"))
    assert seen.pieces == []
    assert seen.responded.problem is None


@pytest.mark.parametrize(
    ("choice", "sent"), [("", None), ("auto", "auto"), ("required", "required"), ("tea", {"type": "function", "function": {"name": "tea"}})]
)
async def test_the_functions_are_offered_as_the_protocol_has_them(
    ask_model: AskModel, model_server: ModelServer, choice: str, sent: object
) -> None:
    await ask_model("calls", {"calls": CALLS, "key": f"offered-{choice}"}, tools=(TEA,), tool_choice=choice)
    (call,) = model_server.calls(f"offered-{choice}")
    assert call.body["tools"] == [
        {"type": "function", "function": {"name": "tea", "description": "about tea", "parameters": {"type": "object", "properties": {}}}}
    ]
    assert call.body.get("tool_choice") == sent


async def test_calls_and_their_answers_go_into_the_next_prompt(ask_model: AskModel, model_server: ModelServer) -> None:
    asked = ChatMessage("assistant", "", calls=(FunctionCall("c1", "tea", "{}"),))
    await ask_model("say", {"key": "answered"}, messages=(ChatMessage("user", "?"), asked, ChatMessage("tool", "hot", answers="c1")))
    (call,) = model_server.calls("answered")
    assert call.body["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "tea", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "hot", "tool_call_id": "c1"},
    ]
    assert "tools" not in call.body


async def test_a_model_that_calls_what_nobody_offered_has_failed(ask_model: AskModel) -> None:
    seen = await ask_model("calls", {"calls": CALLS})
    assert seen.broke.problem.message == "the model stopped with finish_reason tool_calls (expected stop)"


async def test_a_call_without_a_name_is_a_failure(ask_model: AskModel) -> None:
    nameless = await ask_model("calls", {"calls": json.dumps([["", "{}"]])}, tools=(TEA,))
    assert "without saying its name" in nameless.broke.problem.message


@pytest.mark.parametrize(
    ("fine", "too_much"),
    [([Fragment(n, "c", "tea", "") for n in range(128)], Fragment(128, "c", "tea", "")), ([], Fragment(0, "c", "tea", "x" * 1_000_001))],
)
def test_far_too_many_calls_or_arguments_are_a_failure(fine: list[Fragment], too_much: Fragment) -> None:
    calls = Calls()
    for fragment in fine:
        calls.add(fragment)
    with pytest.raises(ModelFailed, match="more than 128 functions, or wrote very long arguments"):
        calls.add(too_much)
