"""`loop`: runs the nodes of its body again and again, carrying variables from round to round (R1, astron.md 0.5 item 15).

The conditions are tested before each round. Outputs of a round that have a variable's name become its value in the next; a
`loop-exit` that was reached ends the loop with its round. After `maxLoopCount` rounds the loop ends as it stands.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.core.codes import Code
from services.core.language.conditions import Logic, Operator, holds, together
from services.core.language.document import InputPart
from services.core.language.kind import Body, Finished, Inputs, Kind, Next, Node, Params
from services.core.language.values import Schema, default_of, type_of
from services.core.problems import Problem
from services.core.running.run_state import Result

_RIGHT = "termination.{}.rightValue"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class VariablePart(_Part):
    """A variable and where its first value comes from: a literal, a reference, an input of the same name, its type's default."""

    id: str = ""
    name: str = Field(min_length=1)
    schema_: Schema = Field(default_factory=dict[str, JsonValue], alias="schema")
    value: JsonValue = None
    initial: JsonValue = Field(default=None, alias="initialValue")
    default: JsonValue = Field(default=None, alias="defaultValue")

    @property
    def configured(self) -> JsonValue:
        """The value as it is written; None where there is none."""
        return next((one for one in (self.value, self.initial, self.default) if one is not None), None)


class ConditionPart(_Part):
    """A condition between variables (by id or name), or between one and a value."""

    left: str = Field(alias="leftVarIndex", min_length=1)
    right: str | None = Field(default=None, alias="rightVarIndex")
    right_value: JsonValue = Field(default=None, alias="rightValue")
    operator: Operator = Field(alias="compareOperator")


class TerminationPart(_Part):
    """When the loop ends."""

    logic: Logic = Field(default="and", alias="logicalOperator")
    conditions: tuple[ConditionPart, ...] = ()


class LoopParams(Params):
    """`maxLoopCount` is 1 to 100."""

    start: str = Field(alias="LoopStartNodeId")
    most: int = Field(default=10, ge=1, le=100, alias="maxLoopCount")
    variables: tuple[VariablePart, ...] = Field(default=(), alias="loopVariables")
    termination: TerminationPart = Field(default_factory=TerminationPart)


def _param(node: Node) -> LoopParams:
    assert isinstance(node.param, LoopParams)
    return node.param


def more_inputs(param: Params) -> Sequence[InputPart]:
    """Values and references of the parameters, as inputs: so they are checked, resolved and recorded as all inputs are."""
    assert isinstance(param, LoopParams)
    given = [(one.name, one.schema_.get("type"), one.configured) for one in param.variables]
    given += [(_RIGHT.format(number), None, one.right_value) for number, one in enumerate(param.termination.conditions)]
    return [_input(name, declared, written) for name, declared, written in given if written is not None]


def _input(name: str, declared: JsonValue, written: JsonValue) -> InputPart:
    value: Any = (
        written if isinstance(written, dict) and written.get("type") in {"literal", "ref"} else {"type": "literal", "content": written}
    )
    type_ = declared or type_of(value.get("content") if value["type"] == "literal" else "")
    return InputPart.model_validate({"name": name, "schema": {"type": type_, "value": value}})


def next_round(node: Node, inputs: Inputs, opened: int, ended: Mapping[int, Result]) -> Next | Finished | None:
    """A further round with the variables as they stand, or the loop's outputs."""
    if len(ended) < opened:
        return None
    param = _param(node)
    first = {one.name: inputs.get(one.name, default_of(one.schema_)) for one in param.variables}
    values: dict[str, JsonValue] = dict(first)
    for number in range(opened):
        values |= ended[number].outputs
    left = opened > 0 and ended[opened - 1].exit
    if left or opened >= param.most or _ends(node, inputs, values):
        return Finished({one.name: values.get(one.name, default_of(one.schema)) for one in node.outputs})
    return Next({name: values[name] for name in first})


def _ends(node: Node, inputs: Inputs, values: Mapping[str, JsonValue]) -> bool:
    param = _param(node)
    names = {one.id: one.name for one in param.variables if one.id} | {one.id: one.name for one in node.inputs if one.id}

    def operand(index: str | None) -> JsonValue:
        name = names.get(index or "", index or "")
        return values[name] if name in values else inputs.get(name)

    def right(number: int, one: ConditionPart) -> JsonValue:
        return inputs[_RIGHT.format(number)] if one.right_value is not None else operand(one.right)

    try:
        conditions = [holds(operand(one.left), one.operator, right(number, one)) for number, one in enumerate(param.termination.conditions)]
    except Problem as problem:
        raise Problem(Code.ITERATION_EXECUTION_ERROR, f"{node.alias}: termination: {problem.message}") from None
    return together(param.termination.logic, conditions)


def check(node: Node) -> None:
    """The conditions speak of variables or inputs, and the body has a start."""
    param = _param(node)
    if not param.start:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: nodeParam.LoopStartNodeId: the id of the start is missing")
    known = {name for one in param.variables for name in (one.id, one.name)} | {name for one in node.inputs for name in (one.id, one.name)}
    for number, one in enumerate(param.termination.conditions):
        for name, index in (("leftVarIndex", one.left), ("rightVarIndex", one.right)):
            if index and index not in known:
                what = f"nodeParam.termination.conditions.{number}.{name}: expected a loop variable (id or name), not {index}"
                raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: {what}")


LOOP = Kind(
    name="loop",
    params=LoopParams,
    body=Body(
        start=lambda node: _param(node).start,
        start_kind="loop-node-start",
        end_kinds=frozenset({"loop-node-end", "loop-exit"}),
        exit_kinds=frozenset({"loop-exit"}),
        next=next_round,
    ),
    more_inputs=more_inputs,
    check=check,
)
