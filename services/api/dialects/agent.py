"""The agent dialect (astron.md 2.1, 2.6; 001): what a chat with a bot becomes, and the chunks of a run.

In come a checked request and the model it asks, or the accepted events of a run in order; out go a command, or chunks
as dictionaries. Pure: the run itself says which form its chunks have. Nodes and progress are ignored on purpose.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from events.acceptance import Accepted
from events.commands import StartRun
from events.envelope import Protected, Values
from events.node import NodeStepCompleted
from events.run import RunCancelled, RunCompleted, RunFailed, RunStarted, RunTimedOut, Turn, Usage
from services.api.answers.errors import AGENTS, OF_MODELS, TABLE, named
from services.api.answers.wrong import PARAM_ERROR, Body, Wrong
from services.api.asking.model_chat import Model, document, model_of, parameters
from services.api.asking.subjects import subject_of
from services.api.following.shown import Screen
from services.api.requests.agent import Chat
from services.core.language.definition import digest

Chunk = dict[str, Any]
INTERNAL, INVALID, UNKNOWN_BOT, NO_ENTRY, MODEL, TOOLS, KNOWLEDGE = 40500, 40002, 40001, 40040, 40029, 40023, 40025
REFUSED_INPUT, REFUSED_OUTPUT = 40363, 40364
CHUNK, WHOLE = "chat.completion.chunk", "chat.completion"
PONG: Chunk = {"ping": "pong"}
_DOCUMENTS = "001"
_MODEL_FAILED = frozenset({20380, 22302, 23300})
_OURS = {
    PARAM_ERROR: INVALID,
    20000: NO_ENTRY,
    20001: NO_ENTRY,
    23700: TOOLS,
    20500: KNOWLEDGE,
    21102: REFUSED_INPUT,
    21103: REFUSED_OUTPUT,
    21104: REFUSED_OUTPUT,
}


def to_command(chat: Chat, run: str, app: str, model: Model, *, bot: str, bot_digest: str = "", key: str = "") -> StartRun:
    """The wish to start a chat. The bot, its digest and the request's form are recorded beside the definition."""
    subject = subject_of(app, uid=chat.uid, run=run)
    definition = document(model, id_=bot, name="bot")
    noted: dict[str, JsonValue] = {"bot_id": bot, "bot_digest": bot_digest, "meta_data": chat.meta_data.model_dump(exclude_none=True)}
    if chat.is_documents:
        noted["form"] = _DOCUMENTS
    return StartRun(
        run=run,
        app=app,
        subject=subject,
        uid=Protected[str](subject=subject, words=chat.uid),
        flow="",
        definition=digest(definition),
        document=definition,
        mode="open",
        surface="agent",
        stream=chat.stream,
        parameters=Values(subject=subject, words=parameters(chat.said)),
        history=Protected[tuple[Turn, ...]](subject=subject, words=()),
        ext=Protected[dict[str, JsonValue]](subject=subject, words=noted),
        idempotency_key=key,
    )


def code_of(code: int) -> int:
    """The agent's number for an error of a run or of a door (2.6)."""
    if code in TABLE and code >= 2 * AGENTS:
        return code
    if code in OF_MODELS:
        return code + AGENTS
    return MODEL if code in _MODEL_FAILED else _OURS.get(code, INTERNAL)


def tool_of(step: NodeStepCompleted) -> Chunk | None:
    """A tool's use as chunks tell it, after it was used; None for other steps."""
    result: dict[str, Any] = step.result.words or {}
    if result.get("type") not in {"tool", "workflow"} or "response" not in result:
        return None
    called = {"name": result["name"], "arguments": result["arguments"], "response": json.dumps(result["response"], ensure_ascii=False)}
    return {"index": 0, "id": None, "type": result["type"], "reason": result.get("reason", ""), "function": called}


