"""Trying a node or a code without a flow, over HTTP. The whole line runs; each try is on the record."""

import json
from typing import Any

import pytest

from tests.services.api.conftest import House, W, bearer
from tests.support.flows import Part, at, changed, end, flow, joiner, llm, message, retry, start
from tests.support.model_server import ModelServer, model


def drawn(*parts: Part) -> dict[str, Any]:
    return {**flow(*parts, edges=""), "id": "1", "name": "probe"}


def code(source: str, **variables: Any) -> dict[str, Any]:
    given = [{"name": name, "content": value} for name, value in variables.items()]
    return {"code": source, "variables": given, "app_id": "demo", "uid": "u", "flow_id": ""}


async def tried(house: House, path: str, body: dict[str, Any], **more: Any) -> tuple[dict[str, Any], str]:
    """The envelope and the run's id."""
    answer = await house.http.post(W + path, json=body, **more)
    assert answer.status_code == 200
    return answer.json(), answer.headers.get("x-event-id", "")


async def test_a_node_is_run_alone_and_tells_what_it_took_and_gave(house: House):
    said, run = await tried(house, "/node/debug", drawn(joiner("j", "Dear {{who}}", who="Lin")))
    data = said["data"]
    assert (said["code"], said["message"], said["sid"]) == (0, "success", f"spf{run}.1@hf")
    assert float(data.pop("node_exec_cost")) >= 0
    assert data == {
        "node_id": "text-joiner::j",
        "alias_name": "j",
        "node_type": "text-joiner",
        "input": '{"who": "Lin"}',
        "raw_output": "Dear Lin",
        "output": '{"output": "Dear Lin"}',
        "token_cost": {"completion_tokens": 0, "prompt_tokens": 0, "total_tokens": 0},
    }


async def test_a_try_is_a_run_on_the_record_of_the_calling_app(house: House):
    _, run = await tried(house, "/node/debug", drawn(joiner("j", "Dear {{who}}", who="Lin")))
    events = (await house.http.get(f"/v1/runs/{run}/events", headers={"Accept": "application/json"})).json()["events"]
    assert {"run.started", "node.completed", "run.completed"} <= {event["type"] for event in events}
    assert (await house.http.get(f"/v1/runs/{run}/events", headers=bearer("other"))).status_code == 404


async def test_retries_are_off_and_the_nodes_own_code_is_answered(house: House, model_server: ModelServer):
    part = llm("m", "x", retry=retry(1, 3, preset={"output": "p"}))
    part = changed(part, param={**part.param, "url": model_server.url, **named("status", code=400)})
    said, run = await tried(house, "/node/debug", drawn(part))
    assert (said["code"], "data" in said, run != "") == (20380, False, True), said
    assert len(model_server.calls("tried")) == 1


def named(kind: str, **script: Any) -> dict[str, str]:
    name = model(kind, key="tried", **script)
    return {"model": name, "domain": name}


@pytest.mark.parametrize("part", [message("m", "x"), joiner("j", "{{q}}", q=at("elsewhere.q")), Part("x", "alien")])
async def test_what_cannot_be_debugged_is_refused(house: House, part: Part):
    said, _ = await tried(house, "/node/debug", drawn(part))
    assert said["code"] in {21700, 22101}
    assert said["message"]


async def test_old_consoles_name_the_node_and_read_payload(house: House):
    body = drawn(joiner("a", "first"), joiner("b", "second"))
    said, _ = await tried(house, "/node/debug/text-joiner::b", body)
    assert said["payload"]["raw_output"] == "second"


async def test_a_code_answers_what_its_main_returned(house: House):
    said, run = await tried(house, "/code/run", code("def main(b, a):\n    return {'r': a + b, 'l': [a]}\n", a="ü", b="1"))
    assert (said["code"], said["data"], said["sid"]) == (0, {"r": "ü1", "l": ["ü"]}, f"spf{run}.1@hf")


async def test_values_of_variables_are_protected_parameters_not_part_of_the_definition(house: House):
    source = "def main(a):\n    return {'n': len(a)}\n"
    runs = [(await tried(house, "/run", code(source, a=words)))[1] for words in ("private words", "others")]
    started = [(await house.http.get(f"/v1/runs/{run}/events", headers={"Accept": "application/json"})).json()["events"][0] for run in runs]
    assert len({one["data"]["definition"] for one in started}) == 1
    assert "private" not in json.dumps(started[0]["data"]["document"])


@pytest.mark.parametrize(
    ("source", "number"),
    [
        ("def main(a):\n    return {'x': 1 / 0}\n", 21600),
        ("x = 1\n", 21601),
        ("def main(a):\n    return {1, 2}\n", 21602),
        ("import socket\ndef main(a):\n    return {}\n", 21600),
    ],
)
async def test_a_code_that_fails_answers_its_code(house: House, source: str, number: int):
    said, _ = await tried(house, "/code/run", code(source, a=1))
    assert (said["code"], "data" in said) == (number, False)


async def test_nobody_runs_anything_without_a_key(house: House):
    for path, body in (("/code/run", code("def main(a):\n    return 1\n", a=1)), ("/node/debug", drawn(joiner("j", "x")))):
        answer = await house.http.post(W + path, json=body, headers={"Authorization": "Bearer demo-key:wrong"})
        assert answer.json()["code"] == 20000


async def test_two_variables_of_one_name_are_a_mistake(house: House):
    body = code("def main(a):\n    return 1\n", a=1)
    body["variables"] *= 2
    said, _ = await tried(house, "/code/run", body)
    assert said["code"] == 460


def remembering(method: str) -> dict[str, Any]:
    inputs, outputs = ({"colour": at("start.AGENT_USER_INPUT")}, {}) if method == "set" else ({}, {"colour": "string"})
    part = Part("v", "node-variable", inputs, outputs, {"method": method, "flowId": "77"})
    shown = end("{{c}}", c=at("v.colour")) if method == "get" else end("stored")
    return flow(start(AGENT_USER_INPUT="string"), part, shown, edges="start > v > end")


async def answer_of(house: House, flow_id: str, said: str, **more: Any) -> str:
    body = {"flow_id": flow_id, "uid": "u-1", "stream": False, "parameters": {"AGENT_USER_INPUT": said}, **more}
    answered = (await house.http.post(f"{W}/chat/completions", json=body)).json()
    assert answered["code"] == 0, answered
    return answered["choices"][0]["delta"]["content"]


async def test_what_one_run_stores_the_next_run_of_the_chat_reads_at_once(house: House):
    store, load = [await house.deploy(remembering(method)) for method in ("set", "get")]
    for colour in ("blue", "green"):
        await answer_of(house, store, colour, chat_id="c-variables")
        assert await answer_of(house, load, "", chat_id="c-variables") == colour
    assert await answer_of(house, load, "", chat_id="another") == ""
    assert await answer_of(house, load, "", chat_id="c-variables", uid="u-2") == ""


async def test_strangers_without_a_chat_share_no_variables(house: House):
    store, load = [await house.deploy(remembering(method)) for method in ("set", "get")]
    await answer_of(house, store, "blue")
    assert await answer_of(house, load, "") == ""
