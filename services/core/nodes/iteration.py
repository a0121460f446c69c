"""`iteration`: runs the nodes of its body once for each element of an array (astron.md 4.9.8).

Each round sees the variables as they were before the first; element i of an output is what round i gave. Rounds follow one
another, or are open side by side where `isParallel` says so; what they show comes in their order in either case.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, JsonValue

from services.core.codes import Code
from services.core.language.kind import Body, Finished, Inputs, Kind, Next, Node, Params
from services.core.language.values import Schema, default_of
from services.core.problems import Problem
from services.core.running.run_state import Result

Strategy = Literal["fail_fast", "continue", "ignore_error_output"]


class IterationParams(Params):
    """`errorStrategy` says what a failed round means: the end, an element by default of its type, or no element."""

    start: str = Field(alias="IterationStartNodeId")
    is_parallel: bool = Field(default=False, alias="isParallel")
    concurrency: int = Field(default=5, ge=1, le=100, alias="maxConcurrency")
    strategy: Strategy = Field(default="fail_fast", alias="errorStrategy")


def _param(node: Node) -> IterationParams:
    assert isinstance(node.param, IterationParams)
    return node.param


def next_round(node: Node, inputs: Inputs, opened: int, ended: Mapping[int, Result]) -> Next | Finished | None:
    """The next element, or all results in order."""
    name = node.inputs[0].name
    elements = inputs[name]
    if not isinstance(elements, list):
        raise Problem(Code.ITERATION_EXECUTION_ERROR, f"{node.alias}: input {name} must be an array")
    if opened < len(elements):
        return Next({name: elements[opened]}, of=len(elements))
    if len(ended) < len(elements):
        return None
    kept = [ended[number] for number in range(len(elements))]
    if _param(node).strategy == "ignore_error_output":
        kept = [one for one in kept if one.problem is None]
    return Finished({one.name: [_element(result, one.name, one.schema) for result in kept] for one in node.outputs})


def _element(result: Result, name: str, schema: Schema) -> JsonValue:
    items = schema.get("items")
    return result.outputs[name] if name in result.outputs else default_of(items) if isinstance(items, dict) else None


def check(node: Node) -> None:
    """It needs its array and the start of its body."""
    if not _param(node).start:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: nodeParam.IterationStartNodeId: the id of the start is missing")
    if not node.inputs:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: an iteration needs an input, its array")


ITERATION = Kind(
    name="iteration",
    params=IterationParams,
    body=Body(
        start=lambda node: _param(node).start,
        start_kind="iteration-node-start",
        end_kinds=frozenset({"iteration-node-end"}),
        next=next_round,
        parallel=lambda node: _param(node).concurrency if _param(node).is_parallel else 1,
        survives=lambda node: _param(node).strategy != "fail_fast",
    ),
    check=check,
)
