"""A `traceparent` is taken at every door that starts or changes something, and stays in the headers of what follows."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from events.envelope import meta_of
from events.topics import COMMANDS, EVENTS
from tests.services.api.bots import asked, made
from tests.services.api.children import child_of
from tests.services.api.conftest import House, W
from tests.services.api.test_chat import standard
from tests.services.api.test_sockets import url
from tests.services.api.test_subflows import around
from tests.support.flows import at, end, flow, start
from tests.support.model_server import ModelServer

HEADERS = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}


async def kept(house: House, topic: str, stream: str) -> list[str]:
    """The traces of a stream's records."""
    found: list[str] = []
    for partition in range(house.world.log.partitions(topic)):
        first, stop = await house.world.log.bounds(topic, partition)
        offset = first
        while offset < stop and (records := await house.world.log.read(topic, partition, offset, 1_000)):
            metas = [meta_of(one.record) for one in records]
            found += [meta.traceparent for meta in metas if meta.stream == stream and meta.type != "node.delta"]
            offset = records[-1].offset + 1
    return found


def doors(flow_id: str) -> dict[str, tuple[str, Any]]:
    said = [{"role": "user", "content": "bob"}]
    chat = {"flow_id": flow_id, "uid": "u", "stream": False, "parameters": {"AGENT_USER_INPUT": "bob"}}
    return {
        "open": (f"{W}/chat/completions", chat),
        "legacy": ("/sparkflow/v1/chat/completions", chat),
        "debug": (f"{W}/debug/chat/completions", chat),
        "openai": ("/v1/chat/completions", {"model": flow_id, "messages": said}),
    }


@pytest.fixture(scope="module")
async def flow_id(house: House) -> str:
    return await house.deploy(standard())


@pytest.mark.parametrize("door", ["open", "legacy", "debug", "openai"])
async def test_a_run_belongs_to_the_trace_that_its_request_names(house: House, flow_id: str, door: str):
    path, body = doors(flow_id)[door]
    answer = await house.http.post(path, json=body, headers=HEADERS)
    stream = f"run-{answer.headers['X-Event-Id']}"
    assert set(await kept(house, COMMANDS, stream)) == {HEADERS["traceparent"]}
    traces = await kept(house, EVENTS, stream)
    assert len(traces) > 5
    assert set(traces) == {HEADERS["traceparent"]}


async def test_a_child_belongs_to_the_trace_of_its_parent(house: House, flow_id: str):
    parent = await house.add(around(flow_id))
    body = {"flow_id": parent, "uid": "u", "stream": False, "parameters": {"AGENT_USER_INPUT": "bob"}}
    answer = await house.http.post(f"{W}/debug/chat/completions", json=body, headers=HEADERS)
    child = await child_of(house, answer.headers["X-Event-Id"])
    assert set(await kept(house, EVENTS, f"run-{child}")) == {HEADERS["traceparent"]}


@pytest.mark.parametrize("wrong", ["", "zz", "00-" + "0" * 32 + "-00f067aa0ba902b7-01"])
async def test_a_trace_that_is_none_is_left_out_and_harms_nothing(house: House, flow_id: str, wrong: str):
    path, body = doors(flow_id)["open"]
    answer = await house.http.post(path, json=body, headers={"traceparent": wrong})
    assert answer.json()["code"] == 0
    assert set(await kept(house, EVENTS, f"run-{answer.headers['X-Event-Id']}")) == {""}


async def test_a_change_of_a_flow_is_of_its_requests_trace(house: House):
    document = flow(start(AGENT_USER_INPUT="string"), end("{{a}}", a=at("start.AGENT_USER_INPUT")), edges="start > end")
    body = {"name": "traced", "app_id": "demo", "status": 0, "data": document}
    answer = await house.http.post(f"{W}/protocol/add", json=body, headers=HEADERS)
    assert await kept(house, EVENTS, f"flow-{answer.json()['data']['flow_id']}") == [HEADERS["traceparent"]]


async def test_a_socket_names_its_trace_when_it_is_opened(house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="one")
    async with connect(url(house), proxy=None, additional_headers=HEADERS) as socket:
        await socket.send(json.dumps({"type": "chat", **asked(bot)}))
        first = json.loads(await asyncio.wait_for(socket.recv(), 10))
        async for _ in socket:
            pass
    assert set(await kept(house, EVENTS, f"run-{first['event_id']}")) == {HEADERS["traceparent"]}


async def test_a_model_is_called_with_the_trace_of_the_request(house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="one", key="carried")
    answer = await house.http.post("/agent/v1/chat/completions", json=asked(bot), headers=HEADERS)
    assert answer.status_code == 200
    (seen,) = model_server.calls("carried")
    assert seen.headers["traceparent"] == HEADERS["traceparent"]
    await house.http.post("/agent/v1/chat/completions", json=asked(bot))
    assert "traceparent" not in model_server.calls("carried")[-1].headers
