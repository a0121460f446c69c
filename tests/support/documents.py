"""Small flows as clients write them, for tests that need a definition and do not care how it looks."""

from typing import Any

START, MODEL, END = "node-start::1", "spark-llm::1", "node-end::1"
Document = dict[str, Any]


def refer(name: str, node: str, output: str) -> Document:
    """An input that takes another node's output."""
    value = {"type": "ref", "content": {"nodeId": node, "name": output}}
    return {"id": f"in-{name}", "name": name, "schema": {"type": "string", "value": value}}


def node(id_: str, inputs: list[Document], outputs: list[str], **param: Any) -> Document:
    """A node whose outputs are all texts."""
    made = [{"id": f"out-{name}", "name": name, "schema": {"type": "string"}} for name in outputs]
    about = {"nodeType": id_.partition(":")[0], "aliasName": id_}
    return {"id": id_, "data": {"nodeMeta": about, "inputs": inputs, "outputs": made, "nodeParam": param}}


def flow(nodes: list[Document], *edges: tuple[str, str]) -> Document:
    """A whole document."""
    ends = [{"sourceNodeId": source, "targetNodeId": target, "sourceHandle": ""} for source, target in edges]
    return {"data": {"nodes": nodes, "edges": ends}}


def _model(template: str = "{{question}}") -> Document:
    account = {"appId": "demo", "apiKey": "", "apiSecret": "", "url": "offline:", "source": "openai"}
    question = refer("question", START, "AGENT_USER_INPUT")
    return node(MODEL, [question], ["output"], model="scripted", domain="scripted", template=template, **account)


def _end(*inputs: Document, template: str) -> Document:
    return node(END, [*inputs], [], outputMode=1, template=template, streamOutput=True)


def model_flow(template: str = "{{question}}") -> Document:
    """A question to a model, whose answer is shown between brackets as it comes."""
    answer = refer("answer", MODEL, "output")
    nodes = [node(START, [], ["AGENT_USER_INPUT"]), _model(template), _end(answer, template="[{{answer}}]")]
    return flow(nodes, (START, MODEL), (MODEL, END))


def plain_flow() -> Document:
    """Nothing that needs the outside world: what was asked is answered."""
    asked = refer("asked", START, "AGENT_USER_INPUT")
    return flow([node(START, [], ["AGENT_USER_INPUT"]), _end(asked, template="{{asked}}")], (START, END))


def wide_flow(width: int) -> Document:
    """More joiners beside each other than one step may decide."""
    asked = refer("asked", START, "AGENT_USER_INPUT")
    names = [f"text-joiner::{place}" for place in range(width)]
    joiners = [node(name, [asked], ["output"], mode=0, prompt="{{asked}}") for name in names]
    nodes = [node(START, [], ["AGENT_USER_INPUT"]), *joiners, _end(refer("last", names[-1], "output"), template="{{last}}")]
    return flow(nodes, *((START, name) for name in names), *((name, END) for name in names))
