"""Trying a node or a code without a flow (astron.md 1.7, 1.8). Each try is a run of the caller's app, on the record.

In come a node, or a code and its variables; out go envelopes. Nothing runs here: the processor does, in its sandbox.
"""

import json
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, JsonValue, field_validator
from starlette.responses import Response

from events.commands import StartRun
from events.envelope import Protected, Values
from events.flow import Document
from events.run import Turn
from services.api.answers.problems import Json, Refusal
from services.api.api import Api, KnownCaller, StrictRoute, TheApi
from services.api.asking.single_nodes import CODE, Single, debugging, running_code
from services.api.asking.starting import judged, launch
from services.api.asking.subjects import subject_of
from services.api.dialects.astron import sid_of
from services.api.documents.flows import stored
from services.api.following.streams import EVENT_ID, whole
from services.api.gate.identity import Caller

router = APIRouter(prefix="/workflow/v1", route_class=StrictRoute, tags=["debugging"])
CODE_S = 10.0
"""How long a code may take that stands in no node."""
_DEBUG = 21700


class DrawnGraph(BaseModel):
    """Nodes and edges as drawn."""

    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]] = []


class DebuggedNode(BaseModel):
    """The body of `node/debug`: a document of which the first node is run. Inputs should be literals."""

    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    description: str = ""
    data: DrawnGraph


class Variable(BaseModel):
    """A value and the parameter of `main` that takes it."""

    name: str = Field(min_length=1)
    content: JsonValue


class TriedCode(BaseModel):
    """The body of `code/run`. `app_id` and `flow_id` are noted; the run is the calling app's."""

    code: str = Field(min_length=1)
    variables: list[Variable]
    app_id: str = Field(min_length=1)
    uid: str = Field(min_length=1, max_length=128)
    flow_id: str = ""

    @field_validator("variables")
    @classmethod
    def _differ(cls, variables: list[Variable]) -> list[Variable]:
        if len({one.name for one in variables}) < len(variables):
            raise ValueError("two variables have the same name")
        return variables


@router.post("/node/debug")
async def debug_node(body: DebuggedNode, api: TheApi, caller: KnownCaller, request: Request) -> Response:
    """Run one node alone and tell what it took, gave and cost."""
    return await _debug(api, caller, request, body, "", "data")


@router.post("/node/debug/{node_id}")
async def debug_named_node(node_id: str, body: DebuggedNode, api: TheApi, caller: KnownCaller, request: Request) -> Response:
    """The same for the node of this id, answered in `payload`, as old consoles read it."""
    return await _debug(api, caller, request, body, node_id, "payload")


@router.post("/code/run")
@router.post("/run")
async def run_code(body: TriedCode, api: TheApi, caller: KnownCaller, request: Request) -> Response:
    """Run a code as a code node would and answer what its `main` returned."""
    variables = {one.name: one.content for one in body.variables}
    drawn, parameters = running_code(body.code, variables, body.app_id, CODE_S)
    noted: dict[str, JsonValue] = {"tried": "code", "app_id": body.app_id, "flow_id": body.flow_id}
    fold = Single(CODE)
    run, answered = await _run(api, caller, request, drawn, fold, uid=body.uid, parameters=parameters, noted=noted, is_judged=False)
    if answered is None:
        return Response(status_code=204, headers={EVENT_ID: run})
    return _said(run, "data", json.loads(answered["raw_output"]))


async def _debug(api: Api, caller: Caller, request: Request, body: DebuggedNode, wanted: str, name: str) -> Response:
    nodes = body.data.nodes
    if not nodes:
        raise Refusal(_DEBUG, "data.nodes: expected the node to debug")
    node = next((one for one in nodes if one.get("id") == wanted), nodes[0])
    is_judged = judged(api, caller, "debug")
    drawn = debugging(body.id, body.name, body.data.model_dump(), node, told=is_judged)
    fold = Single(str(node.get("id")), only_outputs=is_judged)
    noted: dict[str, JsonValue] = {"tried": "node", "node": fold.node, "flow_id": body.id}
    run, answered = await _run(api, caller, request, drawn, fold, noted=noted, is_judged=is_judged)
    if answered is None:
        return Response(status_code=204, headers={EVENT_ID: run})
    return _said(run, name, {**answered, "node_type": node["data"]["nodeMeta"]["nodeType"]})


async def _run(
    api: Api,
    caller: Caller,
    request: Request,
    drawn: Document,
    fold: Single,
    *,
    uid: str = "",
    parameters: dict[str, JsonValue] | None = None,
    noted: dict[str, JsonValue],
    is_judged: bool,
) -> tuple[str, dict[str, Any] | None]:
    """Start a run of this definition and wait for its end. None where the client left. Raises `Refusal` with the run's code."""
    definition = await stored(api.world.secrets, caller.app, drawn, _DEBUG)

    def wish(run: str) -> StartRun:
        subject = subject_of(caller.app, uid=uid, run=run)
        return StartRun(
            run=run,
            app=caller.app,
            subject=subject,
            uid=Protected[str](subject=subject, words=uid),
            flow="",
            definition=definition.definition,
            document=definition.document,
            mode="debug",
            surface="astron",
            stream=False,
            parameters=Values(subject=subject, words=parameters or {}),
            history=Protected[tuple[Turn, ...]](subject=subject, words=()),
            ext=Protected[dict[str, JsonValue]](subject=subject, words=noted),
        )

    run, follower = await launch(api, caller, wish, is_judged=is_judged, veiled=False)
    try:
        return run, await whole(follower, request, api.world.settings.ping_s, fold.add)
    except Refusal as failure:
        raise Refusal(failure.code, failure.message, failure.status, {EVENT_ID: run}) from None


def _said(run: str, name: str, value: Any) -> Response:
    said: dict[str, Any] = {"code": 0, "message": "success"}
    if value:
        said[name] = value
    return Json({**said, "sid": sid_of(run)}, headers={EVENT_ID: run})
