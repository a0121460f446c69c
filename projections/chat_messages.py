"""What was said in a chat? The question and the answer of each run that names a chat, in the order of the log.

In come the start and the end of runs, the pieces of text and what was shown of them. While a run goes on its text is kept
in parts (`chat_parts`); with its end the answer becomes one row. Runs without a chat are ignored.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from events.acceptance import ENDS_A_RUN, Accepted
from events.delta import NodeDelta
from events.envelope import Values, Words
from events.node import OutputClosed, OutputReleased
from events.run import RunStarted
from projections.schema import Json, Plain, Row, Text, Told, Whole, cursor_of, insert, insert_new, mappings, metadata, parts_of, store

QUESTION, ANSWER = 0, 1
_INPUT = "AGENT_USER_INPUT"

chat_messages = sa.Table(
    "chat_messages",
    metadata,
    sa.Column("run", Text, primary_key=True),
    sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("app", Text, nullable=False),
    sa.Column("chat", Text, nullable=False),
    sa.Column("subject", Text, nullable=False),
    sa.Column("content", Text, nullable=False),
    sa.Column("reasoning", Text, nullable=False),
    sa.Column("status", Text, nullable=False),
    sa.Column("time", Whole, nullable=False),
    sa.Column("turn", Whole, nullable=False),
    sa.Column("position", Whole, nullable=False),
    sa.Index(None, "app", "chat", "turn", "part"),
)
chat_parts = sa.Table(
    "chat_parts",
    metadata,
    sa.Column("run", Text, primary_key=True),
    sa.Column("position", Whole, primary_key=True, autoincrement=False),
    sa.Column("said", Json, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat. `time` (ms) is the start of the run for a question, its end for an answer.

    `status` is that of the run: the answer of a running one is what was shown so far.
    """

    run: str
    role: Literal["user", "assistant"]
    subject: str
    content: str
    reasoning: str
    status: str
    time: int


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Some messages and the cursor to the next ones."""

    messages: list[Message]
    cursor: str | None


Shown = NodeDelta | OutputReleased | OutputClosed
Said = list[list[Any]]


def apply(connection: sa.Connection, events: Sequence[Accepted]) -> None:
    """Rows of what was said in chats."""
    insert_new(connection, chat_messages, [row for event in events for row in _started(event)])
    told: defaultdict[str, list[Accepted]] = defaultdict(list)
    for event in events:
        if isinstance(event.envelope.data, Shown) or event.meta.type in ENDS_A_RUN:
            told[event.meta.stream.removeprefix("run-")].append(event)
    open_answers = sa.select(chat_messages.c.run, chat_messages.c.position).where(
        chat_messages.c.run.in_(sorted(told)), chat_messages.c.part == ANSWER, chat_messages.c.status == "running"
    )
    known = connection.execute(open_answers).all() if told else ()
    fresh = {run: [event for event in told[run] if event.position > position] for run, position in sorted(known)}
    fresh = {run: new for run, new in fresh.items() if new}
    parts = {run: {"run": run, "position": new[0].position, "said": _said(new)} for run, new in fresh.items()}
    ended = {run: new[-1] for run, new in fresh.items() if new[-1].meta.type in ENDS_A_RUN}
    going = [row for run, row in parts.items() if run not in ended and row["said"]]
    insert(connection, chat_parts, going)
    store(
        connection,
        chat_messages,
        [{"run": run, "part": ANSWER, "position": new[-1].position} for run, new in fresh.items() if run not in ended],
    )
    if ended:
        store(connection, chat_messages, _answers(connection, ended, parts))
        connection.execute(sa.delete(chat_parts).where(chat_parts.c.run.in_(sorted(ended))))


def _answers(connection: sa.Connection, ended: dict[str, Accepted], parts: dict[str, Row]) -> list[Row]:
    earlier = sa.select(chat_parts).where(chat_parts.c.run.in_(sorted(ended))).order_by(chat_parts.c.run, chat_parts.c.position)
    said: defaultdict[str, Said] = defaultdict(list)
    for row in mappings(connection.execute(earlier)):
        said[row["run"]] += row["said"]
    rows: list[Row] = []
    for run, end in ended.items():
        content, reasoning = shown([*said[run], *parts[run]["said"]])
        row = {"run": run, "part": ANSWER, "content": content, "reasoning": reasoning}
        rows.append({**row, "status": end.meta.type.removeprefix("run."), "time": end.meta.time, "position": end.position})
    return rows


def _started(event: Accepted) -> Iterable[Row]:
    data = event.envelope.data
    if not isinstance(data, RunStarted) or not data.chat:
        return
    common = {"run": data.run, "app": data.app, "chat": data.chat, "subject": data.subject, "reasoning": "", "status": "running"}
    common |= {"time": event.meta.time, "turn": event.offset, "position": event.position}
    yield {**common, "part": QUESTION, "content": question(data.parameters), "status": "said"}
    yield {**common, "part": ANSWER, "content": ""}


def question(parameters: Values) -> str:
    """What the person asked: the parameter AGENT_USER_INPUT, else the first text among the parameters, else all of them as JSON."""
    words = parameters.words or {}
    texts = [value for _, value in sorted(words.items(), key=lambda item: item[0] != _INPUT) if isinstance(value, str)]
    if texts:
        return texts[0]
    return json.dumps(words, ensure_ascii=False) if words else ""


def _said(events: Iterable[Accepted]) -> Said:
    said: Said = []
    for event in events:
        data = event.envelope.data
        if isinstance(data, NodeDelta):
            piece = ["delta", data.node, list(data.path), data.stage, bool(data.shown)]
            if said and said[-1][:5] == piece:
                said[-1][5].append(_words(data.text))
            else:
                said.append([*piece, [_words(data.text)]])
        elif isinstance(data, OutputReleased) and data.of is not None:
            of = data.of
            said.append(["again", of.node, list(of.path), of.stage, data.stage, of.start, of.stop])
        elif isinstance(data, OutputReleased):
            said.append(["text", data.stage, _words(data.text)])
        elif isinstance(data, OutputClosed):
            said.append(["text", "content", _words(data.text)])
    return said


def shown(said: Said) -> tuple[str, str]:
    """Content and reasoning that the person saw: text in the order in which it was shown, earlier pieces where they were released."""
    pieces: defaultdict[tuple[Any, ...], list[str]] = defaultdict(list)
    out: dict[str, list[str]] = {"content": [], "reasoning": []}
    for kind, *rest in said:
        if kind == "delta":
            node, path, stage, is_shown, texts = rest
            pieces[node, tuple(path), stage] += texts
            if is_shown:
                out[stage] += texts
        elif kind == "again":
            node, path, stage, as_stage, start, stop = rest
            out[as_stage] += pieces[node, tuple(path), stage][start:stop]
        else:
            stage, text = rest
            out[stage].append(text)
    return "".join(out["content"]), "".join(out["reasoning"])


def _words(text: Words | None) -> str:
    return "" if text is None else text.words or ""


async def page(
    connection: AsyncConnection, app: str, chat: str, cursor: str | None = None, limit: int = 50, newest_first: bool = False
) -> MessagePage:
    """The messages of an app's chat in order, or backwards. Raises `BadCursor`."""
    of_chat = (chat_messages.c.app == app, chat_messages.c.chat == chat)
    running = sa.select(chat_messages.c.run).where(*of_chat, chat_messages.c.status == "running")
    so_far: defaultdict[str, Said] = defaultdict(list)
    parts = sa.select(chat_parts).where(chat_parts.c.run.in_(running)).order_by(chat_parts.c.run, chat_parts.c.position)
    for row in mappings(await connection.execute(parts)):
        so_far[row["run"]] += row["said"]
    wanted = sa.select(chat_messages).where(*of_chat)
    place = sa.tuple_(chat_messages.c.turn, chat_messages.c.part)
    if cursor is not None:
        turn, part = parts_of(cursor, int, int)
        at = sa.tuple_(sa.literal(turn, Whole), sa.literal(part, sa.Integer))
        wanted = wanted.where(place < at if newest_first else place > at)
    order = [chat_messages.c.turn, chat_messages.c.part]
    wanted = wanted.order_by(*(column.desc() if newest_first else column for column in order)).limit(limit + 1)
    rows = mappings(await connection.execute(wanted))
    found = [_message(dict(row), so_far) for row in rows[:limit]]
    return MessagePage(found, cursor_of(rows[limit - 1]["turn"], rows[limit - 1]["part"]) if len(rows) > limit else None)


def _message(row: Row, so_far: dict[str, Said]) -> Message:
    content, reasoning = row["content"], row["reasoning"]
    if row["part"] == ANSWER and row["status"] == "running":
        content, reasoning = shown(so_far[row["run"]])
    role: Literal["user", "assistant"] = "user" if row["part"] == QUESTION else "assistant"
    return Message(row["run"], role, row["subject"], content, reasoning, row["status"], row["time"])


def _told() -> Callable[[Row], Iterable[Told]]:
    """What was said in a running run, piece by piece, however the pieces share rows."""
    run, number = "", 0

    def tell(row: Row) -> Iterable[Told]:
        nonlocal run, number
        if row["run"] != run:
            run, number = row["run"], 0
        for said in row["said"]:
            for piece in ([*said[:5], text] for text in said[5]) if said[0] == "delta" else [said]:
                number += 1
                yield (run, number), piece

    return tell


PLAIN: Mapping[str, Plain] = {"chat_parts": _told}
