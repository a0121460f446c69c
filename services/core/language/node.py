"""One node of a document as compiled, checked by itself (astron.md 4.2, 4.5, 4.7).

In comes its part of the document; out goes a `Node`, or the first `Problem` with the node and the place it is about. What
concerns its neighbours is checked where the graph is.
"""

import json
from collections.abc import Sequence
from functools import lru_cache

from pydantic import JsonValue, ValidationError

from services.core.codes import Code
from services.core.language import document as shapes
from services.core.language.kind import Input, Kind, Node, Output, Params, Source
from services.core.language.kinds import KINDS
from services.core.language.schemas import wrong
from services.core.language.values import MAX_DEPTH, Schema, deeper, is_of, literal, misfits
from services.core.problems import Problem


def node_of(part: shapes.NodePart) -> Node:
    """The node. Raises `Problem`: 22101, and 20100 for parameters of the wrong shape."""
    kind = KINDS.get(part.kind)
    if kind is None:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{part.id}: the node kind {part.kind} is not known")
    try:
        param = kind.params.model_validate(part.data.param)
    except ValidationError as misfit:
        raise Problem(Code.PROTOCOL_VALIDATION_ERROR, f"{part.id}: nodeParam.{shapes.told(misfit)}") from None
    outputs = tuple(Output(one.name, one.required, one.schema_, one.file_type, one.allowed) for one in part.data.outputs)
    node = Node(
        id=part.id,
        kind=kind,
        alias=part.data.meta.alias,
        inputs=_inputs(part, kind, param),
        outputs=outputs,
        param=param,
        retry=part.data.retry,
        schema=_schema(part.id, outputs, closed=kind.name == "node-start"),
    )
    _check_preset(node)
    kind.check(node)
    return node


def _inputs(part: shapes.NodePart, kind: Kind, param: Params) -> tuple[Input, ...]:
    try:
        more = kind.more_inputs(param) if kind.more_inputs else ()
    except ValidationError as misfit:
        raise Problem(Code.PROTOCOL_VALIDATION_ERROR, f"{part.id}: nodeParam: {shapes.told(misfit)}") from None
    taken = {one.name for one in more}
    return tuple(_input(one, part.id) for one in (*(one for one in part.data.inputs if one.name not in taken), *more))


def _input(part: shapes.InputPart, node: str) -> Input:
    declared = part.schema_
    if isinstance(declared.value, shapes.LiteralValue):
        value = literal(declared.value.content, declared.type, f"{node}: input {part.name}")
        return Input(part.id, part.name, declared.type, Source(literal=value))
    reference = declared.value.content
    if not reference.node or not reference.name:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node}: input {part.name}: the reference needs nodeId and name")
    name, *keys = reference.name.split(".")
    return Input(part.id, part.name, declared.type, Source(node=reference.node, name=name, keys=tuple(keys)))


def _schema(node: str, outputs: Sequence[Output], *, closed: bool) -> str:
    properties: dict[str, JsonValue] = {}
    for one in outputs:
        if deeper(one.schema, MAX_DEPTH) or _refers(one.schema):
            raise Problem(
                Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR,
                f"{node}: output {one.name}: a schema may not use $ref nor be nested deeper than {MAX_DEPTH}",
            )
        said = _wrong(json.dumps(one.schema))
        if said:
            raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node}: output {one.name} is no JSON Schema: {said}")
        properties[one.name] = one.schema
    whole: Schema = {"type": "object", "properties": properties, "required": [one.name for one in outputs if one.required]}
    if closed:
        whole["additionalProperties"] = False
    return json.dumps(whole)


_wrong = lru_cache(maxsize=1024)(wrong)
"""Most schemas are one of a few."""


def _refers(part: JsonValue) -> bool:
    if isinstance(part, dict):
        return isinstance(part.get("$ref"), str) or any(map(_refers, part.values()))
    return isinstance(part, list) and any(map(_refers, part))


def _check_preset(node: Node) -> None:
    preset = node.retry.custom_output
    if not preset:
        return
    declared = {one.name: one for one in node.outputs}
    for name, value in preset.items():
        schema = declared[name].schema if name in declared else None
        if schema is None or not is_of(value, str(schema.get("type"))) or misfits(value, json.dumps(schema)):
            raise Problem(
                Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR,
                f"{node.id}: Node set output content: retryConfig.customOutput.{name} does not match format",
            )
    for name, one in declared.items():
        if name not in preset and "default" not in one.schema:
            raise Problem(
                Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: Node set output content: retryConfig.customOutput.{name} is missing"
            )
