"""The wiki's doors (004) over HTTP and the socket: samples, raw text, refusals, resuming at a byte. The model is scripted."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from services.api.dialects.deepwiki import Raw
from tests.services.api.conftest import bearer
from tests.services.api.stories import failing
from tests.support.fixtures.doors import MODEL, Door, door
from tests.support.git_server import TOKEN, GitServer
from tests.support.model_server import ModelServer, model

HTTP, PROXY, SOCKET = "/chat/completions/stream", "/api/chat/stream", "/ws/chat"
PATHS = [HTTP, PROXY]


@pytest.fixture(scope="module")
async def wiki(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[Door]:
    with ModelServer() as server:
        async with door(tmp_path_factory.mktemp("wiki"), server) as opened:
            yield opened


@pytest.fixture(scope="module")
async def nobody(wiki: Door) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key, as the document's are."""
    async with httpx.AsyncClient(base_url=wiki.house.http.base_url, trust_env=False, timeout=20) as client:
        yield client


def question(wiki: Door, text: Any = "What is this?", name: str = "say", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}] if isinstance(text, str) else text
    return {
        "repo_url": wiki.repository,
        "type": "local",
        "messages": messages,
        "provider": "openai",
        "model": name,
        "language": "en",
        **more,
    }


def say(text: str, **more: object) -> str:
    return model("say", text=text, **more)


def prompt(answer: httpx.Response) -> str:
    """All that the echoing model was sent."""
    assert answer.status_code == 200, answer.text
    return "\n".join(one["content"] for one in json.loads(answer.text))


async def talk(wiki: Door, *frames: str | bytes, headers: dict[str, str] | None = None) -> tuple[list[str | bytes], int | None, str | None]:
    """What came over the socket, and how it was closed."""
    url = str(wiki.house.http.base_url).replace("http", "ws", 1) + SOCKET
    got: list[str | bytes] = []
    async with connect(url, proxy=None, additional_headers=headers or {}) as socket:
        try:
            for frame in frames:
                await socket.send(frame)
            async with asyncio.timeout(20):
                while True:
                    got.append(await socket.recv())
        except ConnectionClosed:
            pass
        return got, socket.close_code, socket.close_reason


# the document's samples


@pytest.mark.parametrize("path", PATHS)
async def test_the_fetch_loop_of_the_document_works(wiki: Door, nobody: httpx.AsyncClient, path: str):
    body = {
        "repo_url": wiki.repository,
        "messages": [{"role": "user", "content": "请分析这个项目的架构设计"}],
        "provider": "google",
        "model": "gemini-2.5-flash",
        "language": "zh",
        "type": "github",
    }
    shown = ""
    async with nobody.stream("POST", path, json=body, headers={"Content-Type": "application/json"}) as response:
        assert response.is_success
        async for chunk in response.aiter_text():
            shown += chunk
    assert shown == "This is what the scripted model says."


async def test_the_socket_sample_works(wiki: Door):
    got, code, reason = await talk(wiki, json.dumps(question(wiki, name=say("Hello wörld again"))))
    assert ("".join(map(str, got)), code, reason) == ("Hello wörld again", 1000, "")
    assert len(got) == 3


# raw text


@pytest.mark.parametrize("path", PATHS)
async def test_the_body_is_the_models_text_and_nothing_else(wiki: Door, nobody: httpx.AsyncClient, path: str):
    text = "data: x\n\ndata: [DONE]\n\n  wörld 你好"
    answer = await nobody.post(path, json=question(wiki, name=say(text), custom_model="x"))
    assert (answer.status_code, answer.text) == (200, text)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["x-event-id"]
    assert ("no-transform" in answer.headers["cache-control"]) is (path == PROXY)


async def test_nothing_fills_the_silence_of_raw_text(wiki: Door, nobody: httpx.AsyncClient):
    body = question(wiki, name=say("a b", hold=1, key="silent"))
    wiki.server.release("silent")
    async with nobody.stream("POST", HTTP, json=body) as answer:
        events = wiki.house.http.stream("GET", f"/v1/runs/{answer.headers['x-event-id']}/events", params={"frames": "deepwiki"})
        async with events as watched:
            alive = 0
            async for line in watched.aiter_lines():
                alive += line == ": alive"
                if alive == 3:
                    break
        wiki.server.release("silent")
        assert await answer.aread() == b"a b"


