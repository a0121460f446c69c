"""`ifly-code`: runs the author's `main` in a sandbox (astron.md 4.9.7). Here only what is asked and what becomes of the answer.

What `main` returns is an object whose keys are the outputs; a key that is missing gives its output's default. Anything
else it returns is the first output: as it is where it fits, else as text.
"""

import json
from typing import Literal, cast

from pydantic import Field, JsonValue

from services.core.codes import Code
from services.core.language.kind import Answer, Asking, Finished, Inputs, Kind, Node, Params
from services.core.language.values import default_of, encodable, is_of, misfits, read, text_of
from services.core.problems import Problem
from services.core.running.effects import CodeRequest

_WIDEST = 1 << 1023
"""Whole numbers up to here; larger ones are no numbers for most readers of JSON."""


class CodeParams(Params):
    """The text of a module with a function `main`."""

    code: str = Field(min_length=1)
    app_id: str = Field(alias="appId")
    uid: str
    language: Literal["python"] = Field(default="python", alias="codeLanguage")


def ask(node: Node, inputs: Inputs, asking: Asking) -> CodeRequest:
    """The code and its inputs. It may take what `retryConfig` says, and not longer than the node may be silent."""
    param = node.param
    assert isinstance(param, CodeParams)
    limit = min(round(node.retry.timeout * 1000), asking.quiet_ms)
    return CodeRequest(asking.app, param.code, dict(inputs), limit)


def receive(node: Node, _inputs: Inputs, answered: Answer) -> Finished:
    """The outputs from the JSON text of what `main` returned. Raises `Problem` 21602."""
    content = str((answered.outputs or {}).get("text"))
    try:
        answer = read(content)
    except ValueError:
        raise Problem(Code.CODE_NODE_RESULT_TYPE_ERROR, "main must return what JSON can hold: no NaN, not nested too deep") from None
    if _too_wide(answer):
        raise Problem(Code.CODE_NODE_RESULT_TYPE_ERROR, "main must return what JSON can hold: a number is too large")
    raw = encodable(content)
    if not isinstance(answer, dict):
        return Finished(_first(node, answer), raw_output=raw)
    outputs = {one.name: answer[one.name] if one.name in answer else default_of(one.schema) for one in node.outputs}
    for one in node.outputs:
        wrong = misfits(outputs[one.name], json.dumps(one.schema)) if one.name in answer else ""
        if wrong:
            raise Problem(Code.CODE_NODE_RESULT_TYPE_ERROR, f"the result of main: {one.name}: expected {one.schema.get('type')}: {wrong}")
    return Finished(outputs, raw_output=raw)


def _first(node: Node, answer: JsonValue) -> dict[str, JsonValue]:
    outputs = {one.name: default_of(one.schema) for one in node.outputs}
    if node.outputs:
        first = node.outputs[0]
        as_it_is = is_of(answer, str(first.schema.get("type"))) and not misfits(answer, json.dumps(first.schema))
        value = answer if as_it_is else text_of(answer)
        if misfits(value, json.dumps(first.schema)):
            raise Problem(Code.CODE_NODE_RESULT_TYPE_ERROR, f"main must return an object with the outputs; {first.name} is no text")
        outputs[first.name] = value
    return outputs


def _too_wide(value: JsonValue) -> bool:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, int) and abs(one) > _WIDEST:
            return True
        if isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, dict):
            waiting.extend(cast("dict[str, JsonValue]", one).values())
    return False


IFLY_CODE = Kind(
    name="ifly-code",
    params=CodeParams,
    ask=ask,
    receive=receive,
    retries=True,
    limits_attempt=True,
)
