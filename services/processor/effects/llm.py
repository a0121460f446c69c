"""Asking a model: the effect of a started `spark-llm` node.

In comes a `ModelRequest`; out come `Called`, a `Piece` for each bit of text the provider sends, `Responded`, and last
`Done` or `Broke`. Where nothing could be sent at all (no endpoint, no key to be found, text that cannot be continued)
there is only `Broke`. Nothing is tried twice here: an attempt is an event, and the decider decides about the next.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from pydantic import JsonValue

from events.node import Problem
from services.core.codes import Code
from services.core.running.effects import Broke, Called, ChatMessage, Done, FunctionCall, ModelRequest, Outcome, Piece, Responded, Tool
from services.core.words.react import React
from services.kit.ids import new_id
from services.kit.models.port import Call, ModelFailed, Noted, Question, Token
from services.kit.models.port import FunctionCall as FunctionCalled
from services.kit.models.provider import Models
from services.kit.models.register import Providers
from services.kit.secrets.port import Secrets
from services.kit.settings import Settings
from services.kit.telling.logs import logger, place_of
from services.kit.telling.metrics import Metrics
from services.processor.where import Where, where


class World(Protocol):
    """What this effect needs of the world."""

    @property
    def settings(self) -> Settings: ...
    @property
    def secrets(self) -> Secrets: ...
    @property
    def models(self) -> Models: ...
    @property
    def providers(self) -> Providers: ...
    @property
    def metrics(self) -> Metrics: ...


async def perform(request: ModelRequest, world: World) -> AsyncGenerator[Outcome, None]:
    """Ask, and tell what comes as it comes. Closing the generator (or cancelling what waits for it) ends the call at once."""
    try:
        call = world.models.call(_question(request, await where(request, world)))
    except ModelFailed as failure:
        world.metrics.model_calls.labels("failed").inc()
        yield _broke(failure)
        return
    watch = _Watch()
    outcome = "cancelled"
    try:
        yield Called(call.attributes, digest(call.body), call.continues)
        reader = React() if request.is_react else None
        async with aclosing(_pieces(call, watch, world.metrics)) as pieces:
            async for piece in pieces:
                for told in _read(reader, piece):
                    yield told
        if reader is not None and watch.failure is None:
            for stage, text in reader.finish():
                yield Piece(stage, text)
            action = reader.call(f"call-{new_id()}")
            watch.calls += [action] if action else []
        failure = watch.failure
        outcome = "completed" if failure is None else "timed_out" if failure.kind == "timeout" else "failed"
        yield watch.responded()
        yield Done(watch.noted.usage, calls=tuple(watch.calls)) if failure is None else _broke(failure)
    finally:
        world.metrics.model_calls.labels(outcome).inc()
        if usage := watch.noted.usage:
            world.metrics.model_tokens.labels("input").inc(usage.input_tokens)
            world.metrics.model_tokens.labels("output").inc(usage.output_tokens)


class _Watch:
    """What is known of a call so far: times (milliseconds of the loop's clock), the text's digest, the provider's notes."""

    def __init__(self) -> None:
        self.noted = Noted()
        self.failure: ModelFailed | None = None
        self.calls: list[FunctionCall] = []
        self.first_ms: int | None = None
        self.text = hashlib.sha256()
        self._loop = asyncio.get_running_loop()
        self._begin = self._loop.time()

    def elapsed_ms(self) -> int:
        return round((self._loop.time() - self._begin) * 1000)

    def responded(self) -> Responded:
        failure = self.failure
        return Responded(
            attributes=_attributes(self.noted, failure),
            response_digest=self.text.hexdigest(),
            duration_ms=self.elapsed_ms(),
            first_token_ms=self.first_ms,
            problem=None if failure is None else Problem(code=failure.code, message=failure.message),
        )


async def _pieces(call: Call, watch: _Watch, metrics: Metrics) -> AsyncGenerator[Piece, None]:
    """The text as it comes; everything else is noted, a failure too."""
    try:
        async with aclosing(call.stream()) as parts:
            async for part in parts:
                if isinstance(part, Noted):
                    watch.noted = watch.noted.plus(part)
                elif isinstance(part, FunctionCalled):
                    watch.calls.append(FunctionCall(part.id, part.name, part.arguments))
                if not isinstance(part, Token):
                    continue
                if watch.first_ms is None:
                    watch.first_ms = watch.elapsed_ms()
                    metrics.model_first_token_seconds.observe(watch.first_ms / 1000)
                if part.stage == "content":
                    watch.text.update(_bytes(part.text))
                yield Piece(part.stage, part.text)
    except ModelFailed as failure:
        watch.failure = failure
    except Exception as error:  # noqa: BLE001 (a mistake of ours ends the node, not the partition)
        name = type(error).__name__
        logger(__name__).error("model_call_failed", error=name, place=place_of(error))
        watch.failure = ModelFailed(f"the call of the model failed ({name})", kind=name, code=Code.LLM_NODE_EXECUTION_ERROR)


def _read(reader: React | None, piece: Piece) -> list[Piece]:
    """The pieces of a turn in textual form; thinking of the model's own stays as it is."""
    if reader is None or piece.stage == "reasoning":
        return [piece]
    return [Piece(stage, text) for stage, text in reader.feed(piece.text)]


def _question(request: ModelRequest, way: Where) -> Question:
    return Question(
        url=way.url,
        model=way.model,
        is_trusted=way.is_trusted,
        provider=way.provider,
        revision=way.revision,
        messages=tuple((message.role, message.content) for message in request.messages),
        more={place: more for place, message in enumerate(request.messages) if (more := _more(message))},
        tools=tuple(_tool(tool) for tool in request.tools),
        tool_choice=_choice(request.tool_choice),
        key=way.key,
        temperature=request.temperature,
        max_tokens=request.max_tokens,
        extra=request.extra,
        recorded=request.recorded,
        recorded_reasoning=request.recorded_reasoning,
        quiet_s=request.quiet_ms / 1000,
    )


def _more(message: ChatMessage) -> dict[str, JsonValue]:
    """What a message says beside its text: the functions that an assistant called, or which call a tool answers."""
    more: dict[str, JsonValue] = {"tool_call_id": message.answers} if message.answers else {}
    if message.calls:
        more["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in message.calls
        ]
    return more


def _tool(tool: Tool) -> JsonValue:
    return {"type": "function", "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters}}


def _choice(choice: str) -> JsonValue:
    if choice in {"", "auto", "required", "none"}:
        return choice or None
    return {"type": "function", "function": {"name": choice}}


def _attributes(noted: Noted, failure: ModelFailed | None) -> dict[str, JsonValue]:
    usage = noted.usage
    found: dict[str, JsonValue] = {
        "gen_ai.response.id": noted.id,
        "gen_ai.response.model": noted.model,
        "gen_ai.response.finish_reasons": [noted.finish_reason] if noted.finish_reason else None,
        "gen_ai.usage.input_tokens": None if usage is None else usage.input_tokens,
        "gen_ai.usage.output_tokens": None if usage is None else usage.output_tokens,
        "error.type": None if failure is None else failure.kind,
        "http.response.header.retry-after": [failure.retry_after] if failure is not None and failure.retry_after else None,
        **noted.attributes,
    }
    return {name: value for name, value in found.items() if value not in (None, "")}


def _broke(failure: ModelFailed) -> Broke:
    return Broke(Problem(code=failure.code, message=failure.message), temporary=failure.temporary)


def digest(body: JsonValue) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces, no escapes)."""
    return hashlib.sha256(_bytes(json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False))).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
