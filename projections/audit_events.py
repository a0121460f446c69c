"""Who did what, when? One row for every accepted event of every stream, pieces of text left out.

Events of the control plane, refusals and questions to people keep their data (without definitions and without hashes of
secrets); other events of runs are found by run and position in the journal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from events.acceptance import Accepted
from events.app import AppRegistered, KeyCreated, KeyRotated
from events.audit import AuditEvent as Judging
from events.delta import NodeDelta
from events.question import AnswerHeld, AnswerRefused, QuestionAnswered, QuestionAsked, QuestionExpired
from events.refusal import CommandRefused, CommandRepeated
from events.run import RunStarted
from projections.schema import Json, Row, Text, Whole, cursor_of, insert_new, mappings, metadata, parts_of

_SECRETS = {"secret_hash", "secret_ref"}
_HIDDEN: dict[type, Any] = {AppRegistered: {"keys": {"__all__": _SECRETS}}, KeyCreated: {"key": _SECRETS}, KeyRotated: _SECRETS}
"""What of an event is not for the audit's readers; of all others the document, which is found by its hash."""
_NO_RUN = sa.text("run = ''")
audit_events = sa.Table(
    "audit_events",
    metadata,
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("offset", Whole, primary_key=True, autoincrement=False),
    sa.Column("id", Text, nullable=False),
    sa.Column("type", Text, nullable=False),
    sa.Column("time", Whole, nullable=False),
    sa.Column("stream", Text, nullable=False),
    sa.Column("position", Whole, nullable=False),
    sa.Column("app", Text, nullable=False),
    sa.Column("actor", Text, nullable=False),
    sa.Column("source", Text, nullable=False),
    sa.Column("command", Text, nullable=False),
    sa.Column("flow", Text, nullable=False),
    sa.Column("run", Text, nullable=False),
    sa.Column("subject", Text, nullable=False),
    sa.Column("data", Json),
    sa.Index(None, "time", "partition", "offset"),
    sa.Index(None, "app", "time", "partition", "offset"),
    sa.Index(None, "flow", "time", "partition", "offset"),
    sa.Index(None, "subject", "time", "partition", "offset"),
    sa.Index(None, "run", "position"),
    sa.Index(None, "stream", "time", "partition", "offset", sqlite_where=_NO_RUN, postgresql_where=_NO_RUN),
)


_KEPT = QuestionAsked | QuestionAnswered | QuestionExpired | AnswerHeld | AnswerRefused | Judging


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One accepted event. `time` is in milliseconds; `subject` is the person a run is for; absent things are empty.

    `stream` and `position` name the event for ever. `data` is None for most events of runs: see the run's journal.
    """

    partition: int
    offset: int
    id: str
    type: str
    time: int
    stream: str
    position: int
    app: str
    actor: str
    source: str
    command: str
    flow: str
    run: str
    subject: str
    data: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which events; None does not filter. `stream` is one of the control plane.

    `since` and `until` bound the time in milliseconds, `until` not included.
    """

    app: str | None = None
    flow: str | None = None
    run: str | None = None
    subject: str | None = None
    type: str | None = None
    stream: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some events, newest first, and the cursor to the next ones."""

    events: list[AuditEvent]
    cursor: str | None


_STARTED = sa.select(audit_events.c.run, audit_events.c.app, audit_events.c.flow, audit_events.c.subject).where(
    audit_events.c.run.in_(sa.bindparam("runs", expanding=True)), audit_events.c.position == 1, audit_events.c.type == RunStarted.type
)


def apply(connection: sa.Connection, events: Sequence[Accepted]) -> None:
    """A row for each event that is no piece of text."""
    told = [event for event in events if not isinstance(event.envelope.data, NodeDelta)]
    if not told:
        return
    about = {data.run: _about(data) for event in told if isinstance(data := event.envelope.data, RunStarted)}
    strangers = sorted({event.meta.stream[4:] for event in told if event.meta.stream.startswith("run-")} - about.keys())
    if strangers:
        started = connection.execute(_STARTED, {"runs": strangers})
        about |= {run: {"app": app, "flow": flow, "subject": subject} for run, app, flow, subject in started}
    insert_new(connection, audit_events, [_row(event, about) for event in told])


def _about(data: RunStarted) -> Row:
    return {"app": data.app, "flow": data.flow, "subject": data.subject}


def _named(event: Accepted, category: str) -> str:
    data = event.envelope.data
    stream = data.target if isinstance(data, CommandRefused | CommandRepeated) else event.meta.stream
    return stream.removeprefix(category) if stream.startswith(category) else ""


def _row(event: Accepted, about: dict[str, Row]) -> Row:
    meta, data = event.meta, event.envelope.data
    kept, known = None, about.get(meta.stream.removeprefix("run-"), {})
    if not meta.stream.startswith("run-") or isinstance(data, _KEPT):
        kept = data.model_dump(mode="json", exclude=_HIDDEN.get(type(data), {"document"}))
    return {
        "partition": event.partition,
        "offset": event.offset,
        "id": meta.id,
        "type": meta.type,
        "time": meta.time,
        "stream": meta.stream,
        "position": event.position,
        "app": meta.app or known.get("app", ""),
        "actor": meta.actor,
        "source": meta.source,
        "command": meta.command,
        "flow": _named(event, "flow-") or known.get("flow", ""),
        "run": _named(event, "run-"),
        "subject": known.get("subject", ""),
        "data": kept,
    }


async def page(connection: AsyncConnection, wanted: AuditFilter, cursor: str | None = None, limit: int = 50) -> AuditPage:
    """Events that pass the filter, newest first. Raises `BadCursor`."""
    table = audit_events
    query = sa.select(table)
    for name in ("app", "flow", "run", "subject", "type"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(table.c[name] == value)
    if wanted.stream is not None:
        query = query.where(table.c.stream == wanted.stream, _NO_RUN)
    if wanted.since is not None:
        query = query.where(table.c.time >= wanted.since)
    if wanted.until is not None:
        query = query.where(table.c.time < wanted.until)
    if cursor is not None:
        time, partition, offset = parts_of(cursor, int, int, int)
        at = sa.tuple_(sa.literal(time, Whole), sa.literal(partition, sa.Integer), sa.literal(offset, Whole))
        query = query.where(sa.tuple_(table.c.time, table.c.partition, table.c.offset) < at)
    newest_first = (table.c.time.desc(), table.c.partition.desc(), table.c.offset.desc())
    rows = mappings(await connection.execute(query.order_by(*newest_first).limit(limit + 1)))
    found = [AuditEvent(**row) for row in rows[:limit]]
    last = found[-1] if len(rows) > limit else None
    return AuditPage(found, None if last is None else cursor_of(last.time, last.partition, last.offset))
