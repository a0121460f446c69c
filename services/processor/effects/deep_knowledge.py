"""Having a knowledge service answer with a model: the effect of a started `knowledge-pro-base` node.

In comes a `DeepKnowledgeRequest`; out come `ToolSent`, a `Piece` for each bit of the answer, `ToolAnswered`, and last `Done` with
the output `result` (what the answer stands on), or `Broke`. An answer that was cut off cannot be continued.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Protocol, cast

from pydantic import JsonValue

from events.node import Problem
from services.core.codes import Code
from services.core.language.values import encodable, read
from services.core.running.effects import Broke, DeepKnowledgeRequest, Done, Outcome, Piece
from services.kit.models.port import ModelFailed
from services.kit.models.register import Providers
from services.kit.outside.outward import CallFailed, Sending
from services.kit.settings import Settings
from services.processor.tools.evidence import Evidence
from services.processor.tools.toolbox import Toolbox

_WHAT = "the knowledge service"


class World(Protocol):
    """What this effect needs of the world."""

    @property
    def settings(self) -> Settings: ...
    @property
    def toolbox(self) -> Toolbox: ...
    @property
    def providers(self) -> Providers: ...


async def perform(request: DeepKnowledgeRequest, world: World) -> AsyncGenerator[Outcome, None]:
    """Ask it, and tell what comes as it comes."""
    if request.recorded:
        yield _broke(Code.KNOWLEDGE_NODE_EXECUTION_ERROR, "the answer was cut off, and this service cannot continue one")
        return
    evidence: Evidence | None = None
    said, result = "", cast("JsonValue", [])
    try:
        sending = await _sending(request, world)
        evidence = Evidence("knowledge-pro", "knowledge-pro", request.body)
        yield evidence.sent
        async with aclosing(world.toolbox.outward.events(sending)) as events:
            async for text in events:
                if text == "[DONE]":
                    break
                kind, content = _data(text)
                if kind == "answer" and isinstance(content, str) and content:
                    said += content
                    yield Piece("content", encodable(content))
                elif kind == "knowledge_metadata":
                    result = content
        yield evidence.answered([said, result])
        yield Done(outputs={"result": result})
    except CallFailed as failure:
        code = Code.KNOWLEDGE_NODE_EXECUTION_ERROR if failure.kind == "timeout" else Code.KNOWLEDGE_REQUEST_ERROR
        if evidence is not None:
            yield evidence.failed(failure, code)
        yield _broke(code, failure.message, temporary=failure.temporary)


async def _sending(request: DeepKnowledgeRequest, world: World) -> Sending:
    url = world.settings.knowledge_pro_url
    if not url:
        raise CallFailed("there is no such knowledge service here: the operator sets KNOWLEDGE_PRO_URL", kind="setting")
    body = cast("dict[str, Any]", request.body)
    model = dict(body["rag"]["llm"])
    if request.provider:
        try:
            found = await world.providers.ask(request.app, request.provider, str(model.get("model") or ""))
        except ModelFailed as failure:
            raise CallFailed(failure.message, kind=failure.kind, temporary=failure.temporary) from None
        named = model.get("model") or next(iter(found.models), "")
        model |= {"base_url": found.url, "model": named, "api_key": found.key, "api_secret": ""}
    else:
        for name in ("api_key", "api_secret"):
            model[name] = await world.toolbox.register.secret(request.app, model[name], "the key of this node")
    keyed = cast("JsonValue", {**body, "rag": {**body["rag"], "llm": model}})
    return Sending(_WHAT, "POST", url, request.quiet_ms / 1000, json=keyed, trusted=True)


def _data(text: str) -> tuple[str, JsonValue]:
    try:
        told = cast("dict[str, Any]", read(text))
        data = cast("dict[str, Any]", told.get("data") or {})
        code = told.get("code", 0)
        kind, content = str(data.get("content_type", "answer")), data.get("content", "")
    except (ValueError, AttributeError):
        raise CallFailed(f"{_WHAT} answered with something that is not understood", kind="no_json") from None
    if code != 0:
        raise CallFailed(f"{_WHAT} failed with its code {str(code)[:32]}", kind=str(code)[:32])
    return kind, content


def _broke(code: Code, message: str, *, temporary: bool = False) -> Broke:
    return Broke(Problem(code=code, message=message), temporary=temporary)
