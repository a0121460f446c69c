"""Publishing flows, binding apps to them and unbinding them (astron.md 1.10, 6.1-6.4). Only tenants may.

In come operations on platforms; out go envelopes. Rights are asked from the rows, the bits are the flow's own decision.
"""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from events.commands import BindFlow, PublishFlow, UnbindFlow
from events.topics import flow_stream, slot_of_id
from projections import apps, flows
from services.api.answers.envelopes import success
from services.api.answers.problems import Refusal
from services.api.api import Api, KnownCaller, StrictRoute, TheApi
from services.api.asking.starting import NO_START, flow_id
from services.api.documents.flows import releasable, stored
from services.api.gate.identity import Caller

router = APIRouter(prefix="/workflow/v1", route_class=StrictRoute, tags=["publishing"])
_PUBLISH, _BIND = 20206, 20007
_INT32 = 1 << 31


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class PublishedNode(_Open):
    """A node; only its id is looked at here."""

    id: str


class PublishedEdge(_Open):
    """An edge."""

    sourceNodeId: str  # noqa: N815 (the wire's name)
    targetNodeId: str  # noqa: N815 (the wire's name)
    sourceHandle: str = ""  # noqa: N815 (the wire's name)


class PublishedGraph(_Open):
    """At least a start and an end."""

    nodes: list[PublishedNode] = Field(min_length=2)
    edges: list[PublishedEdge]


class PublishedDocument(_Open):
    """A whole flow document; everything in it is kept."""

    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    description: str = ""
    version: str = Field(pattern=r"^v3(\.\d+)*(\.\d+)$")
    data: PublishedGraph


class Publication(BaseModel):
    """The body of `publish`. `release_status`: 1 publish, 2 publish as API, 3 take off; `plat` 0 is the tenant's own platform."""

    flow_id: str
    release_status: int = Field(ge=-_INT32, lt=_INT32)
    data: PublishedDocument | None = None
    plat: int = Field(0, ge=-_INT32, lt=_INT32)
    version: str = Field("", max_length=128)


class Binding(BaseModel):
    """The body of `auth`."""

    flow_id: str
    app_id: str


@router.post("/publish")
async def publish(body: Publication, api: TheApi, caller: KnownCaller) -> Response:
    """Publish a flow, or take it off."""
    tenant = _tenant(caller)
    wanted = _decimal(body.flow_id, _PUBLISH)
    platform = body.plat or tenant.source
    flow = await _flow(api, wanted)
    if any(tenant.platform_rights & bits != bits for bits in (platform, flow.source)):
        raise Refusal(20003, "plat: the tenant has no right on this platform, or on the one the flow comes from")
    if body.data is None and flow.definition is None and body.release_status != 3:
        raise Refusal(_PUBLISH, "Error details: the flow has no content yet")
    given: dict[str, Any] | None = None if body.data is None else body.data.model_dump(exclude_unset=True)
    document = await stored(api.world.secrets, flow.app, given, _PUBLISH) if given else None
    if document is None and body.release_status != 3:
        await releasable(api.world.database, flow.definition, _PUBLISH)
    command = PublishFlow(
        flow=wanted,
        operation=body.release_status,
        platform=platform,
        flow_version=body.version,
        definition=document and document.definition,
        document=document and document.document,
    )
    await api.commander.change(command, stream=flow_stream(wanted), slot=slot_of_id(wanted), app=caller.app, actor=caller.app)
    return success()


@router.post("/auth")
async def bind(body: Binding, api: TheApi, caller: KnownCaller) -> Response:
    """Let an app run a published flow."""
    _tenant(caller)
    wanted = _decimal(body.flow_id, _BIND)
    if await api.known_apps.find(body.app_id) is None:
        raise Refusal(20001, "app_id: there is no such app")
    await _flow(api, wanted)
    command = BindFlow(flow=wanted, app=body.app_id)
    await api.commander.change(command, stream=flow_stream(wanted), slot=slot_of_id(wanted), app=caller.app, actor=caller.app)
    return success()


@router.delete("/auth")
async def unbind(body: Binding, api: TheApi, caller: KnownCaller) -> Response:
    """Take an app's licence for a flow away: its next call is answered with 20005. Runs that go on are not touched."""
    _tenant(caller)
    wanted = _decimal(body.flow_id, _BIND)
    await _flow(api, wanted)
    command = UnbindFlow(flow=wanted, app=body.app_id)
    await api.commander.change(command, stream=flow_stream(wanted), slot=slot_of_id(wanted), app=caller.app, actor=caller.app)
    return success()


def _tenant(caller: Caller) -> apps.App:
    assert caller.known is not None, "known callers only"
    if not caller.known.is_tenant:
        raise Refusal(20002, "the app is not a tenant")
    return caller.known


def _decimal(text: str, code: int) -> str:
    try:
        return flow_id(text, code)
    except Refusal as no:
        raise Refusal(no.code, f"Error details: {no.message}" if no.code == code else no.message) from None


async def _flow(api: Api, flow: str) -> flows.Flow:
    async with api.world.database.connect() as connection:
        row = await flows.find(connection, flow)
    if row is None:
        raise Refusal(*NO_START["no_flow"])
    return row
