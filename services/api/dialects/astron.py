"""The workflow dialect (astron.md 1.5, 3.1-3.6): what a chat request becomes, and the frames of a run.

In come a checked request, or the accepted events of a run in order; out go a command, or frames as dictionaries. Pure:
no clock and no IO, so a replay gives the same bytes. Pings, which a clock decides, are built here but belong to no run.
"""

from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from events.acceptance import Accepted
from events.audit import AuditEvent
from events.commands import StartRun
from events.delta import NodeDelta
from events.envelope import Fact, Protected, Values
from events.node import NodeCompleted, NodeFailed, NodeStarted, OutputClosed, OutputHeld, OutputOpened
from events.question import AnswerHeld, AnswerRefused, QuestionAsked
from events.run import Mode, RunCancelled, RunCompleted, RunFailed, RunStarted, RunTimedOut, Turn, Usage
from services.api.answers.errors import named
from services.api.asking.subjects import subject_of
from services.api.following.shown import Screen, Shown, spoken
from services.api.requests.chat import Chat, Pinned

Frame = dict[str, Any]
Values_ = dict[str, JsonValue]
OUTPUT_KINDS = frozenset({"message", "node-end"})
_MODEL_KINDS = frozenset({"spark-llm", "decision-making"})
_FLOW = "flow_obj"
_ASIDE = AuditEvent | AnswerHeld | AnswerRefused | OutputHeld
_AUDIT = range(21100, 21105)
_ZERO = {"completion_tokens": 0, "prompt_tokens": 0, "total_tokens": 0}


def to_command(chat: Chat, run: str, app: str, pinned: Pinned, mode: Mode, idempotency_key: str = "") -> StartRun:
    """The wish to start a run."""
    subject = subject_of(app, uid=chat.uid, chat=chat.chat_id, run=run)
    turns = tuple(Turn(role=item.role, content=item.content, content_type=item.content_type or "text") for item in chat.history)
    return StartRun(
        run=run,
        app=app,
        subject=subject,
        uid=Protected[str](subject=subject, words=chat.uid),
        flow=pinned.flow,
        flow_version=pinned.version,
        definition=pinned.definition,
        keys_of=pinned.owner,
        mode=mode,
        surface="astron",
        stream=chat.streams,
        chat=chat.chat_id,
        parameters=Values(subject=subject, words=chat.parameters),
        history=Protected[tuple[Turn, ...]](subject=subject, words=turns),
        ext=Protected[dict[str, JsonValue]](subject=subject, words=chat.ext),
        idempotency_key=idempotency_key,
    )


def sid_of(run: str, leg: int = 1) -> str:
    """The `id` of all frames of one leg of a run: the same live and replayed."""
    return f"spf{run}.{leg}@hf"


def _delta(content: str, reasoning: str) -> Frame:
    return {"role": "assistant", "content": content, "reasoning_content": reasoning}


def _usage(usage: Usage) -> Frame:
    return {"completion_tokens": usage.output_tokens, "prompt_tokens": usage.input_tokens, "total_tokens": usage.total_tokens}


def _seconds(begin: int, end: int) -> float:
    return round(max(0, end - begin) / 1000, 3)


@dataclass
class _NodeRun:
    """What later frames of a node need of its earlier events."""

    kind: str
    alias: str
    started: int
    inputs: Values_ | None = None
    completed: NodeCompleted | None = None
    ended: int = 0


