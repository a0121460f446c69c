"""`extractor-parameter`: a model picks values out of a text (astron.md 4.9.17). The declared outputs are the schema of what is wanted.

With function calling the model fills a function's arguments, else it answers JSON. A value that is missing has its default; one
that only looks different is mended ("5" for a number); any other mismatch fails the node with 20601, no JSON at all with 21900.
"""

import json
from typing import Literal, cast

from pydantic import Field, JsonValue

from services.core.codes import Code
from services.core.language.kind import Answer, Asking, Finished, Inputs, Kind, Node
from services.core.language.model_params import ModelParams, object_in, rendered
from services.core.language.values import default_of, is_of, misfits, read, text_of
from services.core.problems import Problem
from services.core.running.effects import ChatMessage, ModelRequest, Tool

FUNCTION = "extract_parameters"
_CALL = 0
_BRIEF = 60
_NUMBERS = {"integer", "number"}
_WORDS: dict[str, JsonValue] = {"true": True, "false": False}


class ExtractorParams(ModelParams):
    """`reasonMode` 0 lets the model call a function, 1 asks for JSON. `instruction` is a template."""

    mode: Literal[0, 1] = Field(default=1, alias="reasonMode")
    instruction: str = ""


def _param(node: Node) -> ExtractorParams:
    assert isinstance(node.param, ExtractorParams)
    return node.param


def ask(node: Node, inputs: Inputs, asking: Asking) -> ModelRequest:
    """The text, and what is wanted of it."""
    param = _param(node)
    given = "\n".join(map(text_of, inputs.values())) or " "
    told = rendered(param.instruction, inputs)
    wanted = _schema(node)
    if param.mode == _CALL:
        tool = Tool(FUNCTION, "Takes the values that the user's text holds.", wanted)
        system = (ChatMessage("system", told),) if told else ()
        return param.request(asking, (*system, ChatMessage("user", given)), (tool,), FUNCTION)
    system_ = (
        "Take the values that this JSON Schema describes out of the user's text:\n"
        f"{json.dumps(wanted, ensure_ascii=False)}\n"
        "Answer with one JSON object and nothing else. Leave out what the text does not say."
    )
    return param.request(asking, (ChatMessage("system", f"{system_}\n\n{told}" if told else system_), ChatMessage("user", given)))


def _schema(node: Node) -> dict[str, JsonValue]:
    return {
        "type": "object",
        "properties": {one.name: {name: value for name, value in one.schema.items() if name != "default"} for one in node.outputs},
        "required": [one.name for one in node.outputs if one.required],
    }


def receive(node: Node, _inputs: Inputs, answer: Answer) -> Finished:
    """The values by name. Raises `Problem` 21900 where there is no JSON object, 20601 where a value has the wrong type."""
    found = _called(answer) if answer.calls else object_in(answer.content)
    if found is None:
        raise Problem(Code.EXTRACT_EXECUTION_ERROR, "the model did not answer with a JSON object of the parameters")
    outputs: dict[str, JsonValue] = {}
    for one in node.outputs:
        value = found.get(one.name)
        mended = default_of(one.schema) if value is None else _mended(value, str(one.schema.get("type")))
        wrong = "" if value is None else misfits(mended, json.dumps(one.schema))
        if wrong:
            raise Problem(Code.VARIABLE_POOL_SET_PARAMETER_ERROR, f"Node name: {node.alias}, {one.name}: {wrong}")
        outputs[one.name] = mended
    return Finished(outputs, raw_output=answer.content or answer.calls[0].arguments)


def _called(answer: Answer) -> dict[str, JsonValue] | None:
    try:
        found = read(next((call.arguments for call in answer.calls if call.name == FUNCTION), ""))
    except ValueError:
        return None
    return cast("dict[str, JsonValue]", found) if isinstance(found, dict) else None


def _mended(value: JsonValue, type_: str) -> JsonValue:
    """The value in its declared type, where nothing is lost by it."""
    if is_of(value, type_):
        return int(value) if type_ == "integer" and isinstance(value, float) else value
    if type_ in _NUMBERS and isinstance(value, str) and len(value) < _BRIEF:
        try:
            number = read(value.strip())
        except ValueError:
            return value
        return number if is_of(number, type_) else value
    if type_ == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if type_ == "boolean" and isinstance(value, str):
        return _WORDS.get(value.strip().lower(), value)
    if type_ == "string" and isinstance(value, int | float):
        return text_of(value)
    if type_ == "array" and not isinstance(value, dict | list):
        return [value]
    return value


def check(node: Node) -> None:
    """It needs outputs."""
    if not node.outputs:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: outputs: an extractor needs at least one")


EXTRACTOR_PARAMETER = Kind(
    name="extractor-parameter",
    params=ExtractorParams,
    ask=ask,
    receive=receive,
    retries=True,
    limits_attempt=True,
    check=check,
)
