"""Runs on the record, over HTTP: lists, one run, its events in every dialect, text, history, audit."""

import json
from typing import Any

import pytest

from tests.services.api.conftest import House, W, bearer
from tests.services.api.test_chat import scripted, standard
from tests.support.model_server import ModelServer


class Ran:
    """A finished run of the standard flow in a chat of its own."""

    def __init__(self, flow: str, event_id: str, raw: bytes) -> None:
        self.flow = flow
        self.event_id = event_id
        self.raw = raw
        self.path = f"/v1/runs/{event_id}"


@pytest.fixture(scope="module")
async def ran(house: House) -> Ran:
    flow = await house.deploy(standard())
    async with house.chat(flow, "bob", chat_id="chat 1/a", uid="u-7") as answer:
        raw = await answer.aread()
    event_id = answer.headers["x-event-id"]
    await house.http.get(f"/v1/runs/{event_id}", params={"min_position": await last_position(house, event_id)})
    return Ran(flow, event_id, raw)


async def last_position(house: House, event_id: str) -> int:
    said = await house.http.get(f"/v1/runs/{event_id}/text")
    return int(said.json()["position"])


def records(text: str) -> list[dict[str, str]]:
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n") if block]


async def events(house: House, run: Ran, **params: Any) -> list[dict[str, Any]]:
    answer = await house.http.get(f"{run.path}/events", params=params, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()["events"]


async def test_a_run_says_how_it_ended_and_what_its_nodes_did(house: House, ran: Ran):
    said = (await house.http.get(ran.path)).json()
    assert (said["event_id"], said["flow_id"], said["status"], said["uid"]) == (ran.event_id, ran.flow, "completed", "u-7")
    assert said["finished"] >= said["started"] > 0
    assert [node["kind"] for node in said["nodes"]] == ["node-start", "text-joiner", "message", "node-end"]
    assert said["nodes"][1]["outputs"] == {"output": "Hi bob"}
    assert said["waits"] == []


async def test_runs_are_listed_by_filter_and_page(house: House, ran: Ran):
    for wanted in ({"flow": ran.flow}, {"chat": "chat 1/a"}, {"uid": "u-7"}):
        listed = (await house.http.get("/v1/runs", params=wanted)).json()
        assert ran.event_id in [one["event_id"] for one in listed["runs"]]
    assert (await house.http.get("/v1/runs", params={"flow": ran.flow, "status": "failed"})).json()["runs"] == []
    for _ in range(2):
        async with house.chat(ran.flow) as answer:
            await answer.aread()
        await house.http.get(f"/v1/runs/{answer.headers['x-event-id']}")
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await house.http.get("/v1/runs", params={"flow": ran.flow, "limit": 1, "cursor": cursor})).json()
        found += [one["event_id"] for one in page["runs"]]
        cursor = page["cursor"]
    assert len(found) == len(set(found)) == 3


@pytest.mark.parametrize(
    ("path", "rows"), [("/v1/runs", "runs"), ("/v1/audit/events", "events"), ("/v1/chats/own%20writes/messages", "messages")]
)
async def test_a_list_shows_what_one_has_just_written_where_it_is_asked_to_wait_for_it(house: House, path: str, rows: str):
    async with house.chat(await house.deploy(standard()), "bob", chat_id="own writes") as answer:
        await answer.aread()
    event_id = answer.headers["x-event-id"]
    last = await last_position(house, event_id)
    listed = await house.http.get(path, params={"min_position": f"{event_id}:{last}", "limit": 200})
    found = [one for one in listed.json()[rows] if event_id in {one.get("event_id"), one.get("run")}]
    assert found
    assert found[0].get("type", "run.completed") == "run.completed"
    assert found[-1].get("status", "completed") == "completed"


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/audit/events", "/v1/chats/c/messages"])
async def test_a_list_waits_only_for_positions_of_ones_own_runs(house: House, ran: Ran, path: str):
    for wrong, status in (("7", 400), ("x:1", 400), (f"{ran.event_id}:99999", 400), ("7529724272403132416:1", 404)):
        assert (await house.http.get(path, params={"min_position": wrong})).status_code in {status, 422 if status == 400 else status}, wrong
    assert (await house.http.get(path, params={"min_position": f"{ran.event_id}:1"}, headers=bearer("other"))).status_code == 404


