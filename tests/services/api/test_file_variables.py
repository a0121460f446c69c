"""File variables of a chat: looked at where they are before the run goes on, through the guard, and never again."""

import json
from typing import Any

import pytest

from tests.services.api.conftest import House, W
from tests.services.api.test_uploads import PDF, uploaded
from tests.support.fixtures.tool_server import tools
from tests.support.flows import at, end, flow, start
from tests.support.tool_server import ToolServer

__all__ = ["tools"]


def document() -> dict[str, Any]:
    made = flow(start(AGENT_USER_INPUT="string", doc="string"), end("{{d}}", d=at("start.doc")), edges="start > end")
    made["data"]["nodes"][0]["data"]["outputs"][1].update({"fileType": "file", "allowedFileType": ["pdf"]})
    return made


@pytest.fixture(scope="module")
async def reading(house: House) -> str:
    return await house.deploy(document())


async def said(house: House, flow: str, link: str, **more: Any) -> dict[str, Any]:
    async with house.chat(flow, stream=False, parameters={"AGENT_USER_INPUT": "x", "doc": link}, **more) as answer:
        assert answer.status_code == 200
        return json.loads(await answer.aread())


async def test_a_file_that_is_there_and_small_enough_lets_the_run_go_on(house: House, reading: str, tools: ToolServer):
    link = f"{tools.url}/sized/1000/a.pdf"
    answer = await said(house, reading, link)
    assert (answer["code"], answer["choices"][0]["delta"]["content"]) == (0, link)
    assert [one.method for one in tools.asked] == ["HEAD"]


async def test_a_finished_run_is_replayed_without_asking_again(house: House, reading: str, tools: ToolServer):
    link = f"{tools.url}/sized/1000/a.pdf"
    async with house.chat(reading, parameters={"AGENT_USER_INPUT": "x", "doc": link}, headers={"X-Stream-Ids": "1"}) as answer:
        live, run = await answer.aread(), answer.headers["x-event-id"]
    again = await house.http.get(f"{W}/chat/completions/{run}", headers={"X-Stream-Ids": "1"})
    assert again.content == live
    assert len(tools.asked) == 1
    events = (await house.http.get(f"/v1/runs/{run}/events", params={"follow": False})).text
    assert "event: tool.returned" in events
    assert events.count("event: node.completed") == 2


@pytest.mark.parametrize(
    ("path", "code", "says"),
    [
        ("/sized/60000000/a.pdf", 23601, "doc: at most 52428800 bytes are taken"),
        ("/sized//a.pdf", 23603, "doc: the link does not say how large the file is"),
        ("/sized/-5/a.pdf", 23603, "doc: the link"),
        ("/status/404/a.pdf", 23603, "doc: the link answered 404"),
        ("/redirect/a.pdf?to=http%3A%2F%2F169.254.169.254%2Fa.pdf", 23603, "it redirects to another host"),
        ("/round/a.pdf", 23603, "doc: the link"),
    ],
)
async def test_a_file_that_is_not_as_it_must_be_ends_it(house: House, reading: str, tools: ToolServer, path: str, code: int, says: str):
    answer = await said(house, reading, tools.url + path)
    assert answer["code"] == code
    assert says in answer["message"]


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "10.0.0.1", "[::ffff:10.0.0.1]", "[64:ff9b::a9fe:a9fe]", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "0"],
)
async def test_an_address_that_is_not_public_is_not_called(house: House, reading: str, host: str):
    answer = await said(house, reading, f"http://{host}/a.pdf")
    assert answer["code"] == 23603
    assert "egress_networks" in answer["message"] or "expected an address" in answer["message"]
    assert host.strip("[]") not in answer["message"]


async def test_our_own_link_is_read_by_its_signature_without_a_call(house: House, reading: str):
    link = (await uploaded(house, "a.pdf", PDF))["data"]["url"]
    assert (await said(house, reading, link))["code"] == 0
    changed = link.replace("/files/", "/files/x")
    assert (await said(house, reading, changed))["code"] == 23603


async def test_a_debug_run_shows_the_start_node_while_its_files_are_looked_at(house: House, tools: ToolServer):
    draft = await house.add(document())
    link = f"{tools.url}/sized/1000/a.pdf"
    async with house.chat(draft, debug=True, parameters={"AGENT_USER_INPUT": "x", "doc": link}) as answer:
        frames = [json.loads(line[6:]) for line in (await answer.aread()).decode().splitlines() if line]
    nodes = [frame["workflow_step"]["node"] for frame in frames if frame["workflow_step"]["node"]["id"].startswith("node-start")]
    given = {"AGENT_USER_INPUT": "x", "doc": link}
    assert [(node.get("finish_reason"), node["inputs"]) for node in nodes] == [(None, {}), ("stop", given)]
