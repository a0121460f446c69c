"""An attempt that finds recorded text: it goes on where the provider can, and shows nothing twice."""

from typing import Any

import pytest

from services.core.running.effects import Broke
from tests.support.fixtures.effects import AskModel
from tests.support.model_server import ModelServer

TEXT = "Once upon a time there was a model."
RECORDED = "Once upon a ti"
REST = "me there was a model."


def continuing(shape: str) -> dict[str, Any]:
    return {"model_continues": {"127.0.0.1/*": shape}}


async def test_a_model_that_cannot_continue_says_after_how_many_characters_it_was_interrupted(
    ask_model: AskModel, model_server: ModelServer
) -> None:
    seen = await ask_model("say", {"text": TEXT, "key": "never"}, recorded=RECORDED)
    assert [type(one) for one in seen.all] == [Broke]
    assert (seen.broke.problem.code, seen.broke.temporary) == (20380, False)
    assert seen.broke.problem.message == "the answer was interrupted after 14 characters and this model cannot continue"
    assert model_server.calls("never") == []


async def test_with_nothing_recorded_the_call_starts_anew_and_says_so(ask_model: AskModel, model_server: ModelServer) -> None:
    seen = await ask_model("say", {"text": TEXT, "key": "anew"}, settings=continuing("prefix"))
    assert seen.text == TEXT
    assert seen.called.continues == "never"
    assert [message["role"] for message in model_server.calls("anew")[0].body["messages"]] == ["user"]


@pytest.mark.parametrize(
    ("shape", "last", "more"),
    [
        ("prefill", {}, {}),
        ("prefix", {"prefix": True}, {}),
        ("vllm", {}, {"continue_final_message": True, "add_generation_prompt": False}),
    ],
)
async def test_recorded_text_is_handed_over_in_the_shape_of_the_table(
    ask_model: AskModel, model_server: ModelServer, shape: str, last: dict[str, Any], more: dict[str, Any]
) -> None:
    key = f"shape-{shape}"
    seen = await ask_model("say", {"text": TEXT, "prefill": 1, "key": key}, settings=continuing(shape), recorded=RECORDED)
    assert seen.text == REST
    assert seen.called.continues == shape
    body = model_server.calls(key)[0].body
    assert body["messages"][-1] == {"role": "assistant", "content": RECORDED, **last}
    assert {name: body[name] for name in more} == more


@pytest.mark.parametrize("chars", [0, 1])
async def test_a_provider_that_repeats_the_recorded_text_shows_nothing_twice(ask_model: AskModel, chars: int) -> None:
    seen = await ask_model("say", {"text": TEXT, "chars": chars}, settings=continuing("prefill"), recorded=RECORDED)
    assert seen.text == REST


async def test_thinking_goes_on_where_the_shape_can_hand_it_over(ask_model: AskModel, model_server: ModelServer) -> None:
    params: dict[str, object] = {"text": "Yes.", "thought": "Let me see about it.", "key": "thinking"}
    seen = await ask_model("say", params, settings=continuing("prefix"), recorded_reasoning="Let me see")
    assert seen.pieces == [("reasoning", " "), ("reasoning", "about "), ("reasoning", "it."), ("content", "Yes.")]
    assert seen.called.continues == "prefix"
    last = model_server.calls("thinking")[0].body["messages"][-1]
    assert last == {"role": "assistant", "content": "", "prefix": True, "reasoning_content": "Let me see"}


@pytest.mark.parametrize("shape", ["never", "prefill", "vllm"])
async def test_thinking_that_begins_anew_is_not_shown_after_recorded_thinking(ask_model: AskModel, shape: str) -> None:
    params: dict[str, object] = {"text": "Yes.", "thought": "Another way."}
    seen = await ask_model("say", params, settings=continuing(shape), recorded_reasoning="Let me see")
    assert seen.pieces == [("content", "Yes.")]
    assert seen.called.continues == "never"
    assert seen.responded.attributes["prozess.reasoning.not_recorded"] == len("Another way.")