async def test_events_have_positions_without_gaps_as_sse_ids(house: House, ran: Ran):
    answer = await house.http.get(f"{ran.path}/events")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    said = records(answer.text)
    assert [int(one["id"]) for one in said] == list(range(1, len(said) + 1))
    assert (said[0]["event"], said[-1]["event"]) == ("run.started", "run.completed")
    assert json.loads(said[0]["data"])["data"]["parameters"]["words"] == {"AGENT_USER_INPUT": "bob"}


async def test_events_go_on_after_a_cursor_however_it_is_given(house: House, ran: Ran):
    whole = await events(house, ran)
    assert await events(house, ran, after=4) == whole[4:]
    resumed = await house.http.get(f"{ran.path}/events", headers={"Last-Event-ID": "4"})
    assert [int(one["id"]) for one in records(resumed.text)] == [one["position"] for one in whole[4:]]
    assert (await house.http.get(f"{ran.path}/events", params={"after": len(whole)})).text == ""


@pytest.mark.parametrize(
    ("headers", "params", "status"),
    [
        ({"Last-Event-ID": "x"}, {}, 400),
        ({"Last-Event-ID": "3"}, {"after": "4"}, 400),
        ({}, {"after": "99999"}, 400),
        ({}, {"after": "99999", "frames": "astron"}, 400),
        ({}, {"after": "-1"}, 422),
        ({}, {"after": "1.5"}, 422),
        ({}, {"frames": "words"}, 422),
        ({}, {"follow": "perhaps"}, 422),
        ({}, {"min_position": "99999"}, 400),
    ],
)
async def test_a_wrong_cursor_or_wish_is_refused(house: House, ran: Ran, headers: dict[str, str], params: dict[str, str], status: int):
    answer = await house.http.get(f"{ran.path}/events", params=params, headers=headers)
    assert answer.status_code == status
    assert isinstance(answer.json()["detail"], str)


async def test_astron_frames_of_a_run_are_those_the_client_saw(house: House, ran: Ran):
    answer = await house.http.get(f"{ran.path}/events", params={"frames": "astron"})
    without_ids = "\n".join(line for line in answer.text.split("\n") if not line.startswith("id: "))
    assert without_ids.encode() == ran.raw
    ids = [int(one["id"]) for one in records(answer.text)]
    later = await house.http.get(f"{ran.path}/events", params={"frames": "astron", "after": ids[2]})
    assert records(later.text) == records(answer.text)[3:]


async def test_openai_chunks_of_a_run_carry_its_text_and_end_with_done(house: House, ran: Ran):
    answer = await house.http.get(f"{ran.path}/events", params={"frames": "openai"})
    *chunks, done = [one["data"] for one in records(answer.text)]
    said = [json.loads(chunk)["choices"][0] for chunk in chunks]
    assert done == "[DONE]"
    assert "".join(choice["delta"].get("content", "") for choice in said) == "msg=Hi bob;end=Hi bob"
    assert said[-1]["finish_reason"] == "stop"


@pytest.mark.parametrize("frames", ["astron", "openai"])
async def test_frames_can_be_had_as_json(house: House, ran: Ran, frames: str):
    answer = await house.http.get(f"{ran.path}/events", params={"frames": frames}, headers={"Accept": "application/json"})
    assert len(answer.json()["frames"]) >= 6


async def test_what_is_there_is_given_without_waiting_for_the_end(house: House, model_server: ModelServer):
    held = await house.deploy(scripted(model_server, text="one two", hold=1, key="present"))
    async with house.chat(held) as answer:
        run = answer.headers["x-event-id"]
        now = await house.http.get(f"/v1/runs/{run}/events", params={"follow": "false"})
        assert records(now.text)[0]["event"] == "run.started"
        as_json = (await house.http.get(f"/v1/runs/{run}/events", headers={"Accept": "application/json"})).json()
        assert as_json["ended"] is False
        text = (await house.http.get(f"/v1/runs/{run}/text")).json()
        assert (text["content"], text["ended"]) == ("", False)
        model_server.release("present", 2)
        await answer.aread()
    text = (await house.http.get(f"/v1/runs/{run}/text")).json()
    assert (text["content"], text["ended"]) == ("one two", True)


