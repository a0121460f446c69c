"""One node, or one code, as a run of its own: the document around it, and what the run's events say of it.

In come a node as a client drew it, or a code and its variables; out go a definition that starts, does just that and ends, and
the fold that waits for the result. Retries are off there: whoever looks for a mistake wants to see it.
"""

import json
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import JsonValue, ValidationError

from events.acceptance import Accepted
from events.flow import Document
from events.node import NodeCompleted, NodeStarted
from events.run import RunCancelled, RunCompleted, RunFailed, RunTimedOut
from services.api.answers.problems import Refusal
from services.api.following.shown import spoken
from services.api.following.veil import plain
from services.core.language import document as shapes
from services.core.language.node import node_of
from services.core.problems import Problem

START, END, CODE = "node-start::single", "node-end::single", "ifly-code::single"
_WITH_BODY = frozenset({"iteration", "loop"})
_NEVER = frozenset({"node-start", "node-end", "message", "question-answer"})
_ITS_SWITCHES = ("should_retry", "shouldRetry")
_DEBUG = 21700
_TYPES: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


def debugging(id_: str, name: str, graph: dict[str, Any], node: dict[str, Any], *, told: bool = False) -> Document:
    """The definition of a debugged node. The others of the graph are kept only where it runs them itself. Raises `Refusal` 21700.

    `told`: the run shows the node's outputs, so that they are judged.
    """
    kind = str(node.get("id", "")).partition(":")[0]
    if kind in _NEVER:
        raise Refusal(_DEBUG, f"data.nodes: a {kind} cannot be debugged alone, it speaks in a run")
    alone = kind not in _WITH_BODY
    others: list[Any] = [] if alone else [one for one in graph["nodes"] if one is not node]
    edges: list[Any] = [] if alone else graph["edges"]
    target = str(node.get("id"))
    branches: list[Any] = [
        {"sourceNodeId": target, "targetNodeId": END, "sourceHandle": handle} for handle in _handles(node) or ([""] if told else [])
    ]
    shown = [_shown(target, number, one) for number, one in enumerate(_outputs(node))] if told else []
    return _document(id_, name, [_without_retries(node), *others], [], target, [*edges, *branches], shown)


def _outputs(node: dict[str, Any]) -> list[Any]:
    """Name and type of its outputs, as far as they are written as they must be."""
    try:
        part = shapes.NodePart.model_validate(node)
    except ValidationError:
        return []
    return [(one.name, str(one.schema_.get("type") or "string")) for one in part.data.outputs]


def _shown(node: str, number: int, output: tuple[str, str]) -> JsonValue:
    name, type_ = output
    value: JsonValue = {"type": "ref", "content": {"nodeId": node, "name": name}}
    return {"id": f"o{number}", "name": name, "schema": {"type": type_, "value": value}}


def _handles(node: dict[str, Any]) -> list[str]:
    """The branches of a node that chooses one: each must lead somewhere. What is wrong with the node is told when all is checked."""
    try:
        compiled = node_of(shapes.NodePart.model_validate(node))
    except (Problem, ValidationError):
        return []
    handles = compiled.kind.handles
    return sorted((handles(compiled) if handles else None) or ())


def running_code(code: str, variables: dict[str, JsonValue], owner: str, seconds: float) -> tuple[Document, dict[str, JsonValue]]:
    """The definition of a code's run, and its parameters: the values are in these, so that one definition serves all of them."""
    names = {name: f"v{place}" for place, name in enumerate(variables)}
    inputs: list[JsonValue] = [
        _input(name, _TYPES.get(type(value), "string"), names[name]) for name, value in sorted(variables.items(), key=lambda one: one[0])
    ]
    param: JsonValue = {"code": code, "appId": owner, "uid": "", "codeLanguage": "python"}
    data: JsonValue = {
        "nodeMeta": {"nodeType": "Code", "aliasName": "Code"},
        "inputs": inputs,
        "outputs": [],
        "nodeParam": param,
        "retryConfig": {"timeout": seconds},
    }
    given: list[JsonValue] = [{"id": name, "name": name, "required": False, "schema": {}} for name in names.values()]
    document = _document("", "code", [{"id": CODE, "data": data}], given, CODE, [])
    return document, {names[name]: value for name, value in variables.items()}


