"""Calling tools of a real MCP server, over both transports."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from services.core.running.effects import Done, McpRequest, ToolAnswered, ToolSent
from services.kit.database import Database
from services.processor.effects import EffectWorld
from tests.support.fixtures.effect_tools import keep, secret, tool_rows, tool_world
from tests.support.fixtures.effects import effect_settings, effect_world, outcomes_of
from tests.support.mcp_server import McpServer, mcp_server

__all__ = ["tool_rows", "tool_world"]


@pytest.fixture(scope="module")
def server() -> Iterator[McpServer]:
    with mcp_server() as made:
        yield made


def request(of: McpServer, **changes: Any) -> McpRequest:
    return replace(McpRequest("demo", "", of.url, "add", {"a": 2, "b": 3}, 10_000), **changes)


async def perform(world: EffectWorld, asked: McpRequest) -> list[Any]:
    return (await outcomes_of(asked, world)).all


@pytest.mark.parametrize("way", ["url", "sse_url"])
async def test_a_tool_is_called_over_both_transports(tool_world: EffectWorld, server: McpServer, way: str):
    sent, answered, done = await perform(tool_world, request(server, url=getattr(server, way)))
    assert done == Done(outputs={"result": 5})
    assert server.calls[-1] == ("add", {"a": 2, "b": 3})
    assert isinstance(sent, ToolSent)
    assert (sent.kind, sent.tool) == ("mcp", "add")
    assert isinstance(answered, ToolAnswered)
    assert answered.problem is None


async def test_a_structured_result_stays_structured(tool_world: EffectWorld, server: McpServer):
    *_, done = await perform(tool_world, request(server, tool="weather", arguments={"city": "Hefei"}))
    assert done == Done(outputs={"result": {"city": "Hefei", "sky": "blue"}})


async def test_a_server_of_the_register_gets_its_keys(tool_world: EffectWorld, tool_rows: Database, server: McpServer):
    headers = {"X-Key": secret(tool_world, "sesame")}
    await keep(tool_rows, "house", "mcp", {"url": server.url, "transport": "streamable-http", "headers": headers})
    *_, done = await perform(tool_world, request(server, server="house", url=""))
    assert done == Done(outputs={"result": 5})
    assert server.keys[-1] == "sesame"


async def test_what_a_server_has_is_listed(tool_world: EffectWorld, server: McpServer):
    tools = tool_world.toolbox.mcp
    found = await tools.listed(await tools.server("demo", "", server.url), 10)
    assert sorted(one.name for one in found) == ["add", "fail", "silent", "weather"]
    (add,) = [one for one in found if one.name == "add"]
    assert (add.description, sorted(add.parameters["properties"])) == ("Adds two numbers.", ["a", "b"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tool": "fail", "arguments": {}}, "the tool fail of 127.0.0.1 says that it failed"),
        ({"tool": "none"}, "the tool none of 127.0.0.1 says that it failed"),
        ({"tool": "silent", "arguments": {}, "quiet_ms": 300}, "did not answer within 0.3 s"),
        ({"url": "http://127.0.0.1:1/mcp"}, "cannot be reached"),
        ({"url": "ftp://host"}, "should look like https://host/mcp"),
        ({"server": "unknown"}, "this app has no MCP server unknown"),
    ],
)
async def test_what_goes_wrong_is_one_sentence(tool_world: EffectWorld, server: McpServer, changes: dict[str, Any], said: str):
    broke = (await perform(tool_world, request(server, **changes)))[-1]
    assert said in broke.problem.message
    assert "words of somebody" not in broke.problem.message


async def test_servers_in_our_network_are_refused_unless_a_setting_names_it(tool_rows: Database, server: McpServer):
    world = effect_world(effect_settings(egress_networks=()), database=tool_rows)
    for url in (server.url, server.sse_url):
        broke = (await perform(world, request(server, url=url)))[-1]
        assert "egress_networks" in broke.problem.message
    await world.models.aclose()
