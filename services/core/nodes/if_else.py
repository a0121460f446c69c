"""`if-else`: takes the first case whose conditions hold (astron.md 4.9.6). Level 999 is the else.

A case that cannot be evaluated (a number against a word) is passed over. Where nothing matches and there is no else the
node fails with 23100; the original takes the last case although it is false (weak point 32).
"""

from collections.abc import Collection

from pydantic import BaseModel, ConfigDict, Field

from services.core.codes import Code
from services.core.language.conditions import Logic, Operator, holds, together
from services.core.language.kind import Finished, Inputs, Kind, Node, Params
from services.core.problems import Problem

_ELSE = 999


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ConditionPart(_Part):
    """A condition between two inputs, by their ids."""

    left: str = Field(alias="leftVarIndex", min_length=1)
    right: str | None = Field(default=None, alias="rightVarIndex")
    operator: Operator = Field(alias="compareOperator")


class CasePart(_Part):
    """One branch."""

    id: str = Field(pattern=r"^branch_one_of::[0-9a-zA-Z-]+")
    level: int = Field(ge=1)
    logic: Logic = Field(default="and", alias="logicalOperator")
    conditions: tuple[ConditionPart, ...] = ()


class IfElseParams(Params):
    """The cases in the order in which they are tried."""

    cases: tuple[CasePart, ...] = Field(min_length=2)


def _cases(node: Node) -> tuple[CasePart, ...]:
    assert isinstance(node.param, IfElseParams)
    return node.param.cases


def work(node: Node, inputs: Inputs) -> Finished:
    """The branch of the first case that holds."""
    names = {one.id: one.name for one in node.inputs}

    def of(case: CasePart) -> bool:
        if case.level == _ELSE:
            return True
        try:
            return together(
                case.logic,
                [holds(inputs[names[one.left]], one.operator, inputs[names[one.right]] if one.right else None) for one in case.conditions],
            )
        except Problem:
            return False

    chosen = next((case for case in _cases(node) if of(case)), None)
    if chosen is None:
        raise Problem(
            Code.IF_ELSE_NODE_EXECUTION_ERROR, f"Branch not found: no case of {node.alias} holds, and it has no else (level {_ELSE})"
        )
    return Finished({"res": True}, handle=chosen.id)


def handles(node: Node) -> Collection[str]:
    """A branch for each case."""
    return [case.id for case in _cases(node)]


def check(node: Node) -> None:
    """Conditions compare inputs of this node, and no two cases have the same id."""
    known = {one.id for one in node.inputs}
    seen: set[str] = set()
    for number, case in enumerate(_cases(node)):
        where = f"{node.id}: nodeParam.cases.{number}"
        if case.id in seen:
            raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{where}.id: two cases have the id {case.id}")
        seen.add(case.id)
        for place, one in enumerate(case.conditions):
            for name, index in (("leftVarIndex", one.left), ("rightVarIndex", one.right)):
                if index and index not in known:
                    raise Problem(
                        Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR,
                        f"{where}.conditions.{place}.{name}: expected the id of an input of this node, not {index}",
                    )


IF_ELSE = Kind(name="if-else", params=IfElseParams, work=work, handles=handles, gates=True, check=check)
