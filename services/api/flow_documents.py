"""Documents of flows on their way in and out: checked and stripped of keys before a command is written, shaped for readers after.

In comes a document as a client sent it; out goes the one that may be stored, and its hash. What a row looks like to the
clients of `protocol/get` and `get_flow_info` is here as well.
"""

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from events.flow import Document
from projections.flows import Flow
from services.api.problems import Refusal
from services.core.codes import Code
from services.core.definition import digest, replace_secrets, secrets_in
from services.core.graph import compile_
from services.core.problems import Problem
from services.kit.errors import SecretMissing
from services.kit.secrets import Secrets, is_reference


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it may be written, and its name."""

    definition: str
    document: Document


async def checked(document: Document, code: int) -> None:
    """Refuse what cannot be run: 4.12's codes, with `code` for wrong shapes. Raises `Refusal`."""
    try:
        await asyncio.to_thread(compile_, document)
    except Problem as problem:
        raise Refusal(code if problem.code == Code.PROTOCOL_VALIDATION_ERROR else problem.code, problem.message) from None


async def stored(secrets: Secrets, app: str, document: Document, code: int) -> Stored:
    """Check, then exchange keys for references of this app. Raises `Refusal`."""
    await checked(document, code)
    clean = await without_keys(secrets, app, document, code)
    return Stored(digest(clean), clean)


async def without_keys(secrets: Secrets, app: str, document: Document, code: int, *, everywhere: bool = False) -> Document:
    """The document with references of this app in place of keys. Raises `Refusal` with `code` for a reference of another app's."""
    references: dict[str, str] = {}
    for value in secrets_in(document, everywhere=everywhere):
        if not is_reference(value):
            references[value] = await secrets.put(app, value)
            continue
        try:
            await secrets.resolve(app, value)
        except SecretMissing:
            raise Refusal(code, "a secret reference in the document is not known to this app; send the key itself") from None
    return replace_secrets(document, lambda value: references.get(value, value), everywhere=everywhere)


def row_text(flow: Flow, draft: Document | None, release: Document | None) -> str:
    """The row as indented JSON, as `protocol/get` answers it (1.9). Keys stand as references."""
    row = {
        "id": int(flow.flow),
        "group_id": int(flow.group_id),
        "name": flow.name,
        "data": draft or {},
        "release_data": release or {},
        "description": flow.description,
        "version": flow.version,
        "status": flow.status,
        "release_status": flow.release_status,
        "app_id": flow.app,
        "source": flow.source,
        "create_at": _moment(flow.created),
        "tag": flow.tag,
        "update_at": _moment(flow.updated),
    }
    return json.dumps(row, ensure_ascii=False, indent=2)


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).replace(tzinfo=None).isoformat(timespec="seconds")


def tool_of(flow: Flow, document: Document) -> dict[str, Any]:
    """What a caller of the flow must know, as an MCP tool says it: name, description, inputs of the start node."""
    graph: Any = document.get("data", {})
    nodes: list[dict[str, Any]] = graph.get("nodes", [])
    starts = [node for node in nodes if node["id"].startswith("node-start")]
    outputs: list[dict[str, Any]] = starts[0]["data"].get("outputs", []) if starts else []
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {one["name"]: _property(one) for one in outputs},
        "required": [one["name"] for one in outputs if one.get("required")],
    }
    return {"name": flow.name, "description": flow.description, "inputSchema": schema}


def _property(output: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = output.get("schema", {})
    said = {"type": schema.get("type", "string"), "description": schema.get("description", "")}
    allowed: list[str] = output.get("allowedFileType") or []
    return {**said, "fileType": allowed[0]} if output.get("fileType") and allowed else said
