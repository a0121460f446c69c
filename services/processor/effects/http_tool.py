"""Calling an operation of a tool: the effect of a started `plugin` node.

In comes a `ToolRequest`; out come `ToolSent`, `ToolAnswered` and last `Done` with the answer as the output `result`, or
`Broke`. Where nothing could be sent at all there is only `Broke`.
"""

from collections.abc import AsyncGenerator
from typing import Protocol

from events.node import Problem
from services.core.codes import Code
from services.core.running.effects import Broke, Done, Outcome, ToolRequest
from services.kit.outside.outward import CallFailed
from services.processor.tools.evidence import Evidence
from services.processor.tools.toolbox import Toolbox


class World(Protocol):
    """What this effect needs of the world."""

    @property
    def toolbox(self) -> Toolbox: ...


async def perform(request: ToolRequest, world: World) -> AsyncGenerator[Outcome, None]:
    """Call it."""
    business = {name: value for name, value in request.arguments.items() if name in request.business}
    evidence: Evidence | None = None
    try:
        ready = await world.toolbox.plugin(
            request.app, request.tool, request.operation, request.version, request.arguments, business, request.quiet_ms / 1000
        )
        evidence = Evidence(ready.kind, ready.tool, ready.sent, ready.attributes)
        yield evidence.sent
        result = await ready.run()
        yield evidence.answered(result)
        yield Done(outputs={"result": result})
    except CallFailed as failure:
        if evidence is not None:
            yield evidence.failed(failure, Code.PLUGIN_NODE_EXECUTION_ERROR)
        yield Broke(Problem(code=Code.PLUGIN_NODE_EXECUTION_ERROR, message=failure.message), temporary=failure.temporary)
