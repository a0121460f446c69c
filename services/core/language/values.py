"""Types, defaults, literals and references of the flow language (astron.md 4.5).

In come values of any JSON type and what a node declares; out go values of the declared type, or a `Problem`.
No expression is ever evaluated: a literal is read as JSON.
"""

import json
from collections.abc import Iterable, Mapping
from typing import cast

from pydantic import JsonValue
from referencing.exceptions import Unresolvable

from events.json_text import read_json
from services.core.codes import Code
from services.core.language.schemas import mistakes
from services.core.problems import Problem

Schema = dict[str, JsonValue]

_DEFAULTS: dict[str, str] = {"string": '""', "number": "0.0", "integer": "0", "boolean": "false", "array": "[]", "object": "{}"}
TYPES = frozenset(_DEFAULTS)
_TOLD = 300
"""So many characters of a rule are told."""
MAX_DEPTH = 64
"""How deep a value that was read from a text, or a schema, may be nested: events must stay readable for everybody."""


def default_of(schema: Mapping[str, JsonValue]) -> JsonValue:
    """What a variable holds before anything is stored: the schema's `default`, else by type."""
    if "default" in schema:
        return schema["default"]
    return json.loads(_DEFAULTS.get(str(schema.get("type")), "null"))


def is_of(value: JsonValue, type_: str) -> bool:
    """Whether a value has the type as JSON has it: a boolean is no number, an integer is one."""
    match type_:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case _:
            return True


def type_of(value: JsonValue) -> str:
    """The narrowest type that a value has."""
    return next(type_ for type_ in ("boolean", "integer", "number", "string", "array", "object", "") if not type_ or is_of(value, type_))


def read(text: str) -> JsonValue:
    """The value of a JSON text. Raises `ValueError` for what is no JSON: NaN, lone surrogates, depth over `MAX_DEPTH`, too."""
    value = read_json(text)
    if deeper(value, MAX_DEPTH):
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    return value


def deeper(value: JsonValue, limit: int) -> bool:
    """Whether arrays and objects are nested deeper than `limit`."""
    level: list[JsonValue] = [value]
    for _ in range(limit + 1):
        level = [below for one in level for below in _below(one)]
        if not level:
            return False
    return True


def _below(value: JsonValue) -> Iterable[JsonValue]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def encodable(text: str) -> str:
    """The text without lone surrogates, which no UTF-8 can carry: each becomes `?`."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def literal(value: JsonValue, type_: str, where: str) -> JsonValue:
    """A literal as its declared type. Raises 22101 naming `where` when it cannot be read so."""
    if is_of(value, type_):
        return value
    if type_ == "boolean":
        return value not in ("false", "False")
    if type_ == "string":
        return text_of(value)
    if isinstance(value, str):
        try:
            found = read(value)
        except ValueError:
            found = None
        if found is not None and is_of(found, type_):
            return found
    raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{where}: Failed to convert literal value to {type_}")


def text_of(value: JsonValue) -> str:
    """A value inside a text: strings as they are, everything else as JSON with a space after `:` and `,`."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def compact(value: JsonValue) -> str:
    """Compact JSON, as the end node prints its outputs in mode 0."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def pick(value: JsonValue, schema: Mapping[str, JsonValue], keys: list[str], where: str) -> JsonValue:
    """Follow a dotted path into a value, mapping over arrays of objects.

    A key that the schema does not have is 20600; a key that only the value lacks gives the type's default.
    """
    if not keys:
        return value
    if schema.get("type") == "array" and isinstance(items := schema.get("items"), dict):
        elements = value if isinstance(value, list) else []
        return [pick(element, items, keys, where) for element in elements]
    inner = properties_of(schema).get(keys[0])
    if inner is None:
        raise Problem(Code.VARIABLE_POOL_GET_PARAMETER_ERROR, f"{where}: the schema has no key {keys[0]}")
    below = value[keys[0]] if isinstance(value, dict) and keys[0] in value else default_of(inner)
    return pick(below, inner, keys[1:], where)


def properties_of(schema: Mapping[str, JsonValue]) -> dict[str, Schema]:
    """The `properties` of an object schema; empty where there are none."""
    found = schema.get("properties")
    return cast("dict[str, Schema]", found) if isinstance(found, dict) else {}


def misfits(value: JsonValue, schema: str) -> str:
    """What of `value` breaks the JSON Schema (draft 7, given as JSON text): sentences joined by `; `, empty if nothing."""
    try:
        found = mistakes(value, schema)
    except (ArithmeticError, RecursionError, Unresolvable, Problem):
        return "the value cannot be checked against its schema"
    return "; ".join(
        f"{'.'.join(map(str, error.absolute_path)) or 'the value'}: {_said(error.validator, error.validator_value)}" for error in found
    )


def _said(rule: object, wanted: object) -> str:
    if rule == "required":
        return f"these are required: {', '.join(cast('list[str]', wanted))[:_TOLD]}"
    if rule == "additionalProperties":
        return "there is an unknown key"
    return f"it breaks {rule} = {json.dumps(wanted, ensure_ascii=False)[:_TOLD]}"
