"""`node-variable`: stores values for later runs of the chat, or reads them (astron.md 4.9.16).

What is stored is an event of the run that stores it. Reading is an effect: the value may come from any earlier run.
"""

import json
from typing import Literal, cast

from pydantic import Field, JsonValue

from services.core.codes import Code
from services.core.language.kind import Answer, Asking, Finished, Inputs, Kind, Node, Params, Remembered
from services.core.language.values import default_of, misfits
from services.core.problems import Problem
from services.core.running.effects import VariablesRequest
from services.core.variables import pool_of


class VariableParams(Params):
    """`set` stores every input under its name, `get` fills the outputs by name. `flowId` names the pool inside the chat."""

    method: Literal["set", "get"]
    flow: str = Field(alias="flowId")


def ask(node: Node, inputs: Inputs, asking: Asking) -> VariablesRequest | Finished:
    """Store at once, or ask for what is stored."""
    param = node.param
    assert isinstance(param, VariableParams)
    assert asking.terms is not None, "a run has terms"
    pool = pool_of(asking.terms, param.flow)
    if param.method == "get":
        return VariablesRequest(asking.terms.app, asking.terms.run, pool)
    outputs = {one.name: inputs.get(one.name, default_of(one.schema)) for one in node.outputs}
    return Finished(outputs, remembered=Remembered(pool, param.flow, dict(inputs)))


def receive(node: Node, _inputs: Inputs, answer: Answer) -> Finished:
    """The stored values by name, defaults for the others. Raises 22900 where a stored one is not of the declared type."""
    stored = cast("dict[str, JsonValue]", (answer.outputs or {}).get("values") or {})
    outputs: dict[str, JsonValue] = {}
    for one in node.outputs:
        value = stored.get(one.name, default_of(one.schema))
        wrong = misfits(value, json.dumps(one.schema)) if one.name in stored else ""
        if wrong:
            raise Problem(Code.VARIABLE_NODE_EXECUTION_ERROR, f"the stored variable {one.name} is not as declared: {wrong}")
        outputs[one.name] = value
    return Finished(outputs)


def check(node: Node) -> None:
    """Storing needs inputs, reading outputs."""
    param = node.param
    assert isinstance(param, VariableParams)
    missing = "inputs" if param.method == "set" and not node.inputs else "outputs" if param.method == "get" and not node.outputs else ""
    if missing:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: {missing}: a variable node with method {param.method} needs some")


NODE_VARIABLE = Kind(
    name="node-variable",
    params=VariableParams,
    ask=ask,
    receive=receive,
    check=check,
)