async def test_a_live_stream_of_events_follows_to_the_end_from_any_position(house: House, model_server: ModelServer):
    held = await house.deploy(scripted(model_server, text="one two", hold=1, key="follows"))
    async with house.chat(held) as answer:
        run = answer.headers["x-event-id"]
        async with house.http.stream("GET", f"/v1/runs/{run}/events", params={"after": 3}) as live:
            model_server.release("follows", 2)
            said = records((await live.aread()).decode().replace(": ping\n\n", ""))
        await answer.aread()
    assert [int(one["id"]) for one in said][:1] == [4]
    assert said[-1]["event"] == "run.completed"


@pytest.mark.parametrize("tail", ["", "/events", "/text"])
async def test_other_peoples_runs_and_unknown_ones_do_not_exist(house: House, ran: Ran, tail: str):
    assert (await house.http.get(ran.path + tail, headers=bearer("other"))).status_code == 404
    for unknown in ("7529724272403132416", "1", "abc", "9" * 30, "-1"):
        assert (await house.http.get(f"/v1/runs/{unknown}{tail}")).status_code == 404


async def test_other_peoples_runs_cannot_be_cancelled(house: House, ran: Ran):
    assert (await house.http.post(f"{ran.path}/cancel", headers=bearer("other"))).status_code == 404
    assert (await house.http.post("/v1/runs/7529724272403132416/cancel")).status_code == 404
    assert (await house.http.post(f"{ran.path}/cancel")).status_code == 409


async def test_a_chat_is_read_as_question_and_answer(house: House, ran: Ran):
    said = (await house.http.get("/v1/chats/chat%201%2Fa/messages")).json()["messages"]
    assert [(one["role"], one["content"]) for one in said] == [("user", "bob"), ("assistant", "msg=Hi bob;end=Hi bob")]
    assert {one["event_id"] for one in said} == {ran.event_id}
    assert (await house.http.get("/v1/chats/chat%201%2Fa/messages", headers=bearer("other"))).json()["messages"] == []


async def test_the_audit_trail_shows_the_run_and_is_only_ones_own(house: House, ran: Ran):
    async def audit(**params: Any) -> list[dict[str, Any]]:
        return (await house.http.get("/v1/audit/events", params=params)).json()["events"]

    types = [one["type"] for one in await audit(event_id=ran.event_id, limit=200)]
    assert types[0] == "run.completed"
    assert types[-1] == "run.started"
    assert {one["type"] for one in await audit(flow=ran.flow, type="flow.published")} == {"flow.published"}
    assert await audit(uid="u-7", type="run.started", until=1) == []
    assert [one["run"] for one in await audit(uid="u-7", type="run.started")] == [ran.event_id]
    theirs = await house.http.get("/v1/audit/events", headers=bearer("other"), params={"event_id": ran.event_id})
    assert theirs.json()["events"] == []
    assert (await house.http.get("/v1/audit/events", params={"app": "other"})).status_code == 404


async def test_a_refused_command_is_on_the_record(house: House):
    flow = await house.add(standard())
    refused = await house.http.post(f"{W}/auth", json={"flow_id": flow, "app_id": "demo"})
    assert refused.json()["code"] == 20204
    said = (await house.http.get("/v1/audit/events", params={"type": "command.refused", "flow": flow})).json()["events"]
    assert [one["data"]["code"] for one in said] == [20204]


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/audit/events", "/v1/chats/c/messages"])
@pytest.mark.parametrize("params", [{"cursor": "rubbish"}, {"cursor": "W10"}])
async def test_a_cursor_that_was_not_made_here_is_400(house: House, path: str, params: dict[str, str]):
    assert (await house.http.get(path, params=params)).status_code == 400


async def test_the_table_of_errors_is_served(house: House):
    table = (await house.http.get("/v1/errors", headers={"Authorization": ""})).json()["errors"]
    entry = next(one for one in table if one["code"] == 20204)
    assert (entry["symbol"], entry["documents"]) == ("FLOW_NOT_PUBLISH_ERROR", {"000": 40001, "003": 1001})
