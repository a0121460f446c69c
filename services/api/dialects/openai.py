"""The OpenAI dialect: what a chat completion becomes, and a run as chunks, for clients that know nothing else.

In come a checked request and what its model names, or the accepted events of a run in order; out go a command, or
chunks of the text that is shown and a last one with the reason. Nodes, progress and the like are ignored on purpose.
"""

from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from events.acceptance import Accepted
from events.commands import StartRun
from events.envelope import Protected, Values
from events.node import ModelResponded
from events.question import QuestionAsked
from events.run import RunCancelled, RunCompleted, RunFailed, RunStarted, RunTimedOut, Turn, Usage
from services.api.answers.errors import named
from services.api.answers.wrong import PARAM_ERROR, Body, Wrong
from services.api.asking.model_chat import INPUT, Model, document, model_of, parameters
from services.api.asking.subjects import subject_of
from services.api.following.shown import Screen
from services.api.requests.chat import Pinned
from services.api.requests.openai import Completion
from services.core.language.definition import digest

Chunk = dict[str, Any]
PING = b": ping\n\n"
_SPEAKERS = frozenset({"user", "assistant"})
_FIELD = {"content": "content", "reasoning": "reasoning_content"}
_NO_MODEL = frozenset({20004, 20005, 20201, 20204, 20207, 40001})
_UNKNOWN = "the model does not exist, or this app may not use it"
_OF_REQUEST = frozenset({20363, 20372, 21102, 21103, 21104, 22500})
_OF_PLUGINS = range(40023, 40029)
_RATE, _SLOW, _BROKEN = 429, 504, 502


@dataclass(frozen=True, slots=True)
class Target:
    """What the request's model names: a published flow, or a model (of a bot or of the endpoint)."""

    flow: Pinned | None = None
    model: Model | None = None
    bot: str = ""
    bot_digest: str = ""


def to_command(body: Completion, run: str, app: str, target: Target, key: str = "") -> StartRun:
    """The wish to start a run. A flow gets the newest question as `AGENT_USER_INPUT` and what was said before as its history."""
    subject = subject_of(app, uid=body.user, chat=body.chat_id, run=run)
    noted: dict[str, JsonValue] = {"model": body.model}
    said, turns, definition = parameters(body.said), (), None
    if target.flow is not None:
        said, turns, system = _for_a_flow(body)
        noted |= {"system": system} if system else {}
    elif target.model is not None:
        noted |= {"bot_id": target.bot, "bot_digest": target.bot_digest} if target.bot else {}
        definition = document(body.asks(target.model), id_=target.bot, name="bot" if target.bot else "chat")
    flow = target.flow or Pinned("", "", digest(definition or {}))
    return StartRun(
        run=run,
        app=app,
        subject=subject,
        uid=Protected[str](subject=subject, words=body.user),
        flow=flow.flow,
        flow_version=flow.version,
        definition=flow.definition,
        keys_of=flow.owner,
        document=definition,
        mode="open",
        surface="openai",
        stream=body.stream,
        chat=body.chat_id,
        parameters=Values(subject=subject, words=said),
        history=Protected[tuple[Turn, ...]](subject=subject, words=turns),
        ext=Protected[dict[str, JsonValue]](subject=subject, words=noted),
        idempotency_key=key,
    )


def _for_a_flow(body: Completion) -> tuple[dict[str, JsonValue], tuple[Turn, ...], str]:
    """Parameters, history, and the system's words, which a flow has no place for: they are only recorded."""
    newest = max(number for number, one in enumerate(body.messages) if one.role == "user" and one.text)
    others = [one for number, one in enumerate(body.messages) if number != newest and one.text]
    turns = [Turn.model_validate({"role": one.role, "content": one.text}) for one in others if one.role in _SPEAKERS]
    system = "\n".join(one.text for one in body.messages if one.role in {"system", "developer"})
    return {INPUT: body.messages[newest].text, **body.parameters}, tuple(turns), system


