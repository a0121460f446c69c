"""Doing a tool call of an agent's model: one step of an `agent` node.

In comes an `AgentCallRequest`; out come `ToolSent`, `ToolAnswered`, a `Piece` of reasoning where it is shown, and `Done` with
what was called and the `response`: a failure is a response too, which the model reads. For a flow that may be called `Pinned`
comes instead: a run of its own does it.
"""

from collections.abc import AsyncGenerator
from typing import Any, Protocol, cast

from pydantic import JsonValue

from services.core.codes import Code
from services.core.language.values import read
from services.core.running.effects import AgentCallRequest, Done, Outcome, Piece, Pinned
from services.core.words.agent_words import used
from services.kit.database import Database
from services.kit.outside.outward import CallFailed
from services.kit.settings import Settings
from services.processor.definitions.releases import look_up
from services.processor.tools.evidence import Evidence
from services.processor.tools.port import Ready
from services.processor.tools.toolbox import Toolbox


class World(Protocol):
    """What this effect needs of the world."""

    @property
    def settings(self) -> Settings: ...
    @property
    def toolbox(self) -> Toolbox: ...
    @property
    def database(self) -> Database: ...


async def perform(request: AgentCallRequest, world: World) -> AsyncGenerator[Outcome, None]:
    """Call it once; what an earlier owner may have done is not done again where the node says so."""
    response: JsonValue
    evidence: Evidence | None = None
    call, target = request.call, request.target
    try:
        if request.is_unknown:
            raise CallFailed("the call was interrupted; it is not known whether it was done, and it is not repeated", kind="unknown")  # noqa: TRY301 (one way for every no)
        if target.get("kind") == "workflow":
            yield await _pinned(request, world)
            return
        ready = await _ready(request, world)
        evidence = Evidence(ready.kind, ready.tool, ready.sent, ready.attributes, call.id)
        yield evidence.sent
        response = await ready.run()
        yield evidence.answered(response)
    except CallFailed as failure:
        if evidence is not None:
            yield evidence.failed(failure, Code.AGENT_NODE_EXECUTION_ERROR)
        response = {"code": failure.kind, "message": failure.message}
    kind = "workflow" if target.get("kind") == "workflow" else "tool"
    told = used(kind, call, request.reason, response, shows=request.shows)
    if told["shown"]:
        yield Piece("reasoning", str(told["shown"]))
    yield Done(outputs=told)


async def _pinned(request: AgentCallRequest, world: World) -> Pinned:
    _arguments(request.call.arguments)
    target = request.target
    found = await look_up(world.database, str(target.get("flow")), str(target.get("version") or ""), request.app)
    if isinstance(found, Pinned):
        return found
    raise CallFailed(found.problem.message, kind="workflow", temporary=found.temporary)


async def _ready(request: AgentCallRequest, world: World) -> Ready:
    target: dict[str, Any] = dict(request.target)
    seconds = min(world.settings.tool_limit_s, request.quiet_ms / 1000)
    arguments = _arguments(request.call.arguments)
    toolbox = world.toolbox
    match target.get("kind"):
        case "tool":
            return await toolbox.plugin(request.app, target["tool"], target["operation"], target["version"], arguments, {}, seconds)
        case "mcp":
            server = await toolbox.mcp.server(request.app, target["server"], target["url"])
            return toolbox.mcp.ready(server, target["tool"], arguments, seconds)
        case _:
            raise CallFailed(f"there is no tool {request.call.name[:100]}", kind="400")


def _arguments(text: str) -> dict[str, JsonValue]:
    try:
        found = read(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CallFailed("the input of the tool must be a JSON object", kind="arguments")
    return cast("dict[str, JsonValue]", found)
