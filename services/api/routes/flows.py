"""Flows as the record knows them: list, one flow, its content, what differs between two versions, who changed what and when.

In come ids and cursors; out goes JSON. Those see a flow who may edit it; for all others it does not exist.
"""

import json
from dataclasses import asdict
from typing import Annotated, Any

import jsonpatch
from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from events.flow import Document
from projections import audit_events, flows
from projections.audit_events import AuditFilter
from projections.schema import BadCursor
from services.api.answers.problems import BadRequest, Json, Missing
from services.api.api import StrictRoute, TheApi, TheCaller
from services.api.asking.starting import may_edit, run_id
from services.api.gate.identity import Caller
from services.api.routes.runs import Cursor, Limit

router = APIRouter(prefix="/v1/flows", route_class=StrictRoute, tags=["flows"])
Which = Annotated[str, Query(max_length=128, description="`draft`, `release`, a published version, or a version to compare with.")]


@router.get("")
async def listing(api: TheApi, caller: TheCaller, cursor: Cursor = "", limit: Limit = 50) -> Response:
    """The caller's flows, newest first."""
    async with api.world.database.connect() as connection:
        try:
            page = await flows.page(connection, caller.app, cursor or None, limit)
        except BadCursor as wrong:
            raise BadRequest(f"cursor: {wrong}") from None
    return Json({"flows": [_shown(flow) for flow in page.flows], "cursor": page.cursor})


@router.get("/{flow_id}")
async def one(flow_id: str, api: TheApi, caller: TheCaller) -> Response:
    """A flow: its draft and release by hash, its versions in the order in which a start takes them, the apps that may run it."""
    async with api.world.database.connect() as connection:
        flow = await _mine(connection, caller, flow_id)
        versions = await flows.versions(connection, flow.flow)
        compared = await flows.compared(connection, flow.flow)
        bindings = await flows.bindings(connection, flow.flow)
    more = {"versions": [asdict(version) for version in versions], "compared": compared, "bindings": bindings}
    return Json({**_shown(flow), **more})


@router.get("/{flow_id}/document")
async def document(flow_id: str, api: TheApi, caller: TheCaller, version: Which = "draft") -> Response:
    """What a version runs. Keys stand as references."""
    async with api.world.database.connect() as connection:
        flow = await _mine(connection, caller, flow_id)
        definition, content = await _content(connection, flow, version, "version")
    return Json({"flow_id": flow.flow, "version": version, "definition": definition, "document": content})


@router.get("/{flow_id}/diff")
async def diff(
    flow_id: str,
    api: TheApi,
    caller: TheCaller,
    from_: Annotated[Which, Query(alias="from")] = "release",
    to: Which = "draft",
) -> Response:
    """What leads from one version to the other, as a JSON Patch (RFC 6902)."""
    async with api.world.database.connect() as connection:
        flow = await _mine(connection, caller, flow_id)
        before, old = await _content(connection, flow, from_, "from")
        after, new = await _content(connection, flow, to, "to")
    patch: Any = jsonpatch.make_patch(old, new)
    operations = json.loads(patch.to_string())
    said = {"from": {"version": from_, "definition": before}, "to": {"version": to, "definition": after}}
    return Json({"flow_id": flow.flow, **said, "equal": before == after, "patch": operations})


@router.get("/{flow_id}/changes")
async def changes(flow_id: str, api: TheApi, caller: TheCaller, cursor: Cursor = "", limit: Limit = 50) -> Response:
    """Who changed what and when, newest first."""
    async with api.world.database.connect() as connection:
        flow = await _mine(connection, caller, flow_id)
        try:
            page = await audit_events.page(connection, AuditFilter(stream=f"flow-{flow.flow}"), cursor or None, limit)
        except BadCursor as wrong:
            raise BadRequest(f"cursor: {wrong}") from None
    said = [
        {"type": one.type, "time": one.time, "actor": one.actor, "position": one.position, "id": one.id, "data": one.data}
        for one in page.events
    ]
    return Json({"changes": said, "cursor": page.cursor})


def _shown(flow: flows.Flow) -> dict[str, Any]:
    said = asdict(flow)
    for inner in ("partition", "offset", "group_id", "tag", "is_deleted", "version"):
        del said[inner]
    said["flow_id"] = said.pop("flow")
    return {**said, "is_callable": flows.is_callable(flow.release_status)}


async def _mine(connection: AsyncConnection, caller: Caller, flow: str) -> flows.Flow:
    wanted = run_id(flow)
    row = None if wanted is None else await flows.find(connection, wanted)
    if row is None or not may_edit(caller, row.app):
        raise Missing("there is no such flow")
    return row


async def _content(connection: AsyncConnection, flow: flows.Flow, version: str, field: str) -> tuple[str, Document]:
    """The hash and the document. Raises `Missing` for a version that is not there."""
    published = {one.version: one.definition for one in await flows.versions(connection, flow.flow)}
    known = {**await flows.compared(connection, flow.flow), **published, "draft": flow.definition, "release": flow.release}
    definition = known.get(version)
    content = None if definition is None else await flows.definition(connection, definition)
    if definition is None or content is None:
        raise Missing(f"{field}: the flow has no such version; GET /v1/flows/{flow.flow} lists them")
    return definition, content