async def test_a_prompt_has_question_passages_and_history(wiki: Door, nobody: httpx.AsyncClient):
    turns = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "reply"},
        {"role": "user", "content": "Which secret word?"},
    ]
    text = prompt(await nobody.post(HTTP, json=question(wiki, turns, "echo")))
    for part in ("Which secret word?", "zanzibar", "## File Path: README.md", "first", "reply"):
        assert part in text


async def test_filters_a_file_and_a_long_question_shape_the_prompt(wiki: Door, nobody: httpx.AsyncClient):
    only = prompt(await nobody.post(HTTP, json=question(wiki, "x", "echo", included_dirs="src")))
    assert ("brew.py" in only, "zanzibar" in only) == (True, False)
    file = prompt(await nobody.post(HTTP, json=question(wiki, "x", "echo", filePath="README.md", included_dirs="src")))
    assert '<currentFileContent path="README.md">' in file
    assert "zanzibar" in file
    assert "zanzibar" not in prompt(await nobody.post(HTTP, json=question(wiki, "word " * 8_000 + "zanzi", "echo")))


@pytest.mark.parametrize(("rounds", "heading"), [(0, "## Research Plan"), (2, "## Research Update 3"), (4, "## Final Conclusion")])
async def test_a_research_asks_for_the_heading_of_its_round(wiki: Door, nobody: httpx.AsyncClient, rounds: int, heading: str):
    turns = [{"role": "user", "content": "[DEEP RESEARCH] How is tea brewed?"}]
    for number in range(rounds):
        turns += [{"role": "assistant", "content": f"r{number}"}, {"role": "user", "content": "[DEEP RESEARCH] Continue the research"}]
    text = prompt(await nobody.post(HTTP, json=question(wiki, turns, "echo")))
    assert heading in text
    assert "<query>\nHow is tea brewed?\n</query>" in text


async def test_a_failure_after_the_first_word_is_text(wiki: Door, nobody: httpx.AsyncClient):
    answer = await nobody.post(HTTP, json=question(wiki, name=say("one two", then="error")))
    assert answer.status_code == 200
    assert answer.text.startswith("one two\nError with Openai API: ")
    assert "OPENAI_API_KEY" in answer.text
    google = await nobody.post(HTTP, json=question(wiki, name=say("one two", then="error"), provider="google"))
    assert google.text.startswith("one two\nError: ")
    got, code, _ = await talk(wiki, json.dumps(question(wiki, name=model("status", code=400))))
    assert ("".join(map(str, got)).startswith("\nError with Openai API: "), code) == (True, 1000)


async def test_without_a_model_the_providers_own_is_asked(wiki: Door, nobody: httpx.AsyncClient):
    assert (await nobody.post(HTTP, json={**question(wiki), "model": None})).status_code == 200
    assert wiki.server.requests[-1].body["model"] == MODEL


# resuming


async def test_a_raw_stream_is_resumed_at_a_byte_live_and_finished(wiki: Door, nobody: httpx.AsyncClient):
    text = "wörld 你好 and more"
    body = question(wiki, name=say(text, hold=1, key="resumed"))
    wiki.server.release("resumed")
    async with nobody.stream("POST", HTTP, json=body) as answer:
        run = answer.headers["x-event-id"]
        first = await anext(answer.aiter_bytes())
        while not first:
            first = await anext(answer.aiter_bytes())
    path = f"/v1/runs/{run}/text"
    async with wiki.house.http.stream("GET", path, params={"from": len(first)}) as again:
        assert again.headers["content-type"] == "text/plain; charset=utf-8"
        wiki.server.release("resumed", 10)
        rest = await again.aread()
    assert (first + rest).decode() == text
    whole = text.encode()
    for begin in (0, 2, 3, 9, len(whole)):
        assert (await wiki.house.http.get(path, params={"from": begin})).content == whole[begin:]
    beyond = await wiki.house.http.get(path, params={"from": len(whole) + 1})
    assert (beyond.status_code, beyond.json()) == (400, {"detail": f"from: the text has {len(whole)} bytes so far"})
    assert (await wiki.house.http.get(path, params={"from": -1})).status_code == 422
    assert (await wiki.house.http.get(path, params={"from": 0}, headers=bearer("other"))).status_code == 404
    assert (await nobody.get(path, params={"from": 0})).status_code == 401


