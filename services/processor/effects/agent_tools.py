"""What an agent's tools can do: the first step of an `agent` node with tools.

In comes an `AgentToolsRequest`; out comes `Done` with the output `tools`: functions by name with a description, a JSON Schema and
the `target` that a call goes to; or `Broke` where a tool cannot be found: an agent without its tools would only guess.
"""

import re
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Protocol, cast

from pydantic import JsonValue

from events.node import Problem
from projections import flows
from services.core.codes import Code
from services.core.language.graph import Graph, compile_
from services.core.problems import Problem as Wrong
from services.core.running.effects import AgentToolsRequest, Broke, Done, Outcome, Pinned
from services.kit.database import Database
from services.kit.outside.openapi import Operation, operations
from services.kit.outside.outward import CallFailed
from services.processor.definitions.releases import look_up
from services.processor.tools.arguments import for_model
from services.processor.tools.toolbox import Toolbox

_NAME = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST = 60
Function = dict[str, JsonValue]
_TOLD: dict[str, Function] = {"AGENT_USER_INPUT": {"description": "What the flow is asked."}}


class World(Protocol):
    """What this effect needs of the world."""

    @property
    def toolbox(self) -> Toolbox: ...


async def perform(request: AgentToolsRequest, world: World) -> AsyncGenerator[Outcome, None]:
    """Ask all of them."""
    try:
        found = [
            *[one for tool, version in request.tools for one in await _operations(request, world.toolbox, tool, version)],
            *[one for server in request.servers for one in await _of_server(request, world.toolbox, server, "")],
            *[one for url in request.urls for one in await _of_server(request, world.toolbox, "", url)],
            *[one for flow in request.flows for one in await _of_flow(request, world.toolbox.register.database, flow)],
        ]
    except CallFailed as failure:
        yield Broke(Problem(code=Code.AGENT_NODE_EXECUTION_ERROR, message=failure.message), temporary=failure.temporary)
        return
    yield Done(outputs={"tools": cast("JsonValue", _named(found))})


async def _operations(request: AgentToolsRequest, toolbox: Toolbox, tool: str, version: str) -> list[Function]:
    found = await toolbox.register.find(request.app, tool, "openapi", version)
    if found is not None:
        offered = operations(cast("dict[str, Any]", found.content["document"]))
        told = found.description
    elif toolbox.platform.is_there:
        offered, told = await toolbox.platform.operations(request.app, tool, version, request.quiet_ms / 1000), ""
    else:
        raise CallFailed(f"this app has no tool {tool[:100]}: store it with PUT /v1/tools/{{id}}", kind="tool")
    return [_operation(one, tool, found.version if found else version, told) for one in offered.values()]


def _operation(one: Operation, tool: str, version: str, told: str) -> Function:
    target: Function = {"kind": "tool", "tool": tool, "version": version, "operation": one.id}
    return {"name": one.id, "description": one.summary or told, "parameters": cast("JsonValue", for_model(one)), "target": target}


async def _of_server(request: AgentToolsRequest, toolbox: Toolbox, server: str, url: str) -> list[Function]:
    seconds = request.quiet_ms / 1000
    found = await toolbox.mcp.listed(await toolbox.mcp.server(request.app, server, url), seconds)
    return [
        {
            "name": one.name,
            "description": one.description,
            "parameters": one.parameters,
            "target": {"kind": "mcp", "server": server, "url": url, "tool": one.name},
        }
        for one in found
    ]


async def _of_flow(request: AgentToolsRequest, database: Database, flow: str) -> list[Function]:
    pinned = await look_up(database, flow, "", request.app) if flow.isdigit() else None
    if not isinstance(pinned, Pinned):
        if pinned is not None and pinned.temporary:
            raise CallFailed(pinned.problem.message, kind="flow", temporary=True)
        raise CallFailed(f"there is no flow {flow[:32]} that this agent may call", kind="flow")
    async with database.connect() as connection:
        found = await flows.find(connection, flow)
        document = await flows.definition(connection, pinned.definition)
    if found is None or document is None:
        raise CallFailed(f"flow {flow[:32]} cannot be read now; try again", kind="flow", temporary=True)
    try:
        parameters = _parameters(compile_(document))
    except Wrong as wrong:
        raise CallFailed(f"flow {flow[:32]} cannot run here: {wrong.message}", kind="flow") from None
    target: Function = {"kind": "workflow", "flow": flow, "version": pinned.version}
    return [{"name": found.name or f"flow_{flow}", "description": found.description, "parameters": parameters, "target": target}]


def _parameters(graph: Graph) -> JsonValue:
    """What the start node takes, as a JSON Schema."""
    given = graph.nodes[graph.start].outputs
    properties: dict[str, JsonValue] = {one.name: {**_TOLD.get(one.name, {}), **one.schema} for one in given}
    return {"type": "object", "properties": properties, "required": [one.name for one in given if one.required]}


def _named(found: Iterable[Function]) -> list[Function]:
    """Names that a function may have, each once."""
    named: dict[str, Function] = {}
    for one in found:
        name = base = _NAME.sub("_", str(one["name"]))[:_LONGEST] or "tool"
        number = 2
        while name in named:
            name, number = f"{base}_{number}", number + 1
        named[name] = {**one, "name": name}
    return list(named.values())
