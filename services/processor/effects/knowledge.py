"""Looking up what a knowledge base says: the effect of a started `knowledge-base` node.

In comes a `KnowledgeRequest`; out come evidence (`Retrieved` for repositories of the app's register, `ToolSent` and `ToolAnswered`
for the knowledge service) and last `Done` with the output `results`, or `Broke`. Repositories of the register are used where
the app has one of that id, the service for all others.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from typing import Any, Protocol, cast

from pydantic import JsonValue

from events.node import Problem
from projections.tools import Tool
from services.core.codes import Code
from services.core.language.values import encodable
from services.core.running.effects import Broke, Done, KnowledgeRequest, Outcome, Retrieved
from services.kit.outside.outward import CallFailed, Sending
from services.kit.retrieval.port import Filters, Found, RetrievalFailed, Search
from services.kit.retrieval.retrieval import Retrieval
from services.kit.settings import Settings
from services.processor.tools.evidence import Evidence
from services.processor.tools.toolbox import Toolbox


class World(Protocol):
    """What this effect needs of the world."""

    @property
    def settings(self) -> Settings: ...
    @property
    def toolbox(self) -> Toolbox: ...
    @property
    def retrieval(self) -> Retrieval: ...


async def perform(request: KnowledgeRequest, world: World) -> AsyncGenerator[Outcome, None]:
    """Look it up. Closing the generator ends what is under way."""
    results: list[JsonValue] = []
    evidence: Evidence | None = None
    try:
        own = {one: await world.toolbox.register.find(request.app, one, "repository") for one in request.repositories}
        for tool in own.values():
            if tool is not None:
                began = asyncio.get_running_loop().time()
                found = await _find(request, tool, world)
                yield _retrieved(found, round((asyncio.get_running_loop().time() - began) * 1000))
                results += _results(request, tool, found)
        others = [one for one, tool in own.items() if tool is None]
        if others:
            body = _body(request, others)
            evidence = Evidence("knowledge", ",".join(others)[:256], body)
            sending = _sending(request, world.settings, body, others)
            yield evidence.sent
            served = _served(await world.toolbox.outward.ask(sending))
            yield evidence.answered(cast("JsonValue", served))
            results += served
        yield Done(outputs={"results": cast("JsonValue", results[: request.top] if len(own) > len(others) else results)})
    except (CallFailed, RetrievalFailed) as failure:
        if evidence is not None and isinstance(failure, CallFailed) and failure.kind != "setting":
            yield evidence.failed(failure, Code.KNOWLEDGE_REQUEST_ERROR)
        yield Broke(Problem(code=Code.KNOWLEDGE_REQUEST_ERROR, message=failure.message), temporary=failure.temporary)


def _sending(request: KnowledgeRequest, settings: Settings, body: dict[str, JsonValue], others: list[str]) -> Sending:
    if not settings.knowledge_url:
        missing = ", ".join(one[:64] for one in others[:5])
        raise CallFailed(
            f"this app has no repository {missing}: store it with PUT /v1/tools/{{id}}, or the operator sets KNOWLEDGE_URL", kind="setting"
        )
    return Sending("the knowledge service", "POST", settings.knowledge_url, request.quiet_ms / 1000, json=body, trusted=True)


def _body(request: KnowledgeRequest, repositories: list[str]) -> dict[str, JsonValue]:
    match: dict[str, JsonValue] = {
        "repoId": [*repositories],
        "docIds": [*request.documents],
        "flowId": request.flow,
        "threshold": request.threshold,
    }
    history: list[JsonValue] = [{"role": one.role, "content": one.content} for one in request.history]
    return {"query": request.query, "topN": str(request.top), "ragType": request.rag, "match": match, "history": history}


def _served(answer: JsonValue) -> list[JsonValue]:
    told = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
    if told.get("code", 0) != 0:
        raise CallFailed(f"the knowledge service failed with its code {str(told['code'])[:32]}", kind=str(told["code"])[:32])
    data: Any = told.get("data")
    found: Any = cast("dict[str, Any]", data).get("results") if isinstance(data, dict) else None
    if not isinstance(found, list):
        raise CallFailed("the knowledge service answered without data.results", kind="form")
    return cast("list[JsonValue]", found)


async def _find(request: KnowledgeRequest, tool: Tool, world: World) -> Found:
    content = tool.content
    seconds = request.quiet_ms / 1000
    filters = cast("dict[str, list[str]]", content.get("filters") or {})
    search = Search(
        source=str(content["source"]),
        query=request.query,
        passages=request.top,
        kind=str(content.get("type") or ""),
        token=await world.toolbox.register.secret(request.app, str(content.get("token") or ""), f"the token of {tool.tool}"),
        filters=Filters.of({name: tuple(values) for name, values in filters.items()}),
    )
    try:
        async with asyncio.timeout(seconds):
            return await world.retrieval.find(search)
    except TimeoutError:
        raise RetrievalFailed(f"the repository {tool.tool} was not read within {seconds:g} s", temporary=True) from None


def _retrieved(found: Found, duration_ms: int) -> Retrieved:
    words = hashlib.sha256("\0".join(one.text for one in found.passages).encode("utf-8", "replace")).hexdigest()
    places = tuple((one.path, one.first, one.last) for one in found.passages)
    return Retrieved(found.source, found.revision, found.files, found.skipped, places, words, duration_ms)


def _results(request: KnowledgeRequest, tool: Tool, found: Found) -> list[JsonValue]:
    """Passages in the form of the service's results."""
    wanted = [one for one in found.passages if not request.documents or one.path in request.documents]
    return [
        {
            "score": round(1 / rank, 4),
            "docId": encodable(one.path),
            "title": encodable(one.path),
            "content": encodable(one.text),
            "references": {"repoId": tool.tool, "first": one.first, "last": one.last},
        }
        for rank, one in enumerate(wanted, 1)
    ]
