"""Chats over HTTP: streams, single answers, re-attaching, repeats. The whole line runs; the model is scripted."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.services.api.conftest import House, W, bearer
from tests.support.flows import at, end, flow, joiner, llm, message, start
from tests.support.model_server import ModelServer, model


def standard() -> dict[str, Any]:
    return flow(
        start(required=("AGENT_USER_INPUT",), AGENT_USER_INPUT="string"),
        joiner("join", "Hi {{who}}", who=at("start.AGENT_USER_INPUT")),
        message("say", "msg={{m}};", m=at("join.output")),
        end("end={{output}}", output=at("join.output")),
        edges="start > join > say > end",
    )


def scripted(server: ModelServer, **script: Any) -> dict[str, Any]:
    name = model("say", **script)
    account = {"model": name, "domain": name, "url": server.url, "apiKey": "any-key"}
    return flow(
        start(AGENT_USER_INPUT="string"),
        llm("ask", "{{q}}", param=account, q=at("start.AGENT_USER_INPUT")),
        end("{{out}}", out=at("ask.output")),
        edges="start > ask > end",
    )


async def frames(answer: Any, until: int | None = None) -> list[dict[str, Any]]:
    """The frames of an answer, or of its lines, without pings; all or the first few."""
    found: list[dict[str, Any]] = []
    lines = answer.aiter_lines() if isinstance(answer, httpx.Response) else answer
    async for line in lines:
        if not line:
            continue
        assert line.startswith("data: "), line
        frame = json.loads(line[6:])
        if frame["choices"][0].get("finish_reason") != "ping":
            found.append(frame)
            if until is not None and len(found) >= until:
                break
    return found


def content(found: list[dict[str, Any]]) -> list[str]:
    return [frame["choices"][0]["delta"]["content"] for frame in found]


@pytest.fixture(scope="module")
async def linear(house: House) -> str:
    return await house.deploy(standard())


async def test_an_open_stream_has_its_headers_and_six_frames(house: House, linear: str):
    async with house.chat(linear) as answer:
        said = await frames(answer)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["x-event-id"].isdigit()
    assert content(said) == ["msg=", "Hi bob", ";", "end=", "Hi bob", ""]
    assert [frame["workflow_step"]["seq"] for frame in said] == [1, 2, 3, 4, 5, 6]


async def test_a_debug_stream_has_fourteen_frames(house: House, linear: str):
    async with house.chat(linear, debug=True) as answer:
        said = await frames(answer)
    nodes = [frame["workflow_step"].get("node", {}).get("id", "").split(":")[0] for frame in said]
    assert nodes == ["flow_obj", *["node-start"] * 2, *["text-joiner"] * 2, *["message"] * 4, *["node-end"] * 4, "flow_obj"]


@pytest.mark.parametrize("debug", [False, True])
async def test_one_answer_has_all_text(house: House, linear: str, debug: bool):
    async with house.chat(linear, debug=debug, stream=False) as answer:
        said = json.loads(await answer.aread())
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-event-id"].isdigit()
    assert said["choices"][0]["delta"]["content"] == "msg=Hi bob;end=Hi bob"
    assert said["choices"][0]["finish_reason"] == "stop"
    assert ("workflow_step" in said) == debug


async def test_tokens_are_sent_as_the_model_writes_them(house: House, model_server: ModelServer):
    held = await house.deploy(scripted(model_server, text="one two three", hold=1, key="as-they-come"))
    async with house.chat(held) as answer:
        lines = answer.aiter_lines()
        for expected in ("one ", "two ", "three"):
            model_server.release("as-they-come")
            async for line in lines:
                if expected in line:
                    break


async def test_a_silent_run_sends_pings_as_frames(house: House, model_server: ModelServer):
    held = await house.deploy(scripted(model_server, text="late", hold=1, key="silent"))
    async with house.chat(held) as answer:
        lines = answer.aiter_lines()
        async for line in lines:
            if '"ping"' in line:
                ping = json.loads(line[6:])
                break
        model_server.release("silent")
        rest = await frames(lines)
    assert (ping["code"], ping["choices"][0]["delta"]["content"]) == (0, "")
    assert content(rest) == ["late", ""]


async def test_a_lost_stream_is_picked_up_after_its_last_seq_while_the_run_goes_on(house: House, model_server: ModelServer):
    held = await house.deploy(scripted(model_server, text="one two three four", hold=1, key="lost"))
    model_server.release("lost", 2)
    async with house.chat(held) as answer:
        part = await frames(answer, until=2)
        run = answer.headers["x-event-id"]
    async with house.http.stream("GET", f"{W}/chat/completions/{run}", params={"after_seq": 2}) as answer:
        model_server.release("lost", 2)
        rest = await frames(answer)
    assert content([*part, *rest]) == ["one ", "two ", "three ", "four", ""]
    assert [frame["workflow_step"]["seq"] for frame in rest] == [3, 4, 5]


@pytest.mark.parametrize("debug", [False, True])
async def test_a_finished_stream_can_be_read_again_byte_for_byte(house: House, linear: str, debug: bool):
    async with house.chat(linear, debug=debug) as answer:
        live = await answer.aread()
        run = answer.headers["x-event-id"]
    again = await house.http.get(f"{W}/chat/completions/{run}")
    assert again.content == live


@pytest.mark.parametrize("door", ["resume", "debug/resume"])
async def test_resume_with_the_last_seq_gives_the_rest_and_ids_on_request(house: House, linear: str, door: str):
    async with house.chat(linear) as answer:
        await answer.aread()
        run = answer.headers["x-event-id"]
    body = {"event_id": run, "content": "", "event_type": "resume"}
    rest = await house.http.post(f"{W}/{door}", json=body, headers={"Last-Event-ID": "4", "X-Stream-Ids": "1"})
    assert [line for line in rest.text.splitlines() if line.startswith("id:")] == ["id: 1.5", "id: 1.6"]
    by_leg = await house.http.post(f"{W}/{door}", json=body, headers={"Last-Event-ID": "1.5"})
    assert by_leg.text.count("data: ") == 1


async def test_resume_of_a_run_that_asks_nothing_is_23900(house: House, linear: str):
    async with house.chat(linear) as answer:
        await answer.aread()
    for event in (answer.headers["x-event-id"], "7529724272403132416", "no-number", "9" * 30):
        said = (await house.http.post(f"{W}/resume", json={"event_id": event, "content": "x"})).json()
        assert (said["code"], said["event_data"]) == (23900, None)


async def test_another_app_cannot_read_the_stream(house: House, linear: str):
    async with house.chat(linear) as answer:
        await answer.aread()
    run = answer.headers["x-event-id"]
    said = (await house.http.get(f"{W}/chat/completions/{run}", headers=bearer("other"))).json()
    assert said["code"] == 20005


async def test_a_cursor_that_is_no_number_is_460(house: House, linear: str):
    said = (await house.http.post(f"{W}/resume", json={"event_id": "1", "content": ""}, headers={"Last-Event-ID": "abc"})).json()
    assert said["code"] == 460
    assert "Last-Event-ID" in said["message"]


async def test_a_repeated_start_follows_the_first_run(house: House, linear: str):
    answers = set()
    for _ in range(6):
        async with house.chat(linear, headers={"Idempotency-Key": "k-1"}) as answer:
            answers.add(await answer.aread())
            run = answer.headers["x-event-id"]
    assert len(answers) == 1
    assert (await house.http.get(f"/v1/runs/{run}")).status_code == 200
    listed = (await house.http.get("/v1/runs", params={"flow": linear})).json()["runs"]
    assert [one["event_id"] for one in listed].count(run) == 1


async def test_a_client_that_leaves_stops_nothing(house: House, model_server: ModelServer):
    held = await house.deploy(scripted(model_server, text="one two", hold=1, key="leaves"))
    model_server.release("leaves")
    async with house.chat(held) as answer:
        await frames(answer, until=1)
        run = answer.headers["x-event-id"]
    model_server.release("leaves")
    whole = await house.http.get(f"{W}/chat/completions/{run}")
    assert '"content":"two"' in whole.text
    assert '"finish_reason":"stop"' in whole.text


async def test_a_cancelled_run_ends_its_stream_and_the_call_of_the_model(house: House, model_server: ModelServer):
    held = await house.deploy(scripted(model_server, text="one two", hold=1, key="cancelled"))
    model_server.release("cancelled")
    async with house.chat(held) as answer:
        lines = answer.aiter_lines()
        await frames(lines, until=1)
        run = answer.headers["x-event-id"]
        said = (await house.http.post(f"/v1/runs/{run}/cancel")).json()
        (last,) = await frames(lines)
    assert said["status"] == "cancelled"
    assert (last["code"], last["choices"][0]["finish_reason"]) == (22301, "stop")
    await asyncio.to_thread(model_server.wait_aborted, "cancelled")
    again = await house.http.post(f"/v1/runs/{run}/cancel")
    assert again.status_code == 409


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"flow_id": "abc"}, 20805),
        ({"flow_id": ""}, 20805),
        ({"flow_id": "７"}, 20805),
        ({"flow_id": "1234567"}, 20201),
        ({"flow_id": "9" * 400}, 20201),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_what_cannot_begin_is_json_with_nulls(house: House, body: dict[str, Any], code: int, stream: bool):
    answer = await house.http.post(f"{W}/chat/completions", json={"parameters": {}, "stream": stream, **body})
    said = answer.json()
    assert (answer.status_code, said["code"], said["workflow_step"]) == (200, code, {"node": None, "seq": 0, "progress": 1.0})
    assert said["symbol"]


async def test_licence_release_and_ownership_are_looked_at_on_each_start(house: House):
    flow_id = await house.add(standard())

    async def code(debug: bool = False, **more: Any) -> int:
        async with house.chat(flow_id, debug=debug, stream=False, **more) as answer:
            return json.loads(await answer.aread())["code"]

    assert await code() == 20004
    assert await code(debug=True) == 0
    assert await code(debug=True, headers=bearer("other")) == 20201
    await house.good(f"{W}/protocol/update/{flow_id}", {"status": 1, "app_id": "demo"})
    assert await code() == 20204
    await house.good("/v1/publish", {"flow_id": flow_id, "release_status": 1, "plat": 1})
    assert await code() == 0
    assert await code(version="v9") == 20204
    assert await code(headers=bearer("other")) == 20004
    await house.good("/v1/publish", {"flow_id": flow_id, "release_status": 3, "plat": 1})
    assert await code() == 20204


async def test_a_flow_without_content_cannot_be_debugged(house: House):
    flow_id = await house.good(f"{W}/protocol/add", {"name": "empty", "app_id": "demo"})
    async with house.chat(flow_id["flow_id"], debug=True) as answer:
        said = json.loads(await answer.aread())
    assert said["code"] == 20100


async def test_a_failing_model_is_told_at_once(house: House, model_server: ModelServer):
    name = model("status", code=500)
    document = scripted(model_server)
    document["data"]["nodes"][1]["data"]["nodeParam"].update(model=name, domain=name)
    flow_id = await house.deploy(document)
    async with house.chat(flow_id) as answer:
        (last,) = await frames(answer)
    assert (last["code"], last["workflow_step"]["progress"], last["choices"][0]["finish_reason"]) == (20380, 1.0, "stop")
    assert last["symbol"] == "OPEN_AI_REQUEST_ERROR"
