"""Calling an operation of an OpenAPI document that the app has in its register.

In come the tool's id, the operation and values; out goes a call that is ready. The document says where each value and each
key travels; the answer is JSON, or text where it is none.
"""

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from pydantic import JsonValue

from projections.tools import Tool
from services.core.language.values import encodable, read
from services.kit.outside.openapi import Operation, Scheme, operations
from services.kit.outside.outward import Answer, CallFailed, Outward, Sending, refused
from services.kit.outside.redaction import without
from services.processor.tools.arguments import Sent, address, form_of, headers_of, query_of, sent
from services.processor.tools.port import Ready
from services.processor.tools.register import Register

FORM = "application/x-www-form-urlencoded"


def operation_of(tool: Tool, wanted: str) -> Operation:
    """The operation of this id; a tool with one operation has it under every name that is empty. Raises `CallFailed`."""
    found = operations(cast("Mapping[str, Any]", tool.content["document"]))
    one = found.get(wanted) or (next(iter(found.values())) if not wanted and len(found) == 1 else None)
    if one is None:
        known = ", ".join(sorted(found)[:10])
        raise CallFailed(f"the tool {tool.tool} has no operation {wanted[:100]}; it has {known}", kind="operation")
    return one


async def ready(
    outward: Outward, register: Register, tool: Tool, operation: Operation, values: Mapping[str, JsonValue],
    business: Mapping[str, JsonValue], seconds: float,
) -> Ready:  # fmt: skip
    """The call. Raises `CallFailed` for what is missing before anything goes out."""
    parts = sent(operation, values, business)
    what = f"the tool {tool.tool} ({operation.id})"
    body = parts.body
    sending = Sending(
        what=what,
        method=operation.method,
        url=address(operation, parts.path),
        seconds=seconds,
        headers=headers_of(parts.header),
        query=query_of(parts.query),
        json=None if operation.body_type == FORM else body,
        form=form_of(body) if operation.body_type == FORM and body is not None else None,
        cookies=headers_of(parts.cookie),
    )
    keyed, keys = await _with_keys(register, tool, operation, sending)

    async def run() -> JsonValue:
        return without(result_of(await outward.call(keyed), what), keys)

    attributes: dict[str, JsonValue] = {
        "http.request.method": operation.method,
        "prozess.tool.operation": operation.id,
        "prozess.tool.version": tool.version,
        "prozess.tool.definition": tool.definition,
    }
    return Ready("http", tool.tool, _told(parts), attributes, run)


def _told(parts: Sent) -> JsonValue:
    return {"path": parts.path, "query": parts.query, "header": parts.header, "cookie": parts.cookie, "body": parts.body}


def result_of(answer: Answer, what: str) -> JsonValue:
    """The answer's value. Raises `CallFailed` for a status that is no success, and for JSON that cannot be kept."""
    if not 200 <= answer.status < 300:
        raise refused(what, answer.status)
    if not answer.body.strip():
        return {}
    try:
        return read(answer.text)
    except ValueError:
        if answer.type.endswith("json"):
            raise CallFailed(f"{what} answered with something that is no JSON", kind="no_json") from None
        return encodable(answer.text)


async def _with_keys(register: Register, tool: Tool, operation: Operation, sending: Sending) -> tuple[Sending, list[str]]:
    """The request with the keys of the first way in that is complete, and these."""
    if not operation.security:
        return sending, []
    auth = cast("dict[str, str]", tool.content.get("auth") or {})
    missing = ""
    for way in operation.security:
        keys = {scheme.id: auth.get(scheme.id) or scheme.value for scheme in way}
        if all(keys.values()):
            values = [await register.secret(tool.app, keys[scheme.id], f"the key {scheme.id} of {tool.tool}") for scheme in way]
            for scheme, value in zip(way, values, strict=True):
                sending = _keyed(sending, scheme, value)
            return sending, values
        missing = missing or next(name for name, value in keys.items() if not value)
    raise CallFailed(f"the key {missing} of the tool {tool.tool} is not stored: store the tool with auth.{missing}", kind="key")


def _keyed(sending: Sending, scheme: Scheme, value: str) -> Sending:
    if scheme.kind == "http":
        basic = scheme.name == "basic" and ":" in value
        text = base64.b64encode(value.encode()).decode() if basic else value
        return replace(sending, headers={**sending.headers, "Authorization": f"{scheme.name.capitalize()} {text}"})
    match scheme.place:
        case "query":
            return replace(sending, query=(*sending.query, (scheme.name, value)))
        case "cookie":
            return replace(sending, cookies={**sending.cookies, scheme.name: value})
        case _:
            return replace(sending, headers={**sending.headers, scheme.name: value})
