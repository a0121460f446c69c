"""Bots that use tools, end to end: the model asks, the tool is called over a socket, the chunks tell it."""

from typing import Any

import pytest

from tests.services.api.bots import CHAT, asked, chunks, content, made
from tests.services.api.conftest import House
from tests.support.fixtures.tool_server import tools
from tests.support.model_server import ModelServer
from tests.support.openapi import weather
from tests.support.tool_server import ToolServer

__all__ = ["tools"]
TURNS = "Thought: look\nAction: answer\nAction Input: {}|Thought: got it\nFinal Answer: it is blue"


async def bot_of(house: House, server: ModelServer, tools: ToolServer, name: str, **more: Any) -> str:
    tools.answers["/answer"] = {"sky": "blue"}
    stored = await house.http.put(f"/v1/tools/{name}", json={"kind": "openapi", "document": weather(tools.url), "auth": {"key": "k"}})
    assert stored.status_code == 200
    return await made(house, server, turns=TURNS, tool_ids=[name], **more)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_bot_calls_its_tool_and_answers(house: House, model_server: ModelServer, tools: ToolServer, stream: bool):
    bot = await bot_of(house, model_server, tools, f"sky-{stream}", key=f"agent-{stream}")
    answer = await house.http.post(CHAT, json=asked(bot, stream=stream))
    assert tools.paths() == ["/answer"]
    if not stream:
        message = answer.json()["choices"][0]["message"]
        assert (answer.json()["code"], message["content"]) == (0, "it is blue")
        (used,) = message["tool_calls"]
    else:
        found = chunks(answer.text)
        assert (content(found), content(found, "reasoning_content")) == ("it is blue", "lookgot it")
        (used,) = [one for chunk in found for one in chunk["choices"][0]["delta"]["tool_calls"] or []]
    assert (used["type"], used["function"]) == ("tool", {"name": "answer", "arguments": "{}", "response": '{"sky": "blue"}'})
    record = (await house.http.get(f"/v1/runs/{answer.headers['x-event-id']}/events", headers={"Accept": "application/json"})).text
    assert '"tool.called"' in record
    assert '"tool.returned"' in record
    last = model_server.calls(f"agent-{stream}")[-1].body["messages"][-1]
    assert last["content"] == 'Observation: {"sky": "blue"}'
