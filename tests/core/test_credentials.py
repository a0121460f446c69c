"""Whose credentials a node has (astron.md 6.7): in open runs the caller's take the place of the node's, for these kinds, unless openai."""

from typing import Any

import pytest

from events.commands import StartRun
from services.core.language import document as shapes
from services.core.language.kind import Asking
from services.core.language.kinds import KINDS
from services.core.language.node import node_of
from services.core.running.effects import DatabaseRequest, ModelRequest
from tests.support.samples import minimal

KEYS = {"appId": "a", "apiKey": "k", "apiSecret": "s"}
MODEL = {**KEYS, "model": "m", "domain": "m"}
PARAMS: dict[str, dict[str, Any]] = {
    "spark-llm": {**MODEL, "template": "{{q}}"},
    "decision-making": {**MODEL, "intentChains": [{"id": "intent-one-of::1", "name": "n", "description": "d", "intentType": 1}]},
    "extractor-parameter": MODEL,
}
AGENT = {
    **KEYS,
    "modelConfig": {"domain": "m", "api": "", "agentStrategy": 1},
    "instruction": {"query": "q"},
    "plugin": {},
    "maxLoopCount": 1,
}
DATABASE = {"appId": "a", "apiKey": "k", "dbId": 1, "mode": 0, "sql": "select 1"}


def asked(kind: str, param: dict[str, Any], mode: str = "open") -> Any:
    """What a node of the author's flow asks, called by the app `caller`."""
    inputs = [{"name": "q", "schema": {"type": "string", "value": {"type": "literal", "content": "x"}}}]
    outputs = [{"name": "output", "schema": {"type": "string"}}]
    data = {"nodeMeta": {"nodeType": kind, "aliasName": kind}, "inputs": inputs, "outputs": outputs, "nodeParam": param}
    node = node_of(shapes.NodePart.model_validate({"id": f"{kind}::1", "data": data}))
    assert KINDS[kind].ask is not None
    terms = minimal(StartRun, app="caller", keys_of="author", mode=mode)
    return KINDS[kind].ask(node, {"q": "x"}, Asking("author", 1000, terms=terms))


@pytest.mark.parametrize("kind", PARAMS)
def test_a_model_of_the_platform_is_asked_with_the_callers_credentials(kind: str):
    request = asked(kind, {**PARAMS[kind], "source": "xinghuo", "url": "wss://spark.example/v1"})
    assert isinstance(request, ModelRequest)
    assert (request.app, request.caller, request.provider, request.url) == ("author", "caller", "xinghuo", "")


@pytest.mark.parametrize("kind", PARAMS)
def test_a_model_of_the_source_openai_keeps_the_authors(kind: str):
    request = asked(kind, {**PARAMS[kind], "source": "openai", "url": "https://m.example/v1"})
    assert (request.app, request.caller, request.key, request.url) == ("author", "", "k", "https://m.example/v1")


def test_an_agent_and_a_database_are_asked_with_the_callers_credentials_too():
    assert asked("agent", AGENT).caller == "caller"
    assert asked("agent", {**AGENT, "source": "openai"}).caller == ""
    request = asked("database", DATABASE)
    assert isinstance(request, DatabaseRequest)
    assert (request.app, request.caller) == ("author", "caller")


def test_debug_runs_and_questions_keep_the_authors():
    for kind, param in (("spark-llm", {**PARAMS["spark-llm"], "source": "xinghuo"}), ("agent", AGENT), ("database", DATABASE)):
        assert asked(kind, param, "debug").caller == ""
