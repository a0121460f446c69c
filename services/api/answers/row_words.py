"""Rows of runs, their nodes and their questions as the native routes show them; protected values are shown to their owner as words."""

from dataclasses import asdict
from typing import Any

from events.run import Audit
from projections.audit_events import AuditEvent
from projections.node_runs import NodeRun
from projections.questions import Question
from projections.runs import Run
from services.api.following.veil import START, plain

_WORDS = ("inputs", "outputs", "raw_output")


def shown_run(row: Run) -> dict[str, Any]:
    """A run."""
    return {
        "event_id": row.run,
        "flow_id": row.flow,
        "version": row.flow_version,
        "definition": row.definition,
        "chat_id": row.chat,
        "uid": None if row.uid is None else row.uid.get("words"),
        "mode": row.mode,
        "surface": row.surface,
        "stream": row.stream,
        "status": row.status,
        "code": row.code,
        "message": plain(row.code, row.message, row.node or "") if row.audit and row.code and row.message else row.message,
        "node": row.node,
        "usage": row.usage,
        "started": row.started,
        "finished": row.finished,
    }


def shown_question(row: Question, audit: Audit = "") -> dict[str, Any]:
    """A question as the native routes show it. Of a run that works for one whose words are judged it has not passed."""
    hidden = {"run", "app", "chat", "path", "position"}
    said = {"event_id": row.run, **{name: _open(value) for name, value in asdict(row).items() if name not in hidden}}
    return {**said, **dict.fromkeys(("text", "options", "content"))} if audit == "parent" else said


def shown_node(row: NodeRun, audit: Audit = "") -> dict[str, Any]:
    """What a node did in one attempt; in a run whose words are judged, without those of models and tools."""
    hidden = {"run", "partition", "first"}
    said = {name: _open(value) for name, value in asdict(row).items() if name not in hidden}
    if not audit or (audit == "own" and row.kind == START):
        return said
    problem = row.problem and {**row.problem, "message": plain(row.problem["code"], row.problem["message"])}
    return {**said, **dict.fromkeys(_WORDS), "problem": problem}


def shown_event(row: AuditEvent, *, is_silent: bool) -> dict[str, Any]:
    """What the audit trail keeps of an event; of a run whose words nobody has let pass, without them."""
    said = asdict(row)
    if is_silent and row.data:
        said["data"] = {name: {**value, "words": None} if _is_protected(value) else value for name, value in row.data.items()}
    return said


def _open(value: Any) -> Any:
    """A protected value's words."""
    return value["words"] if _is_protected(value) else value


def _is_protected(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"subject", "words"}  # pyright: ignore[reportUnknownArgumentType] (any JSON)
