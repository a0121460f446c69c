"""Which runs were there, and how did they end? One row a run.

In come the events that begin and end a run, and questions to people, during which it waits; all others are ignored. The
words of the run are in its journal.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from events.acceptance import Accepted
from events.question import QuestionAnswered, QuestionAsked
from events.run import Audit, RunCancelled, RunCompleted, RunFailed, RunStarted, RunTimedOut
from projections.schema import Json, Row, Text, Whole, cursor_of, mappings, merge, metadata, parts_of, store

Status = Literal["running", "waiting", "completed", "failed", "timed_out", "cancelled"]

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run", Text, primary_key=True),
    sa.Column("app", Text, nullable=False),
    sa.Column("subject", Text, nullable=False),
    sa.Column("uid", Json),
    sa.Column("flow", Text, nullable=False),
    sa.Column("flow_version", Text, nullable=False),
    sa.Column("definition", Text, nullable=False),
    sa.Column("mode", Text, nullable=False),
    sa.Column("surface", Text, nullable=False),
    sa.Column("stream", sa.Boolean, nullable=False),
    sa.Column("chat", Text, nullable=False),
    sa.Column("audit", Text, nullable=False, server_default=""),
    sa.Column("status", Text, nullable=False),
    sa.Column("code", Whole),
    sa.Column("message", Text),
    sa.Column("node", Text),
    sa.Column("usage", Json),
    sa.Column("started", Whole, nullable=False),
    sa.Column("finished", Whole),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", Whole, nullable=False),
    sa.Column("position", Whole, nullable=False),
    sa.Index(None, "app", "started", "run"),
    sa.Index(None, "flow", "started", "run"),
    sa.Index(None, "app", "chat", "started", "run"),
    sa.Index(None, "app", "subject", "started", "run"),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `uid` is a Protected value as stored ({"subject", "words"}); times are in milliseconds.

    `position` and `offset` are those of the newest event shown here: the start's, later a question's or the end's. `code`, `message` and
    `node` say why a run ended badly; `usage` is {"input_tokens", "output_tokens", "total_tokens"} once it ended.
    """

    run: str
    app: str
    subject: str
    uid: dict[str, Any] | None
    flow: str
    flow_version: str
    definition: str
    mode: str
    surface: str
    stream: bool
    chat: str
    audit: Audit
    status: Status
    code: int | None
    message: str | None
    node: str | None
    usage: dict[str, int] | None
    started: int
    finished: int | None
    partition: int
    offset: int
    position: int


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs; None does not filter. `since` and `until` bound the start in milliseconds, `until` not included."""

    app: str | None = None
    flow: str | None = None
    chat: str | None = None
    subject: str | None = None
    status: Status | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs, newest first, and the cursor to the next ones."""

    runs: list[Run]
    cursor: str | None


_TERMS = set(RunStarted.model_fields) & set(runs.c.keys())
"""What a row keeps of the terms; a field that the event gets later changes no row."""


def apply(connection: sa.Connection, events: Sequence[Accepted]) -> None:
    """Rows of the runs that began, waited or ended."""
    changes: dict[str, Row] = {}
    for event in events:
        change = _change(event)
        if change is not None:
            run = event.meta.stream.removeprefix("run-")
            place = {"partition": event.partition, "offset": event.offset, "position": event.position}
            merge(changes, run, {"run": run, **change, **place})
    store(connection, runs, changes.values())


def _change(event: Accepted) -> Row | None:
    data = event.envelope.data
    if isinstance(data, RunStarted):
        said = data.model_dump(include=_TERMS)
        return {**said, "audit": data.audit, "status": "running", "started": event.meta.time}
    if isinstance(data, QuestionAsked | QuestionAnswered):
        return {"status": "waiting" if isinstance(data, QuestionAsked) else "running"}
    if isinstance(data, RunCompleted):
        return {"status": "completed", "finished": event.meta.time, "code": 0, "usage": data.usage.model_dump()}
    if isinstance(data, RunFailed | RunTimedOut | RunCancelled):
        status = "failed" if isinstance(data, RunFailed) else data.type.removeprefix("run.")
        why = {"code": data.code, "message": data.message, "node": data.node if isinstance(data, RunFailed) else ""}
        return {"status": status, "finished": event.meta.time, **why, "usage": data.usage.model_dump()}
    return None


async def get(connection: AsyncConnection, run: str) -> Run | None:
    """The run with this id."""
    row = (await connection.execute(sa.select(runs).where(runs.c.run == run))).mappings().one_or_none()
    return None if row is None else Run(**row)


async def silent(connection: AsyncConnection, among: Collection[str]) -> set[str]:
    """Those of these runs that work for one whose words are judged: nothing that they say has passed."""
    wanted = sa.select(runs.c.run).where(runs.c.run.in_(sorted(among)), runs.c.audit == "parent")
    return set(await connection.scalars(wanted))


async def page(connection: AsyncConnection, wanted: RunFilter, cursor: str | None = None, limit: int = 50) -> RunPage:
    """Runs that pass the filter, newest first. Raises `BadCursor`."""
    query = sa.select(runs)
    for name in ("app", "flow", "chat", "subject", "status"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(runs.c[name] == value)
    if wanted.since is not None:
        query = query.where(runs.c.started >= wanted.since)
    if wanted.until is not None:
        query = query.where(runs.c.started < wanted.until)
    if cursor is not None:
        started, run = parts_of(cursor, int, str)
        query = query.where(sa.tuple_(runs.c.started, runs.c.run) < sa.tuple_(sa.literal(started, Whole), sa.literal(run, Text)))
    rows = mappings(await connection.execute(query.order_by(runs.c.started.desc(), runs.c.run.desc()).limit(limit + 1)))
    found = [Run(**row) for row in rows[:limit]]
    return RunPage(found, cursor_of(found[-1].started, found[-1].run) if len(rows) > limit else None)
