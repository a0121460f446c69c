"""Asking a service that the operator names (RPA, memory): the effect of started `rpa`, `memory-add` and `memory-search` nodes.

In comes a `ServiceRequest`; out come `ToolSent`, `ToolAnswered` and last `Done` with the output `result`, or `Broke`. RPA answers
with server-sent events, the last of which holds the result; memory with one object. A code other than 0 is a failure.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Protocol, cast

from pydantic import JsonValue

from events.node import Problem
from services.core.codes import Code
from services.core.language.values import read
from services.core.running.effects import Broke, Done, Outcome, ServiceRequest
from services.kit.outside.outward import CallFailed, Outward, Sending
from services.kit.settings import Settings, variable
from services.processor.tools.evidence import Evidence
from services.processor.tools.toolbox import Toolbox

_PATHS = {"rpa": ("rpa_url", "/rpa/v1/exec"), "memory-add": ("memory_url", "/add"), "memory-search": ("memory_url", "/search")}


class World(Protocol):
    """What this effect needs of the world."""

    @property
    def settings(self) -> Settings: ...
    @property
    def toolbox(self) -> Toolbox: ...


async def perform(request: ServiceRequest, world: World) -> AsyncGenerator[Outcome, None]:
    """Ask it."""
    evidence: Evidence | None = None
    try:
        sending = await _sending(request, world)
        evidence = Evidence(request.service, request.service, request.body)
        yield evidence.sent
        result = await (_streamed if request.service == "rpa" else _whole)(world.toolbox.outward, sending)
        yield evidence.answered(result)
        yield Done(outputs={"result": result})
    except CallFailed as failure:
        if evidence is not None:
            yield evidence.failed(failure, Code.NODE_RUN_ERROR)
        yield Broke(Problem(code=Code.NODE_RUN_ERROR, message=failure.message), temporary=failure.temporary)


async def _sending(request: ServiceRequest, world: World) -> Sending:
    setting, path = _PATHS[request.service]
    base = str(getattr(world.settings, setting))
    if not base:
        raise CallFailed(f"there is no {request.service} service here: the operator sets {variable(setting)}", kind="setting")
    key = await world.toolbox.register.secret(request.app, request.key, "the key of this node")
    return Sending(
        what=f"the {request.service} service",
        method="POST",
        url=base.rstrip("/") + path,
        seconds=request.quiet_ms / 1000,
        headers={"Authorization": key} if key else {},
        json=request.body,
        trusted=True,
    )


async def _whole(outward: Outward, sending: Sending) -> JsonValue:
    return _data(await outward.ask(sending), sending.what)


async def _streamed(outward: Outward, sending: Sending) -> JsonValue:
    result: JsonValue = {}
    async with aclosing(outward.events(sending)) as events:
        async for text in events:
            try:
                result = _data(read(text), sending.what)
            except ValueError:
                raise CallFailed(f"{sending.what} answered with something that is no JSON", kind="no_json") from None
    return result


def _data(answer: JsonValue, what: str) -> JsonValue:
    told = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
    code = told.get("code", 0)
    if code not in {0, "0"}:
        raise CallFailed(f"{what} failed with its code {str(code)[:32]}", kind=str(code)[:32])
    return cast("JsonValue", told.get("data") or {}) if "data" in told else answer
