"""Flow documents in a few words.

    flow(
        start(q="string"),
        llm("ask", "Say {{q}}", q=at("start.q")),
        end("<{{said}}>", said=at("ask.output")),
        edges="start > ask > end",
    )

A node's id is its kind and its name. Edges are written as ways: `a > b,c > d`, `a !> b` (a failure edge), `a -handle-> b`;
ways are separated by `;`.
"""

from dataclasses import dataclass, field, replace
from typing import Any

KINDS = {"start": "node-start", "end": "node-end"}
Json = dict[str, Any]


@dataclass(frozen=True)
class At:
    """A reference: `node.output`, or `node.output.key.key`."""

    text: str


@dataclass(frozen=True)
class Part:
    """A node before it is written down. Inputs are references, literals, or (type, value)."""

    name: str
    kind: str
    inputs: Json = field(default_factory=dict)
    outputs: Json = field(default_factory=dict)
    param: Json = field(default_factory=dict)
    retry: Json | None = None
    required: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.kind}::{self.name}"


def at(text: str) -> At:
    return At(text)


def start(*, required: tuple[str, ...] = (), **outputs: Any) -> Part:
    return Part("start", "node-start", outputs=outputs, required=required)


def llm(
    name: str, template: str = "", *, outputs: Json | None = None, retry: Json | None = None, param: Json | None = None, **inputs: Any
) -> Part:
    known = {
        "model": "m", "domain": "m", "appId": "", "apiKey": "", "apiSecret": "", "source": "openai", "template": template, **(param or {}),
    }  # fmt: skip
    return Part(name, "spark-llm", inputs, outputs or {"output": "string"}, known, retry)


def thinker(name: str, template: str = "", **inputs: Any) -> Part:
    return llm(name, template, outputs={"output": "string", "REASONING_CONTENT": "string"}, **inputs)


def message(name: str, template: str, *, streamed: bool = True, **inputs: Any) -> Part:
    return Part(name, "message", inputs, {}, {"template": template, "streamOutput": streamed})


def joiner(name: str, prompt: str = "", *, separator: str | None = None, outputs: Json | None = None, **inputs: Any) -> Part:
    if separator is not None:
        split = {"type": "array", "items": {"type": "string"}}
        return Part(name, "text-joiner", inputs, outputs or {"output": split}, {"mode": 1, "separator": separator})
    return Part(name, "text-joiner", inputs, outputs or {"output": "string"}, {"mode": 0, "prompt": prompt})


def end(template: str | None = None, *, name: str = "end", reasoning: str = "", streamed: bool = True, **inputs: Any) -> Part:
    mode = {
        "outputMode": 0 if template is None else 1,
        "template": template or "",
        "reasoningTemplate": reasoning,
        "streamOutput": streamed,
    }
    return Part(name, "node-end", inputs, {}, mode)


def subflow(
    name: str, of: str, outputs: Json | None = None, *, retry: Json | None = None, param: Json | None = None, **inputs: Any
) -> Part:
    """A node that runs another flow; it gives the child's text, or the outputs that are named."""
    known = {"flowId": of, "appId": "demo", "uid": "u1", "version": "", **(param or {})}
    return Part(name, "flow", inputs, {"content": "string"} if outputs is None else outputs, known, retry)


def branch(name: str, *cases: Any, **inputs: Any) -> Part:
    """An if-else. A case is (id, (left, operator, right), …), or with "or" after the id; an id alone is the else. Inputs by name."""
    return Part(name, "if-else", inputs, {}, {"cases": [_case(number, *case) for number, case in enumerate(cases, 1)]})


def _case(number: int, id_: str, *conditions: Any) -> Json:
    logic, tests = ("or", conditions[1:]) if conditions[:1] == ("or",) else ("and", conditions)
    written = [
        {"leftVarIndex": f"in-{left}", "rightVarIndex": f"in-{right}", "compareOperator": operator} for left, operator, right in tests
    ]
    return {"id": f"branch_one_of::{id_}", "level": number if tests else 999, "logicalOperator": logic, "conditions": written}


def taking(id_: str) -> str:
    """The arrow of a way that takes a branch of an if-else."""
    return f"-intent_chain|branch_one_of::{id_}->"


def decision(
    name: str, *intents: str, mode: int = 1, calls: bool = False, retry: Json | None = None, prefix: str = "", **inputs: Any
) -> Part:
    """A decision between intents by name; `default` is the default one."""
    chain = [
        {"id": f"intent-one-of::{one}", "name": one, "description": f"about {one}", "intentType": 1 if one == "default" else 2}
        for one in intents
    ]
    param = {"reasonMode": mode, "useFunctionCall": calls, "promptPrefix": prefix, "intentChains": chain}
    return Part(name, "decision-making", inputs, {"class_name": "string"}, {**llm("any").param, **param}, retry)