async def test_a_failures_text_is_part_of_what_is_resumed(wiki: Door, nobody: httpx.AsyncClient):
    answer = await nobody.post(HTTP, json=question(wiki, name=say("one two", then="error")))
    path = f"/v1/runs/{answer.headers['x-event-id']}/text"
    assert (await wiki.house.http.get(path, params={"from": 4})).content == answer.content[4:]


@pytest.mark.parametrize("wish", [{"params": {"format": "sse"}}, {"headers": {"X-Stream-Format": "sse"}}])
async def test_events_with_ids_are_sent_on_request_and_taken_up_by_them(wiki: Door, nobody: httpx.AsyncClient, wish: dict[str, Any]):
    answer = await nobody.post(PROXY, json=question(wiki, name=say("one two\nthree")), **wish)
    blocks = [one for one in answer.text.split("\n\n") if one and not one.startswith(":")]  # signs of life may come between
    records = [dict(line.split(": ", 1) for line in one.split("\n")) for one in blocks]
    assert [int(one["id"]) for one in records] == sorted({int(one["id"]) for one in records})
    data = [json.loads(one["data"]) for one in records]
    assert "".join(one["content"] for one in data) == "one two\nthree"
    assert data[-1]["finished"] is True
    run = answer.headers["x-event-id"]
    headers = {"Last-Event-ID": records[0]["id"]}
    again = await wiki.house.http.get(f"/v1/runs/{run}/events", params={"frames": "deepwiki"}, headers=headers)
    assert again.text == "".join(one + "\n\n" for one in blocks[1:])


# the record


async def test_the_look_up_is_on_the_record_and_the_run_in_other_frames(wiki: Door, nobody: httpx.AsyncClient):
    answer = await nobody.post(HTTP, json=question(wiki, "Which secret word?", name=say("seen by all")))
    run = answer.headers["x-event-id"]
    listed = await wiki.house.http.get(f"/v1/runs/{run}/events", params={"follow": "false"}, headers={"Accept": "application/json"})
    events = listed.json()["events"]
    (found,) = [one["data"] for one in events if one["type"] == "context.retrieved"]
    assert found["source"] == wiki.repository
    assert {one["path"] for one in found["passages"]} == {"README.md", "src/brew.py"}
    assert "zanzibar" not in json.dumps(found)
    started = [one["data"]["kind"] for one in events if one["type"] == "node.started"]
    assert started == ["node-start", "wiki-retrieve", "wiki-prompt", "chat-model", "node-end"]
    for frames in ("astron", "openai", "agent", "assistant"):
        other = await wiki.house.http.get(f"/v1/runs/{run}/events", params={"frames": frames, "follow": "false"})
        assert all(word in other.text for word in ("seen ", "by ", "all")), frames
    audit = (await wiki.house.http.get("/v1/audit/events", params={"event_id": run})).json()["events"]
    assert {"run.started", "context.retrieved", "model.called", "run.completed"} <= {one["type"] for one in audit}
    assert (await wiki.house.http.get(f"/v1/runs/{run}")).json()["surface"] == "deepwiki"


async def test_a_token_is_never_on_the_record(wiki: Door, nobody: httpx.AsyncClient, tmp_path: Path):
    with GitServer(tmp_path) as forge:
        forge.commit("private/tea", {"README.md": "The secret word is pemba."})
        url = forge.url("private/tea")
        for given in ({"repo_url": url, "token": TOKEN}, {"repo_url": url.replace("://", f"://{TOKEN}@")}):
            answer = await nobody.post(HTTP, json=question(wiki, "secret word", "echo", type="github", **given))
            assert "pemba" in prompt(answer)
            path = f"/v1/runs/{answer.headers['x-event-id']}/events"
            events = await wiki.house.http.get(path, params={"follow": "false"}, headers={"Accept": "application/json"})
            assert TOKEN not in events.text + answer.text
        refused = await nobody.post(HTTP, json=question(wiki, repo_url=url))
    assert (refused.status_code, "Error preparing retriever: " in refused.json()["detail"]) == (500, True)


