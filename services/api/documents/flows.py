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
from projections import flows
from projections.flows import Flow
from services.api.answers.problems import Refusal
from services.core.codes import Code
from services.core.language.definition import digest, replace_secrets, secrets_in
from services.core.language.validation import Report, examine
from services.core.problems import Problem
from services.kit.database import Database
from services.kit.errors import SecretMissing
from services.kit.secrets.port import Secrets, is_reference


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it may be written, and its name; `report` is what is wrong with it, `shape` the code of wrong shapes."""

    definition: str
    document: Document
    report: Report
    shape: int

    @property
    def told(self) -> dict[str, list[Any]]:
        """What an answer says of it; nothing where nothing is wrong."""
        problems = [{"code": _code(problem, self.shape), "message": problem.message} for problem in self.report.problems]
        said: dict[str, list[Any]] = {"problems": problems, "warnings": [*self.report.warnings]}
        return {name: found for name, found in said.items() if found}


async def checked(document: Document, code: int) -> tuple[str, ...]:
    """Refuse what cannot be run: 4.12's codes, with `code` for wrong shapes, a line for each problem. Raises `Refusal`.

    What can run and looks like a mistake is answered.
    """
    report = await asyncio.to_thread(examine, document)
    if report.problems:
        raise _refusal(report, code)
    return report.warnings


async def stored(secrets: Secrets, app: str, document: Document, code: int, *, keep_invalid: bool = False) -> Stored:
    """Check, then exchange keys for references of this app. Raises `Refusal`, unless an invalid one is to be kept."""
    report = await asyncio.to_thread(examine, document)
    if report.problems and not keep_invalid:
        raise _refusal(report, code)
    clean = await without_keys(secrets, app, document, code)
    return Stored(digest(clean), clean, report, code)


def _refusal(report: Report, shape: int) -> Refusal:
    return Refusal(_code(report.problems[0], shape), "\n".join(problem.message for problem in report.problems))


def _code(problem: Problem, shape: int) -> int:
    return shape if problem.code == Code.PROTOCOL_VALIDATION_ERROR else problem.code


async def releasable(database: Database, definition: str | None, code: int) -> None:
    """Refuse to release a draft that was kept although it cannot run. Raises `Refusal`."""
    if definition is not None:
        async with database.connect() as connection:
            document = await flows.definition(connection, definition)
        await checked(document or {}, code)


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