def _document(
    id_: str, name: str, nodes: list[Any], given: list[JsonValue], first: str, edges: list[Any], shown: list[JsonValue] | None = None
) -> Document:
    def plain(
        node: str, kind: str, outputs: list[JsonValue], param: dict[str, JsonValue], inputs: list[JsonValue] | None = None
    ) -> JsonValue:
        meta: JsonValue = {"nodeType": kind, "aliasName": kind}
        return {"id": node, "data": {"nodeMeta": meta, "inputs": inputs or [], "outputs": outputs, "nodeParam": param}}

    ways: list[JsonValue] = [{"sourceNodeId": START, "targetNodeId": target, "sourceHandle": ""} for target in (first, END)]
    around = [plain(START, "Start", given, {}), *nodes, plain(END, "End", [], {"outputMode": 0}, shown)]
    return {"id": id_, "name": name, "data": {"nodes": around, "edges": [*ways, *edges]}}


def _input(name: str, type_: str, output: str) -> JsonValue:
    value: JsonValue = {"type": "ref", "content": {"nodeId": START, "name": output}}
    return {"id": output, "name": name, "schema": {"type": type_, "value": value}}


def _without_retries(node: dict[str, Any]) -> dict[str, Any]:
    data: Any = node.get("data")
    settings: Any = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    retry: Any = settings.get("retryConfig")
    if not isinstance(retry, dict):
        return node
    off: dict[str, Any] = {**retry, **{switch: False for switch in _ITS_SWITCHES if switch in retry}}
    return {**node, "data": {**settings, "retryConfig": off}}


@dataclass
class Single:
    """What came of one node of a run: feed it the run's events until `add` says that it is over.

    `only_outputs`: the model's own words count only where they are an output, since only outputs were judged.
    """

    node: str
    only_outputs: bool = False
    started: NodeStarted | None = None
    completed: NodeCompleted | None = None
    seconds: float = 0.0
    usage: dict[str, int] = field(default_factory=dict[str, int])
    _began: int = 0

    def add(self, event: Accepted) -> dict[str, Any] | None:
        """Take the next event; the result once the run is over. Raises `Refusal` with the code of a run that failed."""
        data, time = event.envelope.data, event.meta.time
        match data:
            case NodeStarted() if data.node == self.node and not data.path:
                self.started, self._began = data, time
            case NodeCompleted() if data.node == self.node and not data.path:
                self.completed, self.seconds = data, max(0, time - self._began) / 1000
            case RunCompleted():
                used = data.usage
                self.usage = {
                    "completion_tokens": used.output_tokens,
                    "prompt_tokens": used.input_tokens,
                    "total_tokens": used.total_tokens,
                }
                return self.result()
            case RunFailed() | RunTimedOut() | RunCancelled():
                raise Refusal(data.code, plain(data.code, data.message) if self.only_outputs else data.message)
            case _:
                pass
        return None

    def result(self) -> dict[str, Any]:
        """As astron.md 1.8 has it, but for the node's type, which is in its document."""
        begun, done = self.started, self.completed
        if begun is None or done is None:
            raise Refusal(_DEBUG, "the node was not reached")
        outputs = done.outputs.words or {}
        inputs = (done.inputs and done.inputs.words) or (begun.inputs and begun.inputs.words) or {}
        said = next((value for value in outputs.values() if isinstance(value, str)), "")
        return {
            "node_id": self.node,
            "alias_name": begun.alias,
            "input": json.dumps(inputs, ensure_ascii=False),
            "raw_output": said if done.raw_output is None or self.only_outputs else spoken(done.raw_output),
            "output": json.dumps(outputs, ensure_ascii=False),
            "node_exec_cost": f"{self.seconds:.3f}",
            "token_cost": self.usage,
        }