@dataclass
class Frames:
    """The fold: feed it the events of one run from the first on. Mode and ids come with `run.started`.

    A leg is what one request reads: it begins with the run, or where the interrupt frame of a question ended the one before.
    `trace` (the request's `ext.trace`) keeps all node frames in an open stream, `paused`: the last frame was an interrupt.
    """

    mode: Mode = "open"
    run: str = ""
    leg: int = 1
    seq: int = 0
    """Frames so far in this leg: what `Last-Event-ID` counts, and in open streams `workflow_step.seq`."""
    trace: bool = False
    paused: bool = False
    _began: int = 0
    _progress: float = 0.0
    _highest: float = 0.0
    _last: Frame | None = None
    _nodes: dict[tuple[str, tuple[int, ...]], _NodeRun] = field(default_factory=dict[tuple[str, tuple[int, ...]], _NodeRun])
    _screen: Screen = field(default_factory=Screen)

    def feed(self, event: Accepted) -> list[Frame]:
        """The frames that this event causes."""
        meta, data = event.envelope
        if isinstance(data, NodeDelta):  # most of all events, so before all others
            self._turn_the_page()
            return [frame for piece in self._screen.show(data) for frame in self._process(piece, meta.time)]
        return [] if isinstance(data, _ASIDE) else self._fed(data, meta.time)

    def _fed(self, data: Fact, time: int) -> list[Frame]:
        pieces = self._screen.show(data)
        self._turn_the_page()
        match data:
            case RunStarted():
                return self._begin(data, time)
            case QuestionAsked():
                return self._asked(data, time)
            case NodeStarted():
                return self._started(data, time)
            case OutputOpened():
                return self._frame(time, self._node(data.node, data.path))
            case NodeCompleted():
                return self._completed(data, time)
            case NodeFailed(then="end" | "round"):
                return self._failed(data, time)
            case OutputClosed():
                return self._closed(data, pieces[0].text, time)
            case RunCompleted() | RunFailed() | RunTimedOut() | RunCancelled():
                return self._over(data, time)
            case _:
                return [frame for piece in pieces for frame in self._process(piece, time)]

    @property
    def sid(self) -> str:
        """The `id` of this leg's frames."""
        return sid_of(self.run, self.leg)

    def ping(self, now: int) -> Frame:
        """A sign of life at `now` (ms). It takes no place in the sequence."""
        step: Frame = {"seq": self.seq if self.mode == "open" else 0, "progress": 1.0}
        if self.mode == "debug" and self._last is not None:
            step = {"node": self._last, **step}
        choice = {"delta": _delta("", ""), "index": 0, "finish_reason": "ping"}
        sid = sid_of(self.run, self.leg + self.paused)
        return {"code": 0, "message": "Success", "id": sid, "created": now // 1000, "workflow_step": step, "choices": [choice]}

    def _turn_the_page(self) -> None:
        if self.paused:
            self.leg, self.seq, self._highest, self.paused = self.leg + 1, 0, 0.0, False

    def _over(self, data: RunCompleted | RunFailed | RunTimedOut | RunCancelled, time: int) -> list[Frame]:
        if isinstance(data, RunCompleted):
            outcome = {"outputs": data.outputs.words or {}, "executed_time": _seconds(self._began, time), "usage": _usage(data.usage)}
            return self._end(time, self._named(_FLOW, _FLOW, "stop", **outcome), usage=_usage(data.usage))
        return self._end(time, None, code=data.code, message=data.message, usage=dict(_ZERO))

    def _begin(self, data: RunStarted, time: int) -> list[Frame]:
        self.mode, self.run, self._began = data.mode, data.run, time
        self.trace = (data.ext.words or {}).get("trace") is True
        return self._frame(time, self._named(_FLOW, _FLOW, "stop", usage=dict(_ZERO)))

    def _started(self, data: NodeStarted, time: int) -> list[Frame]:
        self._progress = data.progress
        if data.reason != "arrived":
            return []
        self._nodes[data.node, data.path] = _NodeRun(data.kind, data.alias, time, data.shown_inputs)
        if data.kind in OUTPUT_KINDS or self._brief:
            return []
        return self._frame(time, self._node(data.node, data.path))

    def _asked(self, data: QuestionAsked, time: int) -> list[Frame]:
        """The node starts once more, then the frame that ends the leg (3.5)."""
        value: Frame = {"type": data.kind, "content": spoken(data.text)}
        if data.options is not None:
            options = data.options.words or ()
            value["option"] = [{"id": one.name, "text": one.text, "content_type": one.content_type} for one in options]
        asked = {"event_id": self.run, "event_type": "interrupt", "need_reply": data.need_reply, "value": value}
        again = self._frame(time, self._node(data.node, data.path))
        node = self._named(data.node, self._run(data.node, data.path).alias, "interrupt")
        (frame,) = self._frame(time, node, finish="interrupt")
        self.paused = True
        return [*again, {**frame, "event_data": asked}]

    def _completed(self, data: NodeCompleted, time: int) -> list[Frame]:
        self._progress = data.progress
        run = self._run(data.node, data.path)
        run.completed, run.ended = data, time
        if run.kind in OUTPUT_KINDS or self._brief:
            return []
        return self._frame(time, self._ended(data.node, run), index=False)

    def _closed(self, data: OutputClosed, text: str, time: int) -> list[Frame]:
        run = self._run(data.node, data.path)
        return self._frame(time, self._ended(data.node, run), content=text, shown=True, index=False)

    def _failed(self, data: NodeFailed, time: int) -> list[Frame]:
        self._progress = data.progress
        run = self._nodes.get((data.node, data.path)) or _NodeRun(data.kind, data.alias, time)
        more: Frame = {"usage": dict(_ZERO)} if run.kind in _MODEL_KINDS else {}
        node = self._named(data.node, run.alias, "stop", ext={}, executed_time=_seconds(run.started, time), **more)
        return self._frame(time, node, code=data.problem.code, message=data.problem.message, index=False)

    def _process(self, piece: Shown, time: int) -> list[Frame]:
        content, reasoning = (piece.text, "") if piece.stage == "content" else ("", piece.text)
        if self._brief:
            return self._frame(time, None, content=content, reasoning=reasoning, shown=True)
        run = self._run(piece.node, piece.path)
        more: Frame = {"ext": {"answer_mode": 1}} if run.kind == "node-end" else {}
        node = self._named(piece.node, run.alias, executed_time=_seconds(run.started, time), **more)
        return self._frame(time, node, content=content, reasoning=reasoning, shown=True)

    def _end(self, time: int, node: Frame | None, *, code: int = 0, message: str = "Success", usage: Frame) -> list[Frame]:
        self._progress = 1.0
        (frame,) = self._frame(time, node, code=code, message=message, finish="stop", usage=usage)
        if code in _AUDIT:
            del frame["workflow_step"]
        return [{**frame, **(named(code) if code else {})}]

    @property
    def _brief(self) -> bool:
        """Whether the stream shows words only and names no node."""
        return self.mode == "open" and not self.trace

    def _run(self, node: str, path: tuple[int, ...]) -> _NodeRun:
        return self._nodes.setdefault((node, path), _NodeRun("", "", 0))

    def _node(self, node: str, path: tuple[int, ...]) -> Frame:
        return self._named(node, self._run(node, path).alias)

    def _ended(self, node: str, run: _NodeRun) -> Frame:
        """The node of an end frame. The start node's values count as its inputs, the end node's inputs as its outputs."""
        done = run.completed
        if done is None:
            return self._named(node, run.alias, "stop", ext={}, executed_time=_seconds(run.started, run.ended))
        inputs: Values_ = (None if done.inputs is None else done.inputs.words) or run.inputs or {}
        outputs: Values_ = done.outputs.words or {}
        match run.kind:
            case "node-start":
                inputs, outputs = outputs, {}
            case "node-end":
                inputs, outputs = {}, outputs or inputs
            case _:
                pass
        errors: Values_ = {} if done.problem is None else {"errorCode": done.problem.code, "errorMessage": done.problem.message}
        more: Frame = {} if done.usage is None else {"usage": _usage(done.usage)}
        return self._named(
            node,
            run.alias,
            "stop",
            inputs=inputs,
            outputs=outputs,
            error_outputs=errors,
            ext={} if done.raw_output is None else {"raw_output": spoken(done.raw_output)},
            executed_time=_seconds(run.started, run.ended),
            **more,
        )

    @staticmethod
    def _named(node: str, alias: str, finish: str = "", **more: Any) -> Frame:
        head: Frame = {"id": node, "alias_name": alias}
        if finish:
            head["finish_reason"] = finish
        body: Frame = {"inputs": {}, "outputs": {}, "error_outputs": {}, "executed_time": 0}
        if "ext" in more:
            body = {"inputs": {}, "outputs": {}, "error_outputs": {}, "ext": {}, "executed_time": 0}
        return {**head, **body, **more}

    def _frame(
        self,
        time: int,
        node: Frame | None,
        *,
        code: int = 0,
        message: str = "Success",
        content: str = "",
        reasoning: str = "",
        finish: str = "",
        usage: Frame | None = None,
        shown: bool = False,
        index: bool = True,
    ) -> list[Frame]:
        """The frame, unless the release filter of open streams (3.4) holds it back."""
        self._last = node
        is_open = self.mode == "open"
        if is_open and not self.trace and not finish and not (shown and (content or reasoning)):
            return []
        self.seq += 1
        step: Frame = {"seq": self.seq if is_open else 0, "progress": self._rising() if is_open else float(self._progress)}
        if node is not None and (self.trace or not is_open):
            step = {"node": node, **step}
        choice: Frame = {"delta": _delta(content, reasoning)}
        if index or is_open:
            choice["index"] = 0
        if finish:
            choice["finish_reason"] = finish
        frame: Frame = {
            "code": code,
            "message": message,
            "id": self.sid,
            "created": time // 1000,
            "workflow_step": step,
            "choices": [choice],
        }
        if usage is not None:
            frame["usage"] = usage
        return [frame]

    def _rising(self) -> float:
        """Progress as open streams show it: two decimals, never less than before."""
        self._highest = max(self._highest, min(1.0, round(self._progress, 2)))
        return self._highest