async def test_a_repeat_with_the_same_key_follows_the_first_run(wiki: Door, nobody: httpx.AsyncClient):
    body = question(wiki, name=say("once", key="wiki-once"))
    answers = [await nobody.post(HTTP, json=body, headers={"Idempotency-Key": "wiki-1"}) for _ in range(2)]
    assert answers[0].headers["x-event-id"] == answers[1].headers["x-event-id"]
    assert [one.text for one in answers] == ["once", "once"]
    assert len(wiki.server.calls("wiki-once")) == 1


# refusals

NOT_SET_UP = "Error preparing retriever: the provider dashscope is not set up here: set DASHSCOPE_API_KEY"
REFUSALS = [
    ({"messages": []}, 400, "No messages provided"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "Last message must be from the user"),
    ({"provider": "zzz"}, 500, "Error preparing retriever: Configuration for provider 'zzz' not found"),
    ({"provider": "dashscope"}, 500, NOT_SET_UP),
    ({"repo_url": "/"}, 500, "Error preparing retriever: repo_url: the folder is not below the folder that --wiki-root names"),
    ({"included_files": "nothing"}, 500, "No valid document embeddings found. This may be due to embedding size"),
]


@pytest.mark.parametrize(("change", "status", "detail"), REFUSALS)
async def test_refusals_have_the_documents_status_and_words(
    wiki: Door, nobody: httpx.AsyncClient, change: dict[str, Any], status: int, detail: str
):
    for path in PATHS:
        answer = await nobody.post(path, json=question(wiki, **change))
        assert answer.status_code == status
        assert answer.json()["detail"].startswith(detail)


@pytest.mark.parametrize(("change", "status", "detail"), REFUSALS)
async def test_refusals_on_the_socket_are_text_and_close_1000(wiki: Door, change: dict[str, Any], status: int, detail: str):
    (told,), code, reason = await talk(wiki, json.dumps(question(wiki, **change)))
    assert str(told).startswith(detail if detail.startswith("Error") else f"Error: {detail}")
    assert (code, reason) == (1000, "")


async def test_a_provider_of_another_protocol_is_named(wiki: Door, nobody: httpx.AsyncClient):
    answer = await nobody.post(HTTP, json=question(wiki, provider="bedrock"))
    assert (answer.status_code, "does not speak the OpenAI protocol" in answer.json()["detail"]) == (500, True)


@pytest.mark.parametrize(
    "change", [{"repo_url": 5}, {"messages": "x"}, {"messages": [{"role": "user"}]}, {"provider": None}, {"excluded_dirs": []}]
)
async def test_a_body_that_breaks_the_schema_is_422_with_its_places(wiki: Door, nobody: httpx.AsyncClient, change: dict[str, Any]):
    answer = await nobody.post(HTTP, json=question(wiki, **change))
    (place,) = answer.json()["detail"]
    assert (answer.status_code, place["loc"][1]) == (422, next(iter(change)))
    (told,), code, _ = await talk(wiki, json.dumps(question(wiki, **change)))
    assert (str(told).startswith("Error: "), next(iter(change)) in str(told), code) == (True, True, 1000)


async def test_json_that_cannot_be_read_is_told(wiki: Door, nobody: httpx.AsyncClient):
    answer = await nobody.post(PROXY, content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, set(answer.json())) == (422, {"detail", "error"})


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        ("hello", "Error: Expecting value: line 1 column 1 (char 0)"),
        ("{", "Error: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b"\xff", "Error: Expecting value: line 1 column 1 (char 0)"),
        ("[" * 30_000, "Error: the JSON is nested too deep"),
        ('"\\ud800"', "Error: "),
        ("[]", "Error: "),
    ],
)
async def test_a_frame_that_is_no_question_is_told_and_the_socket_closed(wiki: Door, frame: str | bytes, told: str):
    (said,), code, _ = await talk(wiki, frame)
    assert str(said).startswith(told)
    assert code == 1000


