"""Flows as documents: add, get, update, delete, build, and what a published one needs as input (astron.md 1.9).

In come flow documents; out go envelopes. A document is checked before anything is written, and its keys become
references. Changes are commands on the flow's stream; answers wait until the rows show them.
"""

import random
from collections.abc import AsyncIterator

from fastapi import APIRouter
from pydantic import BaseModel, Field, JsonValue, StrictBool
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response, StreamingResponse

from events.commands import DeleteFlow, DraftFlow, ReviseFlow
from events.flow import Document
from events.topics import SLOTS, flow_stream, slot_of_id
from projections import apps, flows
from services.api.answers.compact import record
from services.api.answers.envelopes import success
from services.api.answers.problems import Refusal, sid
from services.api.api import Api, KnownCaller, StrictRoute, TheApi, TheCaller
from services.api.asking.starting import NO_START, flow_id, may_edit
from services.api.documents.flows import checked, releasable, row_text, stored, tool_of
from services.api.following.streams import HEADERS
from services.api.gate.identity import Caller

router = APIRouter(prefix="/workflow/v1", route_class=StrictRoute, tags=["flows"])
_GET, _CREATE, _UPDATE, _DELETE, _BUILD = 20209, 20102, 20104, 20103, 20101


class NewFlow(BaseModel):
    """The body of `protocol/add`."""

    name: str = ""
    description: str = ""
    app_id: str = Field(description="The app that owns the flow.")
    status: int = 0
    data: dict[str, JsonValue] | None = Field(None, description="The flow document (4.1); absent: an empty draft.")
    keep_invalid: StrictBool = Field(default=False, description="Keep a draft that cannot run, and say what is wrong with it.")


class WantedFlow(BaseModel):
    """The body of `protocol/get`. `app_id` is not looked at."""

    flow_id: str


class ChangedFlow(BaseModel):
    """The body of `protocol/update`. Empty values change nothing."""

    name: str | None = None
    description: str | None = None
    app_id: str | None = None
    status: int | None = None
    data: dict[str, JsonValue] | None = None
    keep_invalid: StrictBool = False


class RemovedFlow(BaseModel):
    """The body of `protocol/delete`."""

    flow_id: str
    app_id: str


@router.post("/protocol/add")
async def add(body: NewFlow, api: TheApi, caller: KnownCaller) -> Response:
    """Create a flow."""
    if body.status not in {0, 1}:
        raise Refusal(_CREATE, "status: expected 0 or 1")
    owner = await _owner(api, caller, body.app_id)
    keep = body.keep_invalid and not body.status
    document = await stored(api.world.secrets, owner.app, body.data, _CREATE, keep_invalid=keep) if body.data else None
    flow = api.world.minter.mint(random.randrange(SLOTS))  # noqa: S311 (spreading, not a secret)
    command = DraftFlow(
        flow=flow,
        app=owner.app,
        name=body.name,
        description=body.description,
        status=body.status,
        source=owner.source,
        definition=document and document.definition,
        document=document and document.document,
    )
    await api.commander.change(command, stream=flow_stream(flow), slot=slot_of_id(flow), app=caller.app, actor=caller.app)
    return success({"flow_id": flow, **(document.told if document else {})})


@router.post("/protocol/get")
async def get(body: WantedFlow, api: TheApi, caller: KnownCaller) -> Response:
    """The flow's row, as a JSON text."""
    wanted = flow_id(body.flow_id, _GET)
    async with api.world.database.connect() as connection:
        flow = await _found(connection, wanted)
        if not may_edit(caller, flow.app) and await flows.bound(connection, wanted, caller.app) is None:
            raise Refusal(*NO_START["no_flow"])
        draft = await _document(connection, flow.definition)
        release = await _document(connection, flow.release)
    return success(row_text(flow, draft, release))


