"""Tools: what the caller's flows and bots may use beside models. Only the caller's own; others do not exist.

In come OpenAPI documents, MCP servers, databases and repositories; out go their versions. Changes are commands on the
tool's stream; answers wait until the rows show them.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from events.commands import RemoveTool, StoreTool
from events.topics import slot_of, tool_stream
from projections import tools as rows
from services.api.answers.problems import Json, Missing
from services.api.api import StrictRoute, TheApi, TheCaller
from services.api.documents.tools import ToolBody, shown, terms_of

router = APIRouter(prefix="/v1/tools", route_class=StrictRoute, tags=["tools"])
Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9._@:-]{1,128}$", description="The tool's id, chosen by its app.")]
Wanted = Annotated[str, Query(max_length=64, description="A version; without it the newest.")]


@router.put("/{tool}")
async def store(tool: Id, body: ToolBody, api: TheApi, caller: TheCaller) -> Response:
    """Store a tool, or a new version of it. The same version again changes nothing; with other content it is refused (409)."""
    terms = await terms_of(api.world.secrets, caller.app, tool, body)
    stream = tool_stream(caller.app, tool)
    command = StoreTool.model_validate(terms.model_dump())
    await api.commander.change(command, stream=stream, slot=slot_of(stream), app=caller.app, actor=caller.app)
    return Json({"id": tool, "kind": terms.kind, "version": terms.tool_version, "definition": terms.definition})


@router.get("/{tool}")
async def read(tool: Id, api: TheApi, caller: TheCaller, version: Wanted = "") -> Response:
    """A version of a tool, and which others there are."""
    async with api.world.database.connect() as connection:
        found = await rows.find(connection, caller.app, tool, version)
        versions = await rows.of_app(connection, caller.app, tool)
    if found is None:
        raise Missing("there is no such tool, or no such version of it")
    return Json({**shown(found), "versions": [one.version for one in versions]})


@router.get("")
async def listing(api: TheApi, caller: TheCaller) -> Response:
    """The caller's tools, each in its newest version."""
    async with api.world.database.connect() as connection:
        found = await rows.of_app(connection, caller.app)
    newest = {one.tool: one for one in reversed(found)}
    kept = ("tool", "kind", "name", "description", "version", "definition", "updated")
    return Json({"tools": [{name.replace("tool", "id"): getattr(one, name) for name in kept} for one in newest.values()]})


@router.delete("/{tool}", status_code=204)
async def remove(tool: Id, api: TheApi, caller: TheCaller) -> Response:
    """Remove a tool with all its versions. Its history stays."""
    async with api.world.database.connect() as connection:
        found = await rows.find(connection, caller.app, tool)
    if found is None:
        raise Missing("there is no such tool")
    stream = tool_stream(caller.app, tool)
    await api.commander.change(RemoveTool(tool=tool, app=caller.app), stream=stream, slot=slot_of(stream), app=caller.app, actor=caller.app)
    return Response(status_code=204)