async def test_further_frames_are_ignored(wiki: Door):
    frame = json.dumps(question(wiki, name=say("only one")))
    got, code, _ = await talk(wiki, frame, frame, "x")
    assert ("".join(map(str, got)), code) == ("only one", 1000)


async def test_whose_app_is_disabled_before_the_question_came_gets_no_answer(wiki: Door):
    url = str(wiki.house.http.base_url).replace("http", "ws", 1) + SOCKET
    async with connect(url, proxy=None, additional_headers=bearer("other")) as socket:
        assert (await wiki.house.http.patch("/v1/apps/other", json={"enabled": False})).status_code == 200
        await socket.send(json.dumps(question(wiki)))
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert socket.close_code == 4401
    assert (await wiki.house.http.patch("/v1/apps/other", json={"enabled": True})).status_code == 200


async def test_a_client_that_leaves_the_socket_leaves_nothing_behind(wiki: Door):
    url = str(wiki.house.http.base_url).replace("http", "ws", 1) + SOCKET
    wiki.server.release("left")
    async with connect(url, proxy=None) as socket:
        await socket.send(json.dumps(question(wiki, name=say("a b", hold=1, key="left"))))
        assert await socket.recv() == "a "
    wiki.server.release("left")
    async with asyncio.timeout(20):
        while await newest_text(wiki) != "a b" or wiki.house.api.world.metrics.open_streams.labels("deepwiki")._value.get():
            pass


async def newest_text(wiki: Door) -> str:
    """The whole text of the run that was started last; each look goes through the service."""
    run = (await wiki.house.http.get("/v1/runs", params={"limit": 1})).json()["runs"][0]["event_id"]
    return (await wiki.house.http.get(f"/v1/runs/{run}/text", params={"from": 0})).text


# who comes in


async def test_nobody_comes_in_where_no_app_is_named(wiki: Door, nobody: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch):
    shut = wiki.house.world.settings.model_copy(update={"anonymous_app": ""})
    monkeypatch.setattr(wiki.house.api.identity, "_world", type("W", (), {"settings": shut, "database": wiki.house.world.database}))
    answer = await nobody.post(HTTP, json=question(wiki))
    assert (answer.status_code, list(answer.json())) == (401, ["detail"])
    assert (await talk(wiki, json.dumps(question(wiki))))[1] == 4401
    assert (await wiki.house.http.post(HTTP, json=question(wiki))).status_code == 200


async def test_a_wrong_key_and_a_proxy_are_not_on_this_machine(wiki: Door, nobody: httpx.AsyncClient):
    for headers in (bearer("no"), {"X-Forwarded-For": "203.0.113.9"}, {"Forwarded": "for=203.0.113.9"}):
        assert (await nobody.post(HTTP, json=question(wiki), headers=headers)).status_code == 401
        assert (await talk(wiki, "x", headers=headers))[1] == 4401


async def test_the_app_of_a_key_owns_the_run(wiki: Door):
    answer = await wiki.house.http.post(HTTP, json=question(wiki), headers=bearer("other"))
    path = f"/v1/runs/{answer.headers['x-event-id']}"
    assert (await wiki.house.http.get(path)).status_code == 404
    assert (await wiki.house.http.get(path, headers=bearer("other"))).status_code == 200


# around it


async def test_options_languages_and_models(wiki: Door, nobody: httpx.AsyncClient):
    options = await nobody.options(PROXY)
    assert (options.status_code, options.headers["access-control-allow-methods"]) == (204, "POST, OPTIONS")
    origin = {"Origin": "http://page.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-stream-format"}
    assert (await nobody.options(PROXY, headers=origin)).status_code == 200
    languages = (await nobody.get("/lang/config")).json()
    assert (languages["default"], len(languages["supported_languages"])) == ("en", 10)
    models = (await nobody.get("/models/config")).json()
    assert models["defaultProvider"] == "google"
    assert [one["id"] for one in models["providers"]] == ["google", "openai", "openrouter", "ollama", "azure", "dashscope", "bedrock"]


def test_a_run_of_another_surface_has_raw_text_without_a_failures_words():
    fold = Raw()
    assert "".join(fold.feed(event) for event in failing("open")) == "Gr"
