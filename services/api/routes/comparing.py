"""Versions to compare with: content beside the draft that only a debug run names (astron.md 1.9, `protocolcompare`).

In come a flow and a version's name; out go envelopes. Saving a name again replaces its content; a published version's name
cannot be taken.
"""

from fastapi import APIRouter
from pydantic import BaseModel, Field, JsonValue
from starlette.responses import Response

from events.commands import CompareFlow
from events.topics import flow_stream, slot_of_id
from projections import flows
from services.api.answers.envelopes import success
from services.api.answers.problems import Refusal
from services.api.api import Api, KnownCaller, StrictRoute, TheApi
from services.api.asking.starting import NO_START, flow_id, may_edit
from services.api.documents.flows import stored
from services.api.gate.identity import Caller

router = APIRouter(prefix="/workflow/v1", route_class=StrictRoute, tags=["flows"])
_SAVE, _DELETE, _GET = 20102, 20103, 20209


class ComparedVersion(BaseModel):
    """The body of `protocol/compare/get` and `protocol/compare/delete`."""

    flow_id: str
    version: str = Field(min_length=1, max_length=128)


class ComparedContent(ComparedVersion):
    """The body of `protocol/compare/save`."""

    data: dict[str, JsonValue] = Field(description="The flow document (4.1).")


@router.post("/protocol/compare/save")
async def save(body: ComparedContent, api: TheApi, caller: KnownCaller) -> Response:
    """Save content under a version's name, to be run in debug only."""
    flow = await _editable(api, caller, body.flow_id, _SAVE)
    content = await stored(api.world.secrets, flow.app, body.data, _SAVE)
    await _change(
        api, caller, CompareFlow(flow=flow.flow, flow_version=body.version, definition=content.definition, document=content.document)
    )
    return success()


@router.post("/protocol/compare/get")
async def get(body: ComparedVersion, api: TheApi, caller: KnownCaller) -> Response:
    """The content of a version to compare with. Keys stand as references."""
    flow = await _editable(api, caller, body.flow_id, _GET)
    async with api.world.database.connect() as connection:
        found = (await flows.compared(connection, flow.flow)).get(body.version)
        content = None if found is None else await flows.definition(connection, found)
    if content is None:
        raise Refusal(20201, "version: the flow has no such version to compare with")
    return success(content)


@router.delete("/protocol/compare/delete")
async def delete(body: ComparedVersion, api: TheApi, caller: KnownCaller) -> Response:
    """Remove a version to compare with. Runs of it stay on the record."""
    flow = await _editable(api, caller, body.flow_id, _DELETE)
    await _change(api, caller, CompareFlow(flow=flow.flow, flow_version=body.version))
    return success()


async def _change(api: Api, caller: Caller, wish: CompareFlow) -> None:
    await api.commander.change(wish, stream=flow_stream(wish.flow), slot=slot_of_id(wish.flow), app=caller.app, actor=caller.app)


async def _editable(api: Api, caller: Caller, flow: str, code: int) -> flows.Flow:
    wanted = flow_id(flow, code)
    async with api.world.database.connect() as connection:
        row = await flows.find(connection, wanted)
    if row is None or not may_edit(caller, row.app):
        raise Refusal(*NO_START["no_flow"])
    return row