@dataclass
class Chunks:
    """The fold: feed it the events of one run from the first on.

    `include_usage` is the client's wish for a last chunk with the usage; None puts it on the chunk with the reason. With `pauses`
    a question to the person ends the completion, and its last chunk says so in `event_data`, as workflow frames do.
    """

    include_usage: bool | None = None
    pauses: bool = False
    paused: bool = False
    spoke: bool = False
    """Whether something was said yet."""
    wrong: Wrong | None = None
    """Why the run failed, as the surface says it."""
    usage: dict[str, int] = field(default_factory=dict[str, int])
    _run: str = ""
    _id: str = ""
    _model: str = ""
    _kind: str = ""
    _screen: Screen = field(default_factory=Screen)

    def feed(self, event: Accepted) -> list[Chunk]:
        """The chunks this event causes; none after a pause."""
        return [] if self.paused else self._feed(event)

    def _feed(self, event: Accepted) -> list[Chunk]:
        data, time = event.envelope.data, event.meta.time
        pieces = self._screen.show(data)
        match data:
            case RunStarted():
                asked = (data.ext.words or {}).get("model") or model_of(data) or data.flow
                self._run, self._id, self._model = data.run, f"chatcmpl-{data.run}", str(asked)
                return [self._chunk(time, {"role": "assistant", "content": ""})]
            case ModelResponded():
                self._kind = str(data.attributes.get("error.type", ""))
                return []
            case QuestionAsked() if self.pauses:
                return self._pause(data, time)
            case RunCompleted():
                return self._end(time, data.usage)
            case RunFailed() | RunTimedOut() | RunCancelled():
                self.wrong = _failed(data, self._kind)
                body, _ = problem(self.wrong, time, "")
                return [{**chunk, "error": body["error"]} for chunk in self._end(time, data.usage)[:1]]
            case _:
                said = [piece for piece in pieces if piece.text]
                self.spoke = self.spoke or bool(said)
                return [self._chunk(time, {_FIELD[piece.stage]: piece.text}) for piece in said]

    def _pause(self, data: QuestionAsked, time: int) -> list[Chunk]:
        """The question's text, then the end of this completion; the run waits for an answer by another way."""
        self.spoke = self.paused = True
        first, *more = self._end(time, Usage())
        asked = {"event_id": self._run, "event_type": "interrupt", "need_reply": data.need_reply, "question": data.question}
        return [self._chunk(time, {"content": data.spoken}), {**first, "event_data": asked}, *more]

    def _end(self, time: int, usage: Usage) -> list[Chunk]:
        self.usage = _usage(usage)
        last = self._chunk(time, {}, "stop")
        if self.include_usage is None:
            return [{**last, "usage": self.usage}]
        return [last, {**last, "choices": [], "usage": self.usage}] if self.include_usage else [last]

    def _chunk(self, time: int, delta: dict[str, str], finish: str | None = None) -> Chunk:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk: Chunk = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": time // 1000,
            "model": self._model,
            "choices": [choice],
        }
        return {**chunk, "usage": None} if self.include_usage else chunk


@dataclass
class Whole:
    """The one answer of a run that is not streamed."""

    _said: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, chunk: Chunk, usage: dict[str, int]) -> Chunk | None:
        """Take the next chunk; the answer once the last one came."""
        choice = chunk["choices"][0]
        for name, text in choice["delta"].items():
            self._said[name] = self._said.get(name, "") + text
        if choice["finish_reason"] is None:
            return None
        message = {**self._said, "refusal": None}
        ended = {"index": 0, "message": message, "logprobs": None, "finish_reason": choice["finish_reason"]}
        return {**chunk, "object": "chat.completion", "choices": [ended], "usage": usage}


def problem(wrong: Wrong, _now: int, _id: str) -> tuple[Body, int]:
    """`{"error": {message, type, param, code}}` with a status."""
    number, status = wrong.number, wrong.native
    param: str | None = None
    if number == PARAM_ERROR:
        status = status if wrong.faults and status != 422 else 400
        param = _param(wrong)
    elif number in _NO_MODEL:
        told = wrong.message.removeprefix("model: ") if wrong.message.startswith("model: ") else _UNKNOWN
        return _error(told, "invalid_request_error", "model", "model_not_found"), 404
    elif number in _OF_PLUGINS:
        status, param = 400, "model"
    code = (
        "invalid_api_key" if status == 401 else "rate_limit_exceeded" if status == _RATE else str(named(number).get("symbol", "")).lower()
    )
    said = wrong.message
    if wrong.faults:
        said = wrong.faults[0].said if not wrong.faults[0].where[1:] else f"{param}: {wrong.faults[0].said}"
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == _RATE else "invalid_request_error"
    return _error(said, kind, param, code or None), status


def _param(wrong: Wrong) -> str | None:
    """The field that is wrong: where the first fault is, or what its sentence begins with."""
    if not wrong.faults:
        return None
    name, colon, _ = wrong.faults[0].said.partition(": ")
    return ".".join(wrong.faults[0].where[1:]) or (name if colon and name.isidentifier() else None)


def _error(message: str, kind: str, param: str | None, code: str | None) -> Body:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _failed(data: RunFailed | RunTimedOut | RunCancelled, kind: str) -> Wrong:
    """A run's failure with the status that a client of OpenAI expects. `kind` is what the model's provider said: a status or a word."""
    status = _BROKEN
    if isinstance(data, RunTimedOut) or kind == "timeout":
        status = _SLOW
    elif data.code in _OF_REQUEST or isinstance(data, RunCancelled):
        status = 400
    elif kind in {"400", "404", "413", "422", "429"}:
        status = int(kind)
    return Wrong(data.code, data.message, native=status, headers={} if status == _RATE else {"x-should-retry": "false"})


def _usage(usage: Usage) -> dict[str, int]:
    return {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens, "total_tokens": usage.total_tokens}