@dataclass
class Chunks:
    """The fold: feed it the events of one run from the first on."""

    sid: str = ""
    model: str = ""
    is_documents: bool = False
    _screen: Screen = field(default_factory=Screen)

    def feed(self, event: Accepted) -> list[Chunk]:
        """The chunks this event causes."""
        data, time = event.envelope.data, event.meta.time
        pieces = self._screen.show(data)
        match data:
            case RunStarted():
                self.sid, self.model = f"agt{data.run}@hf", model_of(data) or data.flow
                self.is_documents = (data.ext.words or {}).get("form") == _DOCUMENTS
                return []
            case RunCompleted():
                return [self._stop(time, 0, "success", data.usage)]
            case RunFailed() | RunTimedOut() | RunCancelled():
                return [self._stop(time, code_of(data.code), f"{data.message},{self.sid}", data.usage)]
            case NodeStepCompleted() if (used := tool_of(data)) is not None:
                delta = {**self._delta(None, None), "tool_calls": [used]}
                return [self._chunk(time, delta, model=self.model)]
            case _:
                return [self._piece(time, piece.stage, piece.text) for piece in pieces if piece.text]

    def refusal(self, wrong: Wrong, now: int, id_: str) -> Chunk:
        """The stop chunk of a chat that never began; `is_documents` is given."""
        self.sid = f"agt{id_}@hf"
        code = code_of(wrong.number)
        return self._stop(now, code, f"{_said(wrong)},{self.sid}", None)

    def _piece(self, time: int, stage: str, text: str) -> Chunk:
        content, reasoning = (text, None) if stage == "content" else (None, text)
        return self._chunk(time, self._delta(content, reasoning), model=self.model)

    def _stop(self, time: int, code: int, message: str, usage: Usage | None) -> Chunk:
        model = self.model if self.is_documents else ""
        chunk = self._chunk(time, self._delta(None, None), model=model, finish="stop")
        counted = None if usage is None else _usage(usage)
        return {**chunk, "usage": counted, "code": code, "message": message, **(named(code) if code else {})}

    def _delta(self, content: str | None, reasoning: str | None) -> Chunk:
        if self.is_documents and content is None:
            content = ""
        nothing = {"function_call": None, "refusal": None, "role": "assistant", "tool_calls": None}
        return {"content": content, **nothing, "reasoning_content": reasoning}

    def _chunk(self, time: int, delta: Chunk, *, model: str, finish: str | None = None) -> Chunk:
        choice: Chunk = {"delta": delta, "finish_reason": finish, "index": 0, "logprobs": None}
        if self.is_documents:
            choice["message"] = {"role": "assistant", "content": delta["content"], "reasoning_content": delta["reasoning_content"] or ""}
        return {**_head(self.sid, time // 1000 if self.is_documents else time, model, CHUNK), "choices": [choice]}


@dataclass
class Whole:
    """The one answer of a chat that is not streamed: all text of its chunks."""

    content: str = ""
    reasoning: str = ""
    tools: list[Chunk] = field(default_factory=list[Chunk])
    _model: str = ""

    def add(self, chunk: Chunk) -> Chunk | None:
        """Take the next chunk; the answer once the last one came."""
        choice = chunk["choices"][0]
        self.content += choice["delta"]["content"] or ""
        self.reasoning += choice["delta"]["reasoning_content"] or ""
        self._model = chunk["model"] or self._model
        used: list[Chunk] = choice["delta"]["tool_calls"] or []
        self.tools += [{**one, "id": ""} for one in used]
        if choice["finish_reason"] is None:
            return None
        message: Chunk = {"role": "assistant", "content": self.content, "reasoning_content": self.reasoning, "tool_calls": self.tools}
        ended: Chunk = {"index": 0, "message": message, "finish_reason": choice["finish_reason"]}
        return {**chunk, "object": WHOLE, "model": self._model, "choices": [ended]}


def problem(wrong: Wrong, now: int, id_: str) -> tuple[Body, int]:
    """A chunk without choices, at 200 unless the caller has no entry or asks too much."""
    code = code_of(wrong.number)
    head = _head(f"agt{id_}@hf", now // 1000, "", CHUNK)
    return {**head, "code": code, "message": _said(wrong), **named(code)}, wrong.status or 200


def envelope_problem(wrong: Wrong, _now: int, id_: str) -> tuple[Body, int]:
    """The same for the routes around bots."""
    code = code_of(wrong.number)
    return {"code": code, "message": _said(wrong), "data": None, "sid": f"agt{id_}@hf", **named(code)}, wrong.status or 200


def _said(wrong: Wrong) -> str:
    """`<type>, <last place>, <text>` of the first fault, as the running system has it."""
    if not wrong.faults:
        return wrong.message
    first = wrong.faults[0]
    return f"{first.kind}, {first.where[-1] if first.where else 'body'}, {first.said}"


def _head(sid: str, created: int, model: str, kind: str) -> Chunk:
    return {
        "id": sid,
        "choices": [],
        "created": created,
        "model": model,
        "object": kind,
        "service_tier": None,
        "system_fingerprint": None,
        "usage": None,
        "code": 0,
        "message": "success",
        "logs": [],
        "knowledge_metadata": [],
    }


def _usage(usage: Usage) -> dict[str, int]:
    return {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens, "total_tokens": usage.total_tokens}
