"""`variable-aggregation`: joins branches, each group's output is the first of its variables that exists (R1, astron.md 4.4).

A variable exists when the node it comes from ran and it is not null. Where none does, the output has its default.
"""

from pydantic import BaseModel, ConfigDict, Field

from services.core.codes import Code
from services.core.language.kind import Finished, Inputs, Kind, Node, Params
from services.core.language.values import default_of
from services.core.problems import Problem


class Group(BaseModel):
    """One output and the inputs it is taken from, by name or id, in order."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    name: str = Field(min_length=1)
    variables: tuple[str, ...] = Field(min_length=1)


class AggregationParams(Params):
    """Without groups every output is taken from all inputs."""

    groups: tuple[Group, ...] = ()


def work(node: Node, inputs: Inputs) -> Finished:
    """The outputs."""
    param = node.param
    assert isinstance(param, AggregationParams)
    names = {one.id: one.name for one in node.inputs} | {one.name: one.name for one in node.inputs}
    groups = {group.name: [names[variable] for variable in group.variables] for group in param.groups}
    outputs = {
        one.name: next((inputs[name] for name in groups.get(one.name, inputs) if inputs[name] is not None), default_of(one.schema))
        for one in node.outputs
    }
    return Finished(outputs)


def check(node: Node) -> None:
    """Groups name outputs and inputs of the node."""
    param = node.param
    assert isinstance(param, AggregationParams)
    inputs = {one.id for one in node.inputs} | {one.name for one in node.inputs}
    outputs = {one.name for one in node.outputs}
    for place, group in enumerate(param.groups):
        where = f"{node.id}: nodeParam.groups.{place}"
        if group.name not in outputs:
            raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{where}.name: the node has no output {group.name}")
        for variable in group.variables:
            if variable not in inputs:
                raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{where}.variables: the node has no input {variable}")


VARIABLE_AGGREGATION = Kind(
    name="variable-aggregation",
    params=AggregationParams,
    work=work,
    sees_absence=True,
    check=check,
)
