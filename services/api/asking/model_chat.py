"""Chats without a flow of their own are runs of a built-in definition: start, a model, an end that streams.

In comes which model is asked and how; out go the document, and the parameters of a run of it. The document's hash pins
all of that; keys in it are references already. Who reads a run finds the model in its document.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from events.flow import Document
from events.run import RunTerms

INPUT, MESSAGES = "AGENT_USER_INPUT", "messages"
_START, _MODEL, _AGENT, _END = "node-start::chat", "chat-model::chat", "agent::chat", "node-end::chat"
_THINKING = "REASONING_CONTENT"


@dataclass(frozen=True, slots=True)
class Agent:
    """What makes a model an agent: `plugin` as agent nodes have it, `strategy` 1 textual or 2 function calls, at most `turns` turns."""

    plugin: dict[str, JsonValue]
    strategy: int = 1
    turns: int = 30
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """Which model, where (an empty `url` is the process's own endpoint), and how it is asked. `key` is a secret's reference.

    `provider` names where instead; its first model is asked where `name` is empty.
    """

    name: str
    url: str = ""
    provider: str = ""
    key: str = ""
    system: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    extra: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    agent: Agent | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a chat; roles as the provider knows them."""

    role: str
    content: str


def document(model: Model, *, id_: str = "", name: str = "chat") -> Document:
    """The definition of a chat with this model. `id_` and `name` say whose it is."""
    id_of_model = _MODEL if model.agent is None else _AGENT
    param: dict[str, JsonValue] = {"model": model.name, "url": model.url, "apiKey": model.key} if model.agent is None else _agent(model)
    wishes: dict[str, JsonValue] = {
        "provider": None if model.agent else model.provider or None,
        "system": None if model.agent else model.system or None,
        "temperature": model.temperature,
        "maxTokens": model.max_tokens,
        "extraParams": model.extra or None,
    }
    param |= {name: value for name, value in wishes.items() if value is not None}
    text: JsonValue = {"type": "string", "default": ""}
    messages: JsonValue = {"type": "array", "items": {"type": "object"}, "default": []}
    answer: dict[str, JsonValue] = {"outputMode": 1, "template": "{{answer}}", "reasoningTemplate": "{{thought}}", "streamOutput": True}
    nodes: list[JsonValue] = [
        _node(_START, "Start", [], [_output(INPUT, text), _output(MESSAGES, messages)], {}),
        _node(
            id_of_model, "Model", [_input(MESSAGES, "array", _START, MESSAGES)], [_output("output", text), _output(_THINKING, text)], param
        ),
        _node(
            _END,
            "End",
            [_input("answer", "string", id_of_model, "output"), _input("thought", "string", id_of_model, _THINKING)],
            [],
            answer,
        ),
    ]
    edges: list[JsonValue] = [_edge(_START, id_of_model), _edge(id_of_model, _END)]
    return {"id": id_, "name": name, "data": {"nodes": nodes, "edges": edges}}


def parameters(messages: Sequence[Said]) -> dict[str, JsonValue]:
    """The parameters of a run: everything that was said, and the newest question for the history."""
    asked = next((one.content for one in reversed(messages) if one.role == "user"), "")
    return {INPUT: asked, MESSAGES: [{"role": one.role, "content": one.content} for one in messages]}


def model_of(terms: RunTerms) -> str:
    """The model's name in a run of a built-in definition; empty for others."""
    data: Any = (terms.document or {}).get("data", {})
    params = {node["id"]: node["data"]["nodeParam"] for node in data.get("nodes", ()) if node["id"] in {_MODEL, _AGENT}}
    if _AGENT in params:
        return str(params[_AGENT]["modelConfig"]["domain"])
    return str(params[_MODEL]["model"]) if _MODEL in params else ""


def _agent(model: Model) -> dict[str, JsonValue]:
    """The parameters of an agent node that reads the whole conversation; how its tools are shown is up to the surface."""
    assert model.agent is not None, "only agents have these"
    agent = model.agent
    return {
        "appId": "",
        "apiKey": model.key,
        "apiSecret": "",
        "modelConfig": {"domain": model.name, "api": model.url, "provider": model.provider, "agentStrategy": agent.strategy},
        "source": "openai",
        "instruction": {"reasoning": agent.reasoning, "answer": model.system, "query": ""},
        "plugin": agent.plugin,
        "maxLoopCount": agent.turns,
        "messagesInput": MESSAGES,
        "showTools": False,
    }


def _node(id_: str, alias: str, inputs: list[JsonValue], outputs: list[JsonValue], param: dict[str, JsonValue]) -> JsonValue:
    meta: JsonValue = {"nodeType": alias, "aliasName": alias}
    return {"id": id_, "data": {"nodeMeta": meta, "inputs": inputs, "outputs": outputs, "nodeParam": param}}


def _input(name: str, type_: str, node: str, output: str) -> JsonValue:
    value: JsonValue = {"type": "ref", "content": {"nodeId": node, "name": output}}
    return {"id": f"in-{name}", "name": name, "schema": {"type": type_, "value": value}}


def _output(name: str, schema: JsonValue) -> JsonValue:
    return {"id": f"out-{name}", "name": name, "required": False, "schema": schema}


def _edge(source: str, target: str) -> JsonValue:
    return {"sourceNodeId": source, "targetNodeId": target, "sourceHandle": ""}
