"""`chat-model`: a list of messages goes to a model as it is."""

import pytest

from services.core.language.graph import compile_
from services.core.problems import Problem
from services.core.running.effects import ChatMessage, ModelRequest
from tests.support.flows import Part, at, end, flow, start
from tests.support.spec import told

OUTPUTS = {"output": "string", "REASONING_CONTENT": "string"}


def chatting(**param):
    part = Part("chat", "chat-model", {"messages": at("start.messages")}, OUTPUTS, {"model": "m", **param})
    return flow(start(messages="array"), part, end("{{o}}", o=at("chat.output")), edges="start > chat > end")


def asked(messages, **param) -> ModelRequest:
    request = told(chatting(**param), messages=messages).asked("chat")
    assert isinstance(request, ModelRequest)
    return request


def test_messages_are_asked_in_order_behind_the_system_s_words_and_nothing_is_rendered():
    given = [{"role": "user", "content": "{{q}}"}, {"role": "assistant", "content": "b"}, {"content": "c"}, "no message"]
    assert asked(given, system="Be brief.").messages == (
        ChatMessage("system", "Be brief."),
        ChatMessage("user", "{{q}}"),
        ChatMessage("assistant", "b"),
        ChatMessage("user", "c"),
    )


def test_the_request_has_no_limits_of_its_own():
    request = asked([])
    assert (request.messages, request.model, request.url, request.key) == ((), "m", "", "")
    assert (request.temperature, request.max_tokens, request.extra) == (None, None, {})


def test_the_answer_is_streamed_and_thinking_is_kept_apart():
    run = told(chatting(), messages=[]).think("chat", "hm").say("chat", "tea")
    assert run.text == "tea"
    assert run.done("chat").outputs("chat") == {"output": "tea", "REASONING_CONTENT": "hm"}


@pytest.mark.parametrize("param", [{"model": ""}, {"temperature": 3}, {"maxTokens": 0}])
def test_wrong_parameters_are_refused_by_name(param):
    with pytest.raises(Problem) as problem:
        compile_(chatting(**param))
    assert problem.value.message.startswith(f"chat-model::chat: nodeParam.{next(iter(param))}")


def test_it_needs_its_messages():
    part = Part("chat", "chat-model", {}, OUTPUTS, {"model": "m"})
    with pytest.raises(Problem) as problem:
        compile_(flow(start(), part, end(), edges="start > chat > end"))
    assert problem.value.message == "chat-model::chat: a chat model needs the input messages"
