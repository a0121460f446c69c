"""From what a tool or a service answered to a node's outputs: what is missing or of another type becomes its type's default.

In come declared outputs and a JSON value; out go outputs that fit their declarations. Pure, and never an error.
"""

import json
from collections.abc import Mapping
from typing import cast

from pydantic import JsonValue

from services.core.language.kind import Node, Output
from services.core.language.values import default_of, misfits


def by_name(node: Node, answer: JsonValue) -> dict[str, JsonValue]:
    """An object gives each output its key; what is no object goes to the first output."""
    if isinstance(answer, dict):
        return {one.name: fitting(one, cast("Mapping[str, JsonValue]", answer)) for one in node.outputs}
    first, *others = node.outputs or [None]
    if first is None:
        return {}
    return {first.name: fitting(first, {first.name: answer}), **{one.name: default_of(one.schema) for one in others if one is not None}}


def fitting(output: Output, answer: Mapping[str, JsonValue]) -> JsonValue:
    """The output's value where the answer has it and it is of the declared type, else the default."""
    if output.name not in answer or misfits(answer[output.name], json.dumps(output.schema)):
        return default_of(output.schema)
    return answer[output.name]