def each(
    name: str, array: Any, *, item: str = "item", line: Any = None, outputs: Json | None = None, param: Json | None = None
) -> tuple[Part, Part, Part]:
    """An iteration, the start of its body and its end: `name`, `name-in`, `name-out`; `line` is what a round gives."""
    known = {"line": {"type": "array", "items": {"type": "string"}}} if outputs is None else outputs
    start_ = f"{name}-in"
    return (
        Part(name, "iteration", {item: array}, known, {"IterationStartNodeId": f"iteration-node-start::{start_}", **(param or {})}),
        Part(start_, "iteration-node-start", outputs={item: {}}),
        Part(f"{name}-out", "iteration-node-end", {"line": at(f"{start_}.{item}") if line is None else line}, {}, {"outputMode": 0}),
    )


def again(
    name: str, *, most: int = 10, until: Any = (), variables: Json, ends: Json, outputs: Json | None = None
) -> tuple[Part, Part, Part]:
    """A loop, the start of its body and its end, as `each`. `until` are (variable, operator, value); `ends` what a round gives."""
    start_ = f"{name}-in"
    types = {one: (value[0] if isinstance(value, tuple) else "string") for one, value in variables.items()}
    loop_variables = [
        {"id": f"var-{one}", "name": one, "schema": {"type": types[one]}, "value": value[1] if isinstance(value, tuple) else value}
        for one, value in variables.items()
    ]
    conditions = [{"leftVarIndex": left, "compareOperator": operator, "rightValue": right} for left, operator, right in until]
    param = {
        "LoopStartNodeId": f"loop-node-start::{start_}",
        "maxLoopCount": most,
        "loopVariables": loop_variables,
        "termination": {"logicalOperator": "and", "conditions": conditions},
    }
    return (
        Part(name, "loop", {}, types if outputs is None else outputs, param),
        Part(start_, "loop-node-start", outputs=types),
        Part(f"{name}-out", "loop-node-end", ends, {}, {"outputMode": 0}),
    )


def changed(part: Part, **more: Any) -> Part:
    return replace(part, **more)


def retry(strategy: int = 0, times: int = 0, *, timeout: float = 10, preset: Json | None = None, camel: bool = True) -> Json:
    """`retryConfig`, in the console's spelling or the other one."""
    names = ("shouldRetry", "maxRetries", "errorStrategy", "customOutput")
    if not camel:
        names = ("should_retry", "max_retries", "error_strategy", "custom_output")
    return {"timeout": timeout, **dict(zip(names, (True, times, strategy, preset or {}), strict=True))}


def flow(*parts: Part, edges: str) -> Json:
    """The whole document."""
    ids = {part.name: part.id for part in parts}
    return {"id": "1", "name": "a flow", "data": {"nodes": [_node(part, ids) for part in parts], "edges": list(_edges(edges, ids))}}


def _node(part: Part, ids: dict[str, str]) -> Json:
    data: Json = {
        "nodeMeta": {"nodeType": part.kind, "aliasName": part.name},
        "inputs": [{"id": f"in-{name}", "name": name, "schema": _input(value, ids)} for name, value in part.inputs.items()],
        "outputs": [
            {"id": f"out-{name}", "name": name, "required": name in part.required, "schema": schema_of(schema)}
            for name, schema in part.outputs.items()
        ],
        "nodeParam": part.param,
    }
    if part.retry is not None:
        data["retryConfig"] = part.retry
    return {"id": part.id, "data": data}


def schema_of(schema: Any) -> Json:
    return {"type": schema} if isinstance(schema, str) else schema


def _input(value: Any, ids: dict[str, str]) -> Json:
    if isinstance(value, At):
        name, _, output = value.text.partition(".")
        return {"type": "string", "value": {"type": "ref", "content": {"nodeId": ids.get(name, name), "name": output}}}
    type_, content = value if isinstance(value, tuple) else ("string", value)
    return {"type": type_, "value": {"type": "literal", "content": content}}


def _edges(ways: str, ids: dict[str, str]) -> Any:
    for way in ways.split(";"):
        steps = way.split()
        for before, arrow, after in zip(steps[::2], steps[1::2], steps[2::2], strict=False):
            for source in before.split(","):
                for target in after.split(","):
                    yield {"sourceNodeId": ids.get(source, source), "targetNodeId": ids.get(target, target), "sourceHandle": _handle(arrow)}


def _handle(arrow: str) -> str:
    return {">": "", "!>": "intent_chain|fail_one_of::1"}.get(arrow, arrow[1:-2])