@router.post("/protocol/update/{flow}")
async def update(flow: str, body: ChangedFlow, api: TheApi, caller: KnownCaller) -> Response:
    """Change the draft; with a status above 0 it becomes the release, and its app is bound."""
    if body.status is not None and body.status not in {0, 1}:
        raise Refusal(_UPDATE, "status: expected 0 or 1")
    wanted = flow_id(flow, _UPDATE)
    async with api.world.database.connect() as connection:
        row = _editable(caller, await _found(connection, wanted))
    owner = (await _owner(api, caller, body.app_id)).app if body.app_id and body.app_id != row.app else row.app
    keep = body.keep_invalid and not body.status
    document = await stored(api.world.secrets, owner, body.data, _UPDATE, keep_invalid=keep) if body.data else None
    if body.status and document is None:
        await releasable(api.world.database, row.definition, _UPDATE)
    command = ReviseFlow(
        flow=wanted,
        name=body.name or None,
        description=body.description or None,
        status=body.status or None,
        app=body.app_id or None,
        definition=document and document.definition,
        document=document and document.document,
    )
    if command != ReviseFlow(flow=wanted):
        await api.commander.change(command, stream=flow_stream(wanted), slot=slot_of_id(wanted), app=caller.app, actor=caller.app)
    return success(document.told if document else None)


@router.post("/protocol/delete")
async def delete(body: RemovedFlow, api: TheApi, caller: KnownCaller) -> Response:
    """Remove a flow of the app that is named. Its history stays."""
    try:
        wanted = flow_id(body.flow_id, _DELETE)
        async with api.world.database.connect() as connection:
            _editable(caller, await _found(connection, wanted))
    except Refusal as no:
        raise Refusal(_DELETE, no.message) from None
    if not may_edit(caller, body.app_id):
        raise Refusal(_DELETE, "app_id: expected the calling app")
    command = DeleteFlow(flow=wanted, app=body.app_id)
    await api.commander.change(command, stream=flow_stream(wanted), slot=slot_of_id(wanted), app=caller.app, actor=caller.app)
    return success()


@router.post("/protocol/build/{flow}")
async def build(flow: str, api: TheApi, caller: KnownCaller) -> Response:
    """Check the draft: a record with `code:text` where it cannot be built, and always the end record."""
    said = ""
    try:
        wanted = flow_id(flow, _BUILD)
        async with api.world.database.connect() as connection:
            row = _editable(caller, await _found(connection, wanted))
            document = await _document(connection, row.definition)
        await checked(document or {}, _BUILD)
    except Refusal as no:
        said = f"{no.code}:{no.message}"

    async def records() -> AsyncIterator[bytes]:
        if said:
            yield record({"message": said})
        yield record({"end_of_stream": True, "sid": sid()})

    return StreamingResponse(records(), headers=HEADERS, media_type="text/event-stream; charset=utf-8")


@router.get("/get_flow_info/{flow}")
async def flow_info(flow: str, api: TheApi, caller: TheCaller) -> Response:
    """Name, description and inputs of the published flow, as a tool describes itself."""
    wanted = flow_id(flow, _GET)
    async with api.world.database.connect() as connection:
        found = await flows.resolve_start(connection, wanted, "", caller.app, "open")
        if isinstance(found, flows.NoStart):
            raise Refusal(*NO_START[found.reason])
        row = await _found(connection, wanted)
        document = await _document(connection, found.definition)
    return success(tool_of(row, document or {}))


async def _found(connection: AsyncConnection, flow: str) -> flows.Flow:
    row = await flows.find(connection, flow)
    if row is None:
        raise Refusal(*NO_START["no_flow"])
    return row


def _editable(caller: Caller, row: flows.Flow) -> flows.Flow:
    if not may_edit(caller, row.app):
        raise Refusal(*NO_START["no_flow"])
    return row


async def _document(connection: AsyncConnection, definition: str | None) -> Document | None:
    return None if definition is None else await flows.definition(connection, definition)


async def _owner(api: Api, caller: Caller, app: str) -> apps.App:
    """The app a flow shall belong to. Raises `Refusal`: 20001 for an unknown one, 20002 where the caller may not act for it."""
    if not may_edit(caller, app):
        raise Refusal(20002, "app_id: only a tenant may act for another app")
    owner = await api.known_apps.find(app)
    if owner is None:
        raise Refusal(20001, "app_id: there is no such app")
    return owner
