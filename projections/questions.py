"""Which questions were put to people, which wait for an answer, and who answered what? One row a question.

In come question events and the ends of runs, which withdraw what is still open. Words stay Protected values as stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from events.acceptance import ENDS_A_RUN, Accepted
from events.question import QuestionAnswered, QuestionAsked, QuestionExpired
from projections.schema import Json, Row, Text, Whole, mappings, merge, metadata, store

Status = Literal["open", "answered", "expired", "withdrawn"]

questions = sa.Table(
    "questions",
    metadata,
    sa.Column("run", Text, primary_key=True),
    sa.Column("question", Whole, primary_key=True, autoincrement=False),
    sa.Column("app", Text, nullable=False),
    sa.Column("chat", Text, nullable=False),
    sa.Column("node", Text, nullable=False),
    sa.Column("path", Text, nullable=False),
    sa.Column("kind", Text, nullable=False),
    sa.Column("text", Json, nullable=False),
    sa.Column("options", Json),
    sa.Column("need_reply", sa.Boolean, nullable=False),
    sa.Column("follow_up", sa.Integer, nullable=False),
    sa.Column("asked", Whole, nullable=False),
    sa.Column("deadline", Whole, nullable=False),
    sa.Column("status", Text, nullable=False),
    sa.Column("event_type", Text),
    sa.Column("content", Json),
    sa.Column("by", Text),
    sa.Column("answered", Whole),
    sa.Column("position", Whole, nullable=False),
    sa.Index(None, "app", "chat", "status", "run"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """One question. Times are in milliseconds; `text`, `options` and `content` are Protected values as stored.

    `event_type`, `content`, `by` and `answered` say what was answered, by which app and when.
    """

    run: str
    question: int
    app: str
    chat: str
    node: str
    path: str
    kind: Literal["direct", "option"]
    text: dict[str, Any]
    options: dict[str, Any] | None
    need_reply: bool
    follow_up: int
    asked: int
    deadline: int
    status: Status
    event_type: str | None
    content: dict[str, Any] | None
    by: str | None
    answered: int | None
    position: int


_LEFT = (
    sa.update(questions)
    .where(questions.c.run == sa.bindparam("_run"), questions.c.status == "open", questions.c.position < sa.bindparam("_position"))
    .values(status="withdrawn", position=sa.bindparam("_position"))
)


def apply(connection: sa.Connection, events: Sequence[Accepted]) -> None:
    """Rows of the questions that were asked, answered or left behind."""
    changes: dict[tuple[str, int], Row] = {}
    ended: dict[str, int] = {}
    for event in events:
        data, run = event.envelope.data, event.meta.stream.removeprefix("run-")
        if isinstance(data, QuestionAsked | QuestionAnswered | QuestionExpired):
            key: Row = {"run": run, "question": data.question}
            merge(changes, (run, data.question), {**key, **_change(event, data), "position": event.position})
        elif event.meta.type in ENDS_A_RUN:
            ended[run] = event.position
    store(connection, questions, changes.values())
    if ended:
        connection.execute(_LEFT, [{"_run": run, "_position": ended[run]} for run in sorted(ended)])


def _change(event: Accepted, data: QuestionAsked | QuestionAnswered | QuestionExpired) -> Row:
    if isinstance(data, QuestionAsked):
        said = data.model_dump(include={"node", "kind", "text", "options", "need_reply", "follow_up", "deadline", "chat"})
        return {**said, "path": ".".join(map(str, data.path)), "app": event.meta.app, "asked": event.meta.time, "status": "open"}
    if isinstance(data, QuestionAnswered):
        return {**data.model_dump(include={"event_type", "content", "by"}), "answered": event.meta.time, "status": "answered"}
    return {"status": "expired"}


async def of_run(connection: AsyncConnection, run: str) -> list[Question]:
    """The questions of a run in their order."""
    wanted = sa.select(questions).where(questions.c.run == run).order_by(questions.c.question)
    return [Question(**row) for row in mappings(await connection.execute(wanted))]


async def pending(connection: AsyncConnection, app: str, chat: str, now: int, limit: int = 50) -> list[Question]:
    """The questions of an app's chat that can be answered at `now` (ms), newest first."""
    of_chat = (questions.c.app == app, questions.c.chat == chat, questions.c.status == "open", questions.c.deadline > now)
    wanted = sa.select(questions).where(*of_chat).order_by(questions.c.asked.desc(), questions.c.run.desc()).limit(limit)
    return [Question(**row) for row in mappings(await connection.execute(wanted))]
