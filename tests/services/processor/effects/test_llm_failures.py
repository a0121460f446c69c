"""What the model effect tells when the provider misbehaves: always a sentence, never a key, never a stack trace."""

import socket
from typing import Any

import pytest

from services.core.running.effects import Broke, ChatMessage, Responded
from services.processor.effects import EffectWorld
from tests.support.fixtures.effects import AskModel, Outcomes, PlainSecrets, effect_settings, effect_world, model_request, outcomes_of
from tests.support.model_server import ModelServer, model

CASES: dict[str, tuple[str, dict[str, object], bool, str]] = {
    "too many requests": ("status", {"code": 429}, True, "answered 429 Too Many Requests: scripted failure"),
    "server error": ("status", {"code": 500}, True, "answered 500 Internal Server Error: scripted failure"),
    "busy": ("status", {"code": 503}, True, "answered 503 Service Unavailable: scripted failure"),
    "bad request": ("status", {"code": 400}, False, "answered 400 Bad Request: scripted failure"),
    "unknown model": ("status", {"code": 404}, False, "answered 404 Not Found: scripted failure"),
    "redirect": ("status", {"code": 302}, False, "answered 302 Found: scripted failure"),
    "length": ("say", {"finish": "length"}, False, "finish_reason length (expected stop)"),
    "filtered": ("say", {"finish": "content_filter"}, False, "finish_reason content_filter"),
    "tool call": ("say", {"finish": "tool_calls"}, False, "finish_reason tool_calls"),
    "length and cut": ("say", {"finish": "length", "then": "late"}, False, "finish_reason length"),
    "cut in the middle": ("say", {"then": "cut"}, True, "was cut off"),
    "end without a reason": ("say", {"then": "end"}, True, "ended before the model said that it was finished"),
    "bad json": ("say", {"then": "garbage"}, True, "sent something that is not JSON"),
    "error object": ("say", {"then": "error"}, True, "broke off its answer: scripted failure"),
    "web page": ("page", {}, False, "answered text/html where an event stream was expected"),
    "error with status 200": ("excuse", {}, True, "broke off its answer: not today"),
    "larger than allowed": ("huge", {"size": 1_000_001}, False, "larger than 1000000 bytes"),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_failure_is_told_with_its_evidence_first(ask_model: AskModel, case: str) -> None:
    kind, params, temporary, sentence = CASES[case]
    seen = await ask_model(kind, params)
    assert sentence in seen.broke.problem.message
    assert (seen.broke.problem.code, seen.broke.temporary) == (20380, temporary)
    assert seen.responded.problem == seen.broke.problem
    assert seen.responded.attributes["error.type"]


async def test_what_was_said_before_a_failure_was_said(ask_model: AskModel) -> None:
    seen = await ask_model("say", {"text": "one two", "then": "error"})
    assert seen.text == "one two"
    seen = await ask_model("say", {"text": "one two", "finish": "length"})
    assert seen.text == "one two"
    assert seen.responded.attributes["gen_ai.response.finish_reasons"] == ["length"]
    assert seen.responded.attributes["gen_ai.usage.output_tokens"] == 2


@pytest.mark.parametrize(
    ("theirs", "status", "ours", "temporary"),
    [
        ("10007", 400, 20357, True),
        ("10013", 400, 20363, False),
        ("11203", 429, 20376, True),
        ("11201", 429, 20374, False),
        ("insufficient_quota", 429, 20366, False),
        ("context_length_exceeded", 400, 20372, False),
    ],
)
async def test_a_provider_code_that_means_an_entry_of_the_table_takes_its_number(
    ask_model: AskModel, theirs: str, status: int, ours: int, temporary: bool
) -> None:
    seen = await ask_model("status", {"code": status, "error": theirs})
    assert (seen.broke.problem.code, seen.broke.temporary) == (ours, temporary)
    seen = await ask_model("say", {"then": "error", "error": theirs})
    assert seen.broke.problem.code == ours


async def test_the_advice_when_to_come_back_is_evidence(ask_model: AskModel) -> None:
    seen = await ask_model("status", {"code": 429, "retry_after": 7})
    assert seen.responded.attributes["http.response.header.retry-after"] == ["7"]


@pytest.mark.parametrize(
    ("kind", "params", "words"), [("silent", {}, ""), ("drip", {}, ""), ("say", {"text": "one ", "then": "silent"}, "one ")]
)
async def test_silence_is_bounded_before_the_first_token_and_after_it(
    ask_model: AskModel, model_server: ModelServer, kind: str, params: dict[str, object], words: str
) -> None:
    key = f"quiet-{kind}"
    seen = await ask_model(kind, {"key": key, **params}, quiet_ms=60)
    assert seen.text == words
    assert "was silent (no token for 0.06 s)" in seen.broke.problem.message
    assert (seen.broke.problem.code, seen.broke.temporary) == (20380, True)
    model_server.wait_aborted(key)


async def test_text_of_the_provider_is_cut_and_holds_neither_the_key_nor_the_question(ask_model: AskModel) -> None:
    key, question = "sk-proj-abcdefgh12345678", "My neighbour is called Erwin."
    message = f"{key} sk-other-key is wrong for {question} " + "x" * 400
    seen = await ask_model("status", {"code": 400, "message": message}, key=key, messages=(ChatMessage("user", question),))
    told = seen.broke.problem.message.partition("Bad Request: ")[2]
    assert told.startswith("… … is wrong for … xxx")
    assert len(told) == 300


async def test_a_wrong_key_is_never_echoed_although_the_provider_does(ask_model: AskModel) -> None:
    seen = await ask_model("say", {"need": "right"}, key="wrong-key-0815")
    assert "401 Unauthorized: Incorrect API key provided: …" in seen.broke.problem.message
    assert "wrong-key-0815" not in repr(seen)


async def test_a_key_that_the_provider_masks_is_not_echoed_either(ask_model: AskModel) -> None:
    seen = await ask_model("status", {"code": 401, "message": "wrong key: abcdef******wxyz"}, key="abcdefghijklmnopqrstuvwxyz")
    assert seen.broke.problem.message.endswith("401 Unauthorized: wrong key: …")


async def test_a_redirect_is_not_followed_so_that_the_key_goes_nowhere_else(ask_model: AskModel, model_server: ModelServer) -> None:
    seen = await ask_model("status", {"code": 307, "location": model_server.url, "key": "redirect"})
    assert "answered 307 Temporary Redirect" in seen.broke.problem.message
    assert len(model_server.calls("redirect")) == 1


async def test_without_a_key_none_is_sent_and_a_refusal_says_what_to_do(ask_model: AskModel, model_server: ModelServer) -> None:
    seen = await ask_model("say", {"need": "right", "key": "keyless"}, key="")
    assert "no key was given: set the node's apiKey, or OPENAI_API_KEY" in seen.broke.problem.message
    assert "authorization" not in model_server.calls("keyless")[0].headers


async def test_an_endpoint_that_nobody_listens_on_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        seen = await _asked(effect_world(), url=f"http://127.0.0.1:{port}/v1/chat/completions")
    assert f"the model at 127.0.0.1:{port} cannot be reached" in seen.broke.problem.message
    assert seen.broke.temporary


@pytest.mark.parametrize(
    "url", ["ws://127.0.0.1/v1", "127.0.0.1:80", "http://", "http://[::1", "http://h:99999/v1", "http://u:p@127.0.0.1/v1", "x"]
)
async def test_an_address_that_is_none_is_refused_before_anything_goes_out(url: str) -> None:
    seen = await _asked(effect_world(), url=url)
    assert [type(one) for one in seen.all] == [Broke]
    assert "url must look like https://host/v1/chat/completions" in seen.broke.problem.message


async def test_without_an_endpoint_it_is_said_how_to_name_one() -> None:
    seen = await _asked(effect_world(), url="")
    assert "no model endpoint is known: set the node's url, or OPENAI_BASE_URL and OPENAI_API_KEY" in seen.broke.problem.message


async def test_a_key_with_a_line_break_is_refused_before_anything_goes_out(ask_model: AskModel) -> None:
    seen = await ask_model("say", key="one\r\nX-Other: two")
    assert "the key of this model holds characters that no key has" in seen.broke.problem.message


async def test_a_reference_is_resolved_for_its_app_only(ask_model: AskModel, model_server: ModelServer) -> None:
    reference, world = "secret:" + "0" * 32, effect_world()
    assert isinstance(world.secrets, PlainSecrets)
    world.secrets.values["demo", reference] = "right"
    name = model("say", need="right", text="in")
    mine = await outcomes_of(model_request(model_server, name, key=reference), world)
    theirs = await outcomes_of(model_request(model_server, name, key=reference, app="other"), world)
    await world.models.aclose()
    assert mine.text == "in"
    assert [type(one) for one in theirs.all] == [Broke]
    assert "the key of this model is not known here" in theirs.broke.problem.message


async def test_text_that_is_no_unicode_is_refused_with_a_sentence(ask_model: AskModel) -> None:
    seen = await ask_model("say", messages=(ChatMessage("user", "\ud83d"),))
    assert "text that cannot be sent" in seen.broke.problem.message
    assert isinstance(seen.all[-2], Responded)


async def test_the_key_of_the_process_goes_to_its_own_endpoint_only(model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "ours")
    own = {"OPENAI_BASE_URL": model_server.base, "OPENAI_API_KEY": "mine"}
    world = effect_world(effect_settings(**own))
    elsewhere = model_server.url.replace("127.0.0.1", "localhost")
    for url, key in (("", "own-1"), (model_server.url, "own-2"), (elsewhere, "own-3")):
        await outcomes_of(model_request(model_server, model("say", key=key), url=url, key=""), world)
    await world.models.aclose()
    sent = [model_server.calls(key)[0].headers.get("authorization") for key in ("own-1", "own-2", "own-3")]
    assert sent == ["Bearer mine", "Bearer mine", None]
    names = [model_server.calls(key)[0].headers.get("openai-organization") for key in ("own-1", "own-2", "own-3")]
    assert names == ["ours", "ours", None]


async def _asked(world: EffectWorld, **changes: Any) -> Outcomes:
    try:
        return await outcomes_of(model_request(None, "say", **changes), world)
    finally:
        await world.models.aclose()
