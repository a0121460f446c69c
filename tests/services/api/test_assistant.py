"""The assistant's door (002) over HTTP: its samples, its blocks, its memory, its errors. The whole line runs; the model is scripted."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.api.dialects import assistant as dialect
from services.api.dialects.assistant import Blocks
from services.api.routes.assistant import offer
from services.kit.settings import Settings
from tests.services.api.conftest import bearer
from tests.services.api.stories import linear
from tests.support.fixtures.doors import LOCAL, MODEL, Door, door
from tests.support.model_server import ModelServer, model

STREAM, WHOLE = "/api/v1/chat/stream", "/api/v1/chat"


@pytest.fixture(scope="module")
async def assistant(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[Door]:
    with ModelServer() as server:
        async with door(tmp_path_factory.mktemp("assistant"), server) as opened:
            yield opened


def say(text: str, **more: object) -> str:
    return model("say", text=text, **more)


async def ask(door: Door, message: Any, path: str = STREAM, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    body = {"message": message, "model_type": "cloud_large", **more}
    return await door.house.http.post(path, json=body, headers=headers)


def blocks(answer: httpx.Response) -> list[dict[str, Any]]:
    """The blocks of a whole stream, `[DONE]` included as `{}`."""
    records = [one for one in answer.text.split("\n\n") if one and not one.startswith(":")]
    assert all(one.startswith("data: ") for one in records)
    return [{} if one == "data: [DONE]" else json.loads(one[6:]) for one in records]


def content(found: list[dict[str, Any]]) -> str:
    return "".join(block["content"] for block in found if block)


# the document's samples


async def test_the_curl_sample_works(assistant: Door):
    body = {"message": "请解释量子计算的基本原理", "stream": True}
    answer = await assistant.house.http.post(STREAM, json=body, headers=bearer("demo"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert blocks(answer)[-1] == {}


async def test_the_python_sample_works(assistant: Door):
    seen = ""
    async with assistant.house.http.stream("POST", STREAM, json={"message": "你好", "stream": True}, headers=bearer("demo")) as response:
        async for text in response.aiter_lines():
            line = text.encode()
            if line.startswith(b"data:"):
                data = line[5:].strip()
                if data != b"[DONE]":
                    seen += json.loads(data.decode("utf-8"))["content"]
    assert seen


# blocks


async def test_a_stream_is_blocks_a_last_one_and_done(assistant: Door):
    answer = await ask(assistant, say("one two\n  three 你好"))
    *middle, last, done = blocks(answer)
    assert content(middle) == "one two\n  three 你好"
    assert "你好" in answer.text
    assert done == {}
    assert (last["content"], last["finished"], last["model_used"]) == ("", True, "cloud_large")
    assert last["token_count"] > 0
    assert last["latency_ms"] >= 0
    assert last["reasoning"] == "the caller asked for cloud_large"
    assert {block["session_id"] for block in middle} == {last["session_id"]}
    assert "no-cache" in answer.headers["cache-control"]


async def test_event_stream_is_sent_to_whom_it_pleases(assistant: Door):
    answer = await ask(assistant, say("x"), headers={"Accept": "text/event-stream"})
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_silence_is_filled_with_comments_only(assistant: Door):
    async with assistant.house.http.stream(
        "POST", STREAM, json={"message": say("a b", hold=1, key="quiet"), "model_type": "cloud_large"}
    ) as answer:
        lines = answer.aiter_lines()
        alive = [await anext(lines) for _ in range(4)]
        assert [line for line in alive if line] == [": alive", ": alive"]
        assistant.server.release("quiet", 2)
        rest = [line async for line in lines if line.startswith("data")]
    assert rest[-1] == "data: [DONE]"


async def test_a_failure_in_the_middle_is_a_block_and_the_end(assistant: Door):
    found = blocks(await ask(assistant, say("one two", then="error")))
    assert content(found) == "one two"
    assert found[-1]["error"]
    assert {"content", "session_id", "model_used"} <= set(found[-1])
    assert {} not in found


async def test_the_whole_answer_is_one_object(assistant: Door):
    said = (await ask(assistant, say("all at once"), WHOLE)).json()
    assert (said["content"], said["model_used"], said["error"]) == ("all at once", "cloud_large", None)
    assert said["timestamp"].endswith("+00:00")
    assert said["token_count"] > 0
    failed = await ask(assistant, say("one two", then="error"), WHOLE)
    assert failed.status_code == 200
    assert (failed.json()["content"], bool(failed.json()["error"])) == ("one two", True)


async def test_local_stays_local_and_its_failure_is_an_error(assistant: Door, monkeypatch: pytest.MonkeyPatch):
    assert content(blocks(await ask(assistant, "hello", model_type="local_small"))) == "small"
    whole_command = dialect.to_command

    def elsewhere(*given: Any) -> Any:
        return whole_command(*given[:5], "http://127.0.0.1:9/v1", *given[6:])

    monkeypatch.setattr(dialect, "to_command", elsewhere)
    calls = len(assistant.server.requests)
    found = blocks(await ask(assistant, "hello", model_type="local_small"))
    assert (found[-1]["model_used"], found[-1]["content"]) == ("local_small", "")
    assert "cannot be reached" in found[-1]["error"]
    assert len(assistant.server.requests) == calls


# what is on the record


async def events_of(door: Door, run: str, **params: str) -> list[dict[str, Any]]:
    path = f"/v1/runs/{run}/events"
    answer = await door.house.http.get(path, params={"follow": "false", **params}, headers={"Accept": "application/json"})
    return answer.json()["events" if "frames" not in params else "frames"]


async def test_the_decision_and_its_reasons_are_recorded_with_the_run(assistant: Door):
    answer = await ask(assistant, say("x"), model_type="auto_select", preferred_model=MODEL)
    started = (await events_of(assistant, answer.headers["x-event-id"]))[0]["data"]
    assert started["surface"] == "assistant"
    assert started["ext"]["words"]["route"] == {
        "wished": "auto_select",
        "model_used": "cloud_large",
        "model": MODEL,
        "reasons": ["the caller named the model"],
    }


async def test_the_run_is_seen_through_other_frames_in_history_and_in_audit(assistant: Door):
    answer = await ask(assistant, say("seen by all"), session_id="s-seen")
    run = answer.headers["x-event-id"]
    astron = await events_of(assistant, run, frames="astron")
    assert "".join(frame["choices"][0]["delta"]["content"] for frame in astron) == "seen by all"
    openai = await events_of(assistant, run, frames="openai")
    assert "".join(frame["choices"][0]["delta"].get("content", "") for frame in openai if frame["choices"]) == "seen by all"
    assert content(await events_of(assistant, run, frames="assistant")) == "seen by all"
    history = (await assistant.house.http.get("/v1/chats/s-seen/messages")).json()["messages"]
    assert [(one["role"], one["content"]) for one in history] == [("user", say("seen by all")), ("assistant", "seen by all")]
    audit = (await assistant.house.http.get("/v1/audit/events", params={"event_id": run})).json()["events"]
    assert {"run.started", "run.completed", "model.called"} <= {one["type"] for one in audit}


async def test_a_broken_stream_is_taken_up_at_its_position(assistant: Door):
    body = {"message": say("one two three", hold=1, key="broken"), "model_type": "cloud_large"}
    assistant.server.release("broken")
    async with assistant.house.http.stream("POST", STREAM, json=body) as answer:
        run = answer.headers["x-event-id"]
        lines = answer.aiter_lines()
        first = ""
        while not first.startswith("data"):
            first = await anext(lines)
    path = f"/v1/runs/{run}/events"
    seen = ""
    async with assistant.house.http.stream("GET", path, params={"frames": "assistant"}) as again:
        async for line in again.aiter_lines():
            if line.startswith("id: "):
                position = line[4:]
                break
    assistant.server.release("broken", 2)
    async with assistant.house.http.stream("GET", path, params={"frames": "assistant"}, headers={"Last-Event-ID": position}) as again:
        async for line in again.aiter_lines():
            if line.startswith("data: {"):
                seen += json.loads(line[6:])["content"]
    assert json.loads(first[6:])["content"] + seen == "one two three"


async def test_a_repeat_with_the_same_key_follows_the_first_run(assistant: Door):
    headers = {"Idempotency-Key": "assistant-1"}
    answers = [await ask(assistant, say("once", key="once"), headers=headers) for _ in range(2)]
    assert answers[0].headers["x-event-id"] == answers[1].headers["x-event-id"]
    assert answers[0].text == answers[1].text
    assert len(assistant.server.calls("once")) == 1


# memory


def messages_of(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(one["role"], one["content"]) for one in json.loads(content(blocks(answer)))]


async def test_a_session_remembers_whole_turns_oldest_first(assistant: Door):
    for text in ("a1", "b2"):
        await ask(assistant, say(text), session_id="s-memory")
    assert messages_of(await ask(assistant, "echo", session_id="s-memory")) == [
        ("user", say("a1")), ("assistant", "a1"), ("user", say("b2")), ("assistant", "b2"), ("user", "echo"),
    ]  # fmt: skip


async def test_memory_has_a_budget_and_the_record_says_what_was_left_out(assistant: Door):
    for text in ("old " * 40, "new"):
        await ask(assistant, say(text), session_id="s-budget")
    answer = await ask(assistant, "echo", session_id="s-budget")
    assert messages_of(answer) == [("user", say("new")), ("assistant", "new"), ("user", "echo")]
    noted = (await events_of(assistant, answer.headers["x-event-id"]))[0]["data"]["ext"]["words"]["memory"]
    assert (noted["messages"], noted["left_out"]) == (2, True)


async def test_another_apps_session_is_empty(assistant: Door):
    await ask(assistant, say("my colour is vermilion"), session_id="s-mine")
    assert messages_of(await ask(assistant, "echo", session_id="s-mine", headers=bearer("other"))) == [("user", "echo")]


async def test_a_turn_without_an_answer_is_not_remembered(assistant: Door):
    await ask(assistant, model("status", code=400), session_id="s-failed")
    assert messages_of(await ask(assistant, "echo", session_id="s-failed")) == [("user", "echo")]


# errors


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": None},
        {"message": 5},
        {"message": "x", "model_type": "CLOUD_LARGE"},
        {"message": "x", "max_tokens": "many"},
        {"message": "x", "stream": None},
        {"message": "x", "session_id": {}},
        {"message": "x", "context": []},
    ],
)
@pytest.mark.parametrize("path", [STREAM, WHOLE])
async def test_a_body_that_breaks_the_schema_is_422_with_its_places(assistant: Door, path: str, body: dict[str, Any]):
    answer = await assistant.house.http.post(path, json=body)
    assert answer.status_code == 422
    (place,) = answer.json()["detail"]
    assert set(place) == {"type", "loc", "msg"}
    assert place["loc"][0] == "body"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"message": ""}, "message"),
        ({"message": "x" * 10_001}, "message"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"session_id": "s" * 129}, "session_id"),
        ({"session_id": ""}, "session_id"),
        ({"model_type": "plugin"}, "model_type"),
        ({"preferred_model": "nobody"}, "preferred_model"),
    ],
)
async def test_what_cannot_be_granted_is_a_block_with_400(assistant: Door, values: dict[str, Any], named: str):
    answer = await ask(assistant, **{"message": "x", **values})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    (block,) = blocks(answer)
    assert block["content"] == ""
    assert block["error"].startswith(named)


async def test_null_means_the_default_and_zero_is_zero(assistant: Door):
    await ask(assistant, say("x", key="zero"), temperature=0, max_tokens=None)
    (seen,) = assistant.server.calls("zero") or [one for one in assistant.server.requests if "key=zero" in json.dumps(one.body)]
    assert (seen.body["temperature"], seen.body["max_tokens"]) == (0, 1024)


@pytest.mark.parametrize("authorization", ["", "Basic abc", "Bearer", "Bearer no:key"])
async def test_nobody_comes_in_without_a_key(assistant: Door, authorization: str):
    async with httpx.AsyncClient(base_url=assistant.house.http.base_url, trust_env=False) as nobody:
        headers = {"Authorization": authorization} if authorization else {}
        for path in (STREAM, WHOLE):
            answer = await nobody.post(path, json={"message": "x"}, headers=headers)
            assert (answer.status_code, list(answer.json())) == (401, ["detail"])
        assert (await nobody.get("/api/v1/models", headers=headers)).status_code == 401


async def test_what_cannot_be_done_now_is_a_block_with_503(assistant: Door, monkeypatch: pytest.MonkeyPatch):
    bare = assistant.house.world.settings.model_copy(update={"local_base_url": ""})
    monkeypatch.setattr("services.api.routes.assistant.offer", lambda _: offer(bare))
    answer = await ask(assistant, "hello", model_type="local_small")
    assert answer.status_code == 503
    assert blocks(answer) == [{"error": "model_type: no local_small model is set up here", "content": ""}]


async def test_models_are_listed_by_class(assistant: Door):
    assert (await assistant.house.http.get("/api/v1/models")).json() == {"local_models": [LOCAL], "cloud_models": [MODEL]}


def test_a_demo_without_any_model_offers_the_script_and_nobody_else_does():
    nothing = {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": ""}
    assert offer(Settings(**nothing, demo=True)).local == ("offline-demo",)
    assert offer(Settings(**nothing)) == offer(Settings(**nothing, demo=False))
    assert offer(Settings(OPENAI_BASE_URL="", OPENAI_API_KEY="k", OPENAI_MODEL="m", demo=True)).local == ()


async def test_vanished_readers_leave_nothing_behind(assistant: Door):
    body = {"message": say("a b c", hold=1, key="gone"), "model_type": "cloud_large"}
    assistant.server.release("gone")
    runs: list[str] = []
    for _ in range(3):
        async with assistant.house.http.stream("POST", STREAM, json=body) as answer:
            runs.append(answer.headers["x-event-id"])
    assistant.server.release("gone", 10)
    async with asyncio.timeout(20):
        for run in runs:
            answer = await assistant.house.http.get(f"/v1/runs/{run}/events", params={"frames": "assistant"})
            assert answer.text.endswith("data: [DONE]\n\n")


# the dialect by itself


def test_a_run_of_another_surface_has_blocks_too():
    fold = Blocks()
    found = [block for event in linear("open") for block in fold.feed(event)]
    assert content(found) == "msg=Hi bob;end=Hi bob"
    assert found[-1]["finished"] is True
    assert {block["model_used"] for block in found} == {"auto_select"}
