"""What a tool's operation is sent: values put where the document says they travel.

In come an operation and values by name; out go path, query, headers, cookies and body. A value the model must not give
(`x-from: 1`) is taken from the business values only. Pure.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote

from pydantic import JsonValue

from services.kit.outside.openapi import Operation, Parameter, Schema
from services.kit.outside.outward import CallFailed

_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"})
_BUSINESS = 1
Values = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Sent:
    """The parts of a request. `path` are the values that stand in the address."""

    path: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    query: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    header: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    cookie: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    body: JsonValue = None


def sent(operation: Operation, values: Values, business: Values) -> Sent:
    """Where each value goes. Raises `CallFailed` for one that is needed and missing, or that cannot travel there."""
    parts: dict[str, dict[str, JsonValue]] = {"path": {}, "query": {}, "header": {}, "cookie": {}}
    for one in operation.parameters:
        value = _value(one.name, one.schema, values, business)
        if value is None:
            if one.required or one.place == "path":
                raise _missing(operation, one)
            continue
        if one.place == "header" and one.name.lower() in _OURS:
            raise CallFailed(f"{operation.id}: the header {one.name} is not for tools to set", kind="arguments")
        parts[one.place][one.name] = value
    return Sent(**parts, body=_body(operation, values, business))


def _missing(operation: Operation, one: Parameter) -> CallFailed:
    return CallFailed(f"{operation.id}: the {one.place} parameter {one.name} is needed", kind="arguments")


def _value(name: str, schema: Schema, values: Values, business: Values) -> JsonValue:
    found = business.get(name) if schema.get("x-from") == _BUSINESS else values.get(name)
    return schema.get("default") if found is None else found


def _body(operation: Operation, values: Values, business: Values) -> JsonValue:
    schema = operation.body
    if schema is None:
        return None
    if schema.get("type", "object") != "object":
        return values.get("body")
    if not schema.get("properties"):
        beside = {one.name for one in operation.parameters}
        return {name: value for name, value in values.items() if name not in beside}
    found = _object(schema, values, business)
    for name in cast("list[str]", schema.get("required") or []):
        if name not in found:
            raise CallFailed(f"{operation.id}: the body needs {name}", kind="arguments")
    return found if found or operation.body_required else None


def _object(schema: Schema, values: Values, business: Values) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for name, inner in cast("dict[str, Schema]", schema.get("properties") or {}).items():
        if inner.get("type") == "object" and inner.get("properties"):
            given = values.get(name)
            if isinstance(given, dict) or name in cast("list[str]", schema.get("required") or []):
                found[name] = _object(inner, given if isinstance(given, dict) else {}, business)
            continue
        value = _value(name, inner, values, business)
        if value is not None:
            found[name] = value
    return found


def written(value: JsonValue) -> str:
    """A value as it stands in an address or a header."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(written, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def address(operation: Operation, path: Values) -> str:
    """The address with the values of the path in it; none of them can leave its place."""
    url = operation.url
    for name, value in path.items():
        text = quote(written(value), safe="")
        if text in {"", ".", ".."}:
            raise CallFailed(f"{operation.id}: the path parameter {name} is empty or a dot", kind="arguments")
        url = url.replace(f"{{{name}}}", text)
    return url


def query_of(values: Values) -> tuple[tuple[str, str], ...]:
    """The query: an array repeats its name."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        pairs += [(name, written(one)) for one in value] if isinstance(value, list) else [(name, written(value))]
    return tuple(pairs)


def headers_of(values: Values) -> dict[str, str]:
    """Headers; a value with a line break or beyond Latin-1 is sent in percent signs."""
    return {name: _plain(written(value)) for name, value in values.items()}


def _plain(text: str) -> str:
    fit = text.isprintable() and all(ord(one) < 256 for one in text)
    return text if fit else quote(text)


def form_of(body: JsonValue) -> dict[str, str]:
    """A body as a form."""
    return {name: written(value) for name, value in body.items()} if isinstance(body, dict) else {}


def for_model(operation: Operation) -> dict[str, Any]:
    """JSON Schema of what a model may give: parameters and the body's values side by side, without those of the business."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    for one in operation.parameters:
        if one.schema.get("x-from") != _BUSINESS:
            properties[one.name] = one.schema
            required += [one.name] if one.required else []
    body = operation.body or {}
    for name, schema in cast("dict[str, Schema]", body.get("properties") or {}).items():
        if schema.get("x-from") != _BUSINESS:
            properties.setdefault(name, schema)
            required += [name] if name in (body.get("required") or []) and name not in required else []
    return {"type": "object", "properties": properties, "required": required}
