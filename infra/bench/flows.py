"""The two flows that the bench runs."""

from itertools import pairwise
from typing import Any

from infra.bench.server import NAME

Part = dict[str, Any]


def node(id_: str, inputs: list[Part] | None = None, outputs: list[Part] | None = None, param: Part | None = None) -> Part:
    meta = {"nodeType": "bench", "aliasName": id_.partition(":")[0]}
    return {"id": id_, "data": {"nodeMeta": meta, "inputs": inputs or [], "outputs": outputs or [], "nodeParam": param or {}}}


def linear(nodes: list[Part]) -> Part:
    edges = [{"sourceNodeId": a["id"], "targetNodeId": b["id"], "sourceHandle": ""} for a, b in pairwise(nodes)]
    return {"id": "", "name": "bench", "description": "", "version": "v3.0.0", "data": {"nodes": nodes, "edges": edges}}


def refer(name: str, node: str, output: str) -> Part:
    return {"id": name, "name": name, "schema": {"type": "string", "value": {"type": "ref", "content": {"nodeId": node, "name": output}}}}


_START = node("node-start::1", outputs=[{"id": "q", "name": "AGENT_USER_INPUT", "required": True, "schema": {"type": "string"}}])


def steps(count: int) -> Part:
    """Start, `count` effect steps one after another, end."""
    end = node("node-end::1", [refer("q", "node-start::1", "AGENT_USER_INPUT")], param={"outputMode": 0})
    return linear([_START, *(node(f"{NAME}::{index}") for index in range(count)), end])


def answer(url: str, model: str) -> Part:
    """Start, a model whose tokens stream through the end node."""
    param = {"model": model, "domain": model, "appId": "demo", "apiKey": "any", "apiSecret": "", "url": url, "source": "openai"}
    llm = node(
        "spark-llm::1",
        [refer("q", "node-start::1", "AGENT_USER_INPUT")],
        [{"id": "o", "name": "output", "schema": {"type": "string"}}],
        {**param, "template": "{{q}}"},
    )
    end = node(
        "node-end::1", [refer("out", "spark-llm::1", "output")], param={"outputMode": 1, "template": "{{out}}", "streamOutput": True}
    )
    return linear([_START, llm, end])
