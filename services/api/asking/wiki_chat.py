"""A question about a repository is a run of a built-in definition: look up, compose the prompt, ask the model, stream.

In comes who is asked; out goes the document. Its hash pins the model and the steps; the question itself is in the run's
parameters, so that all questions to one model share one definition.
"""

from dataclasses import dataclass
from itertools import pairwise

from pydantic import JsonValue

from events.flow import Document

RETRIEVE, PROMPT, MODEL = "wiki-retrieve::wiki", "wiki-prompt::wiki", "chat-model::wiki"
_START, _END = "node-start::wiki", "node-end::wiki"
_TEXT: JsonValue = {"type": "string", "default": ""}
_LIST: JsonValue = {"type": "array", "items": {"type": "object"}, "default": []}
_OBJECT: JsonValue = {"type": "object", "default": {}}


@dataclass(frozen=True, slots=True)
class Asked:
    """Who answers: a provider by name, its model and the node's url for it, and how long a repository may take, in seconds.

    `label` and `variables` are for the words of a failure.
    """

    provider: str
    model: str
    url: str
    label: str
    variables: str
    patience_s: float


def document(asked: Asked) -> Document:
    """The definition."""
    given = {
        "AGENT_USER_INPUT": _TEXT,
        "history": _LIST,
        "repository": _OBJECT,
        "filters": _OBJECT,
        "file": _TEXT,
        "language": _TEXT,
        "research": _OBJECT,
    }
    nodes: list[JsonValue] = [
        _node(_START, "Start", {}, given, {}),
        _node(
            RETRIEVE,
            "Look up",
            {
                "query": ("string", _START, "AGENT_USER_INPUT"),
                "repository": ("object", _START, "repository"),
                "filters": ("object", _START, "filters"),
                "file": ("string", _START, "file"),
            },
            {"passages": _LIST, "file": _OBJECT},
            {"provider": asked.provider, "model": asked.model},
            patience_s=asked.patience_s,
        ),
        _node(
            PROMPT,
            "Prompt",
            {
                "query": ("string", _START, "AGENT_USER_INPUT"),
                "history": ("array", _START, "history"),
                "repository": ("object", _START, "repository"),
                "language": ("string", _START, "language"),
                "research": ("object", _START, "research"),
                "passages": ("array", RETRIEVE, "passages"),
                "file": ("object", RETRIEVE, "file"),
            },
            {"messages": _LIST},
            {},
        ),
        _node(MODEL, "Model", {"messages": ("array", PROMPT, "messages")}, {"output": _TEXT}, {"model": asked.model, "url": asked.url}),
        _node(
            _END,
            "End",
            {"answer": ("string", MODEL, "output")},
            {},
            {"outputMode": 1, "template": "{{answer}}", "streamOutput": True},
        ),
    ]
    way = (_START, RETRIEVE, PROMPT, MODEL, _END)
    edges: list[JsonValue] = [{"sourceNodeId": source, "targetNodeId": target, "sourceHandle": ""} for source, target in pairwise(way)]
    return {"id": "", "name": "wiki", "data": {"nodes": nodes, "edges": edges}}


def _node(
    id_: str,
    alias: str,
    inputs: dict[str, tuple[str, str, str]],
    outputs: dict[str, JsonValue],
    params: dict[str, JsonValue],
    patience_s: float = 0,
) -> JsonValue:
    taken: list[JsonValue] = [
        {
            "id": f"in-{name}",
            "name": name,
            "schema": {"type": type_, "value": {"type": "ref", "content": {"nodeId": node, "name": output}}},
        }
        for name, (type_, node, output) in inputs.items()
    ]
    given: list[JsonValue] = [{"id": f"out-{name}", "name": name, "required": False, "schema": schema} for name, schema in outputs.items()]
    data: dict[str, JsonValue] = {
        "nodeMeta": {"nodeType": alias, "aliasName": alias},
        "inputs": taken,
        "outputs": given,
        "nodeParam": params,
    }
    if patience_s:
        data["retryConfig"] = {"timeout": patience_s, "shouldRetry": True, "maxRetries": 0}
    return {"id": id_, "data": data}
