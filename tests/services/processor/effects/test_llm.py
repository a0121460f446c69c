"""What the model effect tells when all goes well."""

import hashlib

from events.run import Usage
from services.core.running.effects import Called, ChatMessage, Done, Responded
from services.processor.effects.llm import digest
from tests.support.fixtures.effects import AskModel
from tests.support.model_server import ModelServer, model


async def test_each_delta_of_the_provider_is_one_piece(ask_model: AskModel) -> None:
    seen = await ask_model("say", {"text": "one two three"})
    assert seen.pieces == [("content", "one "), ("content", "two "), ("content", "three")]
    assert [type(one) for one in (seen.all[0], *seen.all[-2:])] == [Called, Responded, Done]


async def test_reasoning_has_its_own_stage_under_both_of_its_names(ask_model: AskModel) -> None:
    for name in ("reasoning_content", "reasoning"):
        seen = await ask_model("say", {"text": "so.", "thought": "hm hm", "field": name})
        assert seen.pieces == [("reasoning", "hm "), ("reasoning", "hm"), ("content", "so.")]


async def test_usage_is_taken_from_wherever_it_comes(ask_model: AskModel) -> None:
    for place in ("own", "last"):
        seen = await ask_model("say", {"text": "one two", "usage": place})
        assert seen.done.usage == Usage(input_tokens=3, output_tokens=2, total_tokens=5)
        assert seen.responded.attributes["gen_ai.usage.input_tokens"] == 3


async def test_an_answer_without_usage_is_an_answer(ask_model: AskModel) -> None:
    seen = await ask_model("say", {"text": "one two", "usage": "none"})
    assert seen.done.usage is None
    assert "gen_ai.usage.input_tokens" not in seen.responded.attributes


async def test_an_empty_answer_that_stopped_is_a_success(ask_model: AskModel) -> None:
    seen = await ask_model("say", {"text": ""})
    assert seen.pieces == []
    assert seen.done
    assert seen.responded.first_token_ms is None


async def test_what_comes_after_stop_may_be_missing(ask_model: AskModel) -> None:
    seen = await ask_model("say", {"text": "one two", "then": "late"})
    assert seen.text == "one two"
    assert seen.done.usage is None


async def test_the_evidence_of_the_request_speaks_opentelemetry_and_holds_no_words(ask_model: AskModel, model_server: ModelServer) -> None:
    seen = await ask_model("say", {"key": "evidence"}, temperature=0.5, max_tokens=7)
    assert seen.called.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model("say", key="evidence"),
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 7,
        "server.address": "127.0.0.1",
        "server.port": model_server.port,
    }
    assert seen.called.request_digest == digest(model_server.calls("evidence")[0].body)
    assert seen.called.continues == "never"


async def test_the_evidence_of_the_response_names_id_model_end_and_times(ask_model: AskModel) -> None:
    seen = await ask_model("say", {"text": "one two", "key": "response"})
    assert seen.responded.attributes["gen_ai.response.id"] == "cmpl-1"
    assert seen.responded.attributes["gen_ai.response.model"] == model("say", text="one two", key="response")
    assert seen.responded.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert seen.responded.response_digest == hashlib.sha256(b"one two").hexdigest()
    assert seen.responded.problem is None
    assert seen.responded.first_token_ms is not None
    assert 0 <= seen.responded.first_token_ms <= seen.responded.duration_ms


async def test_the_digest_of_the_response_is_that_of_the_answer_without_the_thinking(ask_model: AskModel) -> None:
    seen = await ask_model("say", {"text": "so.", "thought": "hm"})
    assert seen.responded.response_digest == hashlib.sha256(b"so.").hexdigest()


async def test_what_is_sent_is_what_was_asked(ask_model: AskModel, model_server: ModelServer) -> None:
    extra = {"top_k": 3, "temperature": 0.1, "stream_options": None, "stream": True}
    messages = (ChatMessage("system", "Be brief."), ChatMessage("user", "你好"))
    await ask_model("echo", {"key": "sent"}, messages=messages, temperature=0.9, max_tokens=10, extra=extra)
    assert model_server.calls("sent")[0].body == {
        "model": model("echo", key="sent"),
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "你好"}],
        "stream": True,
        "temperature": 0.1,
        "max_tokens": 10,
        "top_k": 3,
    }


async def test_extra_parameters_cannot_change_what_is_asked(ask_model: AskModel, model_server: ModelServer) -> None:
    for extra in ({"model": "another"}, {"messages": []}, {"stream": False}, {"n": 2}):
        seen = await ask_model("say", {"key": "unchanged"}, extra=extra)
        assert seen.broke.problem.message == f"nodeParam.extraParams cannot set {next(iter(extra))}"
        assert len(seen.all) == 1
    assert model_server.calls("unchanged") == []
