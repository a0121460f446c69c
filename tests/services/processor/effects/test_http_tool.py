"""Calling an operation of a tool: over a socket, with keys from the store, on the record by digests."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from services.core.running.effects import Done, ToolAnswered, ToolRequest, ToolSent
from services.kit.database import Database
from services.processor.effects import EffectWorld
from tests.support.fixtures.effect_tools import keep, secret, tool_rows, tool_world
from tests.support.fixtures.effects import PlainSecrets, effect_settings, effect_world, outcomes_of
from tests.support.fixtures.tool_server import tools
from tests.support.openapi import weather
from tests.support.tool_server import ToolServer

__all__ = ["tool_rows", "tool_world", "tools"]
REQUEST = ToolRequest("demo", "weather", "answer", "", {}, (), 5_000)


@pytest.fixture
async def world(tool_world: EffectWorld, tool_rows: Database, tools: ToolServer) -> EffectWorld:
    await keep(tool_rows, "weather", "openapi", {"document": weather(tools.url), "auth": {"key": secret(tool_world, "k-123")}})
    return tool_world


async def perform(world: EffectWorld, **changes: Any) -> list[Any]:
    return (await outcomes_of(replace(REQUEST, **changes), world)).all


async def test_values_and_keys_travel_as_the_document_says(world: EffectWorld, tools: ToolServer):
    given = {"city": "Hefei", "days": [1, 2], "reason": "tea", "X-Caller": "us"}
    sent, answered, done = await perform(world, operation="forecast", arguments=given, business=("X-Caller",))
    (asked,) = tools.asked
    assert (asked.method, asked.path) == ("POST", "/echo/Hefei")
    assert asked.query == [("days", "1"), ("days", "2"), ("units", "metric")]
    assert (asked.headers["x-caller"], asked.headers["x-key"], asked.json) == ("us", "k-123", {"reason": "tea"})
    assert isinstance(done, Done)
    assert done.outputs is not None
    assert isinstance(sent, ToolSent)
    assert (sent.kind, sent.tool) == ("http", "weather")
    assert sent.attributes["prozess.tool.operation"] == "forecast"
    assert isinstance(answered, ToolAnswered)
    assert answered.problem is None
    assert not any(word in repr((sent, answered)) for word in ("Hefei", "tea", "k-123"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tool": "none"}, "this app has no tool none"),
        ({"app": "other"}, "this app has no tool weather"),
        ({"version": "V9"}, "the tool weather has no version V9; it has V1.0"),
        ({"operation": "nonsense"}, "has no operation nonsense; it has answer, fail, forecast, silent"),
        ({"operation": "forecast", "arguments": {"reason": "x"}}, "the path parameter city is needed"),
        ({"operation": "forecast", "arguments": {"city": "x"}}, "the body needs reason"),
        ({"operation": "forecast", "arguments": {"city": "..", "reason": "x"}}, "the path parameter city is empty or a dot"),
    ],
)
async def test_what_is_missing_is_said_before_anything_goes_out(world: EffectWorld, tools: ToolServer, changes: dict[str, Any], said: str):
    (broke,) = await perform(world, **changes)
    assert broke.problem.code == 23400
    assert said in broke.problem.message
    assert tools.asked == []


async def test_a_key_that_is_gone_is_said(world: EffectWorld):
    assert isinstance(world.secrets, PlainSecrets)
    world.secrets.values.clear()
    (broke,) = await perform(world, operation="forecast", arguments={"city": "x", "reason": "y"})
    assert broke.problem.message == "the key key of weather is not known here (any more): store it again"


async def test_a_failing_tool_is_told_without_its_words(world: EffectWorld):
    _, answered, broke = await perform(world, operation="fail", arguments={"code": 503})
    assert (broke.problem.code, broke.problem.message, broke.temporary) == (23400, "the tool weather (fail) answered 503", True)
    assert answered.problem == broke.problem
    assert answered.attributes == {"error.type": "503"}


async def test_a_silent_tool_ends_at_the_nodes_limit(world: EffectWorld):
    *_, broke = await perform(world, operation="silent", quiet_ms=50)
    assert "did not answer within 0.05 s" in broke.problem.message


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ({"a": 1}, {"a": 1}),
        ((200, "text/plain", b"tea"), "tea"),
        ((204, "text/plain", b""), {}),
        ((200, "text/plain", b"\xff"), "\ufffd"),
    ],
)
async def test_an_answer_is_json_or_text(world: EffectWorld, tools: ToolServer, answer: Any, result: Any):
    tools.answers["/answer"] = answer
    assert (await perform(world))[-1] == Done(outputs={"result": result})


async def test_an_answer_that_says_json_and_is_none_is_a_failure(world: EffectWorld, tools: ToolServer):
    tools.answers["/answer"] = (200, "application/json", b"{")
    assert "no JSON" in (await perform(world))[-1].problem.message
    tools.answers["/answer"] = (200, "application/json", b"[" * 100 + b"]" * 100)
    assert "no JSON" in (await perform(world))[-1].problem.message


async def test_the_tool_platform_is_asked_in_its_own_words(tool_rows: Database, tools: ToolServer):
    document = json.dumps(weather("https://nowhere.example"))
    tools.answers["/get"] = {"code": 0, "data": {"tools": [{"id": "far", "schema": document}]}}
    tools.answers["/run"] = {"header": {"code": 0, "message": ""}, "payload": {"text": {"text": '{"sky": "blue"}'}}}
    urls = {"PLUGIN_GET_URL": f"{tools.url}/get", "PLUGIN_RUN_URL": f"{tools.url}/run"}
    world = effect_world(effect_settings(**urls), database=tool_rows)
    given = {"city": "Hefei", "reason": "tea", "X-Caller": "us"}
    asked = {"tool": "far", "operation": "forecast", "arguments": given, "business": ("X-Caller",)}
    assert (await perform(world, **asked))[-1] == Done(outputs={"result": {"sky": "blue"}})
    get, run = tools.asked
    assert get.query == [("tool_ids", "far"), ("versions", "V1.0"), ("app_id", "demo")]
    assert run.json["header"] == {"app_id": "demo"}
    assert run.json["parameter"] == {"tool_id": "far", "operation_id": "forecast", "version": "V1.0"}
    told = {name: json.loads(base64.b64decode(value)) for name, value in run.json["payload"]["message"].items()}
    assert told == {"path": {"city": "Hefei"}, "query": {"units": "metric"}, "header": {"X-Caller": "us"}, "body": {"reason": "tea"}}
    tools.answers["/run"] = {"header": {"code": 10, "message": "words"}, "payload": {}}
    broke = (await perform(world, **asked))[-1]
    assert (broke.problem.code, broke.problem.message) == (23400, "the tool far failed with the platform's code 10")
    await world.toolbox.aclose()
    await world.models.aclose()
