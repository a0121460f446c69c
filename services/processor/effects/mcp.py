"""Calling a tool of an MCP server: the effect of a started `mcp` node.

In comes a `McpRequest`; out come `ToolSent`, `ToolAnswered` and last `Done` with the output `result`, or `Broke`.
"""

from collections.abc import AsyncGenerator
from typing import Protocol

from events.node import Problem
from services.core.codes import Code
from services.core.running.effects import Broke, Done, McpRequest, Outcome
from services.kit.outside.outward import CallFailed
from services.processor.tools.evidence import Evidence
from services.processor.tools.toolbox import Toolbox


class World(Protocol):
    """What this effect needs of the world."""

    @property
    def toolbox(self) -> Toolbox: ...


async def perform(request: McpRequest, world: World) -> AsyncGenerator[Outcome, None]:
    """Call it."""
    tools, seconds = world.toolbox.mcp, request.quiet_ms / 1000
    evidence: Evidence | None = None
    try:
        server = await tools.server(request.app, request.server, request.url)
        ready = tools.ready(server, request.tool, request.arguments, seconds)
        evidence = Evidence(ready.kind, ready.tool, ready.sent, ready.attributes)
        yield evidence.sent
        result = await ready.run()
        yield evidence.answered(result)
        yield Done(outputs={"result": result})
    except CallFailed as failure:
        if evidence is not None:
            yield evidence.failed(failure, Code.NODE_RUN_ERROR)
        yield Broke(Problem(code=Code.NODE_RUN_ERROR, message=failure.message), temporary=failure.temporary)
