"""What was said in a chat? The question and the answer of each run that names a chat, in the order of the log.

In come the start and the end of runs, the pieces of text and what was shown of them, questions to the person and their
answers: each of those is one more message of the person and one more answer. While a run goes on its text is kept in parts
(`chat_parts`); with its end the answers become one row each. Runs without a chat are ignored.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from events.acceptance import ENDS_A_RUN, Accepted
from events.delta import NodeDelta
from events.envelope import Words
from events.node import OutputClosed, OutputReleased
from events.question import QuestionAnswered, QuestionAsked
from events.run import RunStarted
from projections.schema import Json, Plain, Row, Text, Told, Whole, cursor_of, insert, insert_new, mappings, metadata, parts_of, store

QUESTION, ANSWER = 0, 1
"""The first two parts of a run. The n-th question that is answered adds the parts 2n and 2n + 1."""

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
    """One message of a chat. `time` (ms) is when a person said it; an answer's is the end of the run, or when it asked something.

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


@dataclass(frozen=True, slots=True)
class Round:
    """What a person said and what was shown in answer. `run` is where."""

    run: str
    asked: str
    answered: str


Shown = NodeDelta | OutputReleased | OutputClosed | QuestionAsked | QuestionAnswered
Said = list[list[Any]]


_RUNS: sa.BindParameter[Any] = sa.bindparam("runs", expanding=True)
_OPEN = sa.select(chat_messages.c.run, chat_messages.c.position).where(
    chat_messages.c.run.in_(_RUNS), chat_messages.c.part == ANSWER, chat_messages.c.status == "running"
)
_EARLIER = sa.select(chat_parts).where(chat_parts.c.run.in_(_RUNS)).order_by(chat_parts.c.run, chat_parts.c.position)
_FORGET = sa.delete(chat_parts).where(chat_parts.c.run.in_(_RUNS))


def apply(connection: sa.Connection, events: Sequence[Accepted]) -> None:
    """Rows of what was said in chats."""
    insert_new(connection, chat_messages, [row for event in events for row in _started(event)])
    told: defaultdict[str, list[Accepted]] = defaultdict(list)
    for event in events:
        if isinstance(event.envelope.data, Shown) or event.meta.type in ENDS_A_RUN:
            told[event.meta.stream.removeprefix("run-")].append(event)
    known = connection.execute(_OPEN, {"runs": sorted(told)}).all() if told else ()
    fresh = {run: [event for event in told[run] if event.position > position] for run, position in sorted(known)}
    fresh = {run: new for run, new in fresh.items() if new}
    insert_new(connection, chat_messages, _replies(connection, fresh))
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
        connection.execute(_FORGET, {"runs": sorted(ended)})


def _answers(connection: sa.Connection, ended: dict[str, Accepted], parts: dict[str, Row]) -> list[Row]:
    said: defaultdict[str, Said] = defaultdict(list)
    for row in mappings(connection.execute(_EARLIER, {"runs": sorted(ended)})):
        said[row["run"]] += row["said"]
    rows: list[Row] = []
    for run, end in ended.items():
        for number, leg in enumerate(legs([*said[run], *parts[run]["said"]])):
            row = {"run": run, "part": 2 * number + ANSWER, "content": leg.content, "reasoning": leg.reasoning}
            time = end.meta.time if leg.asked is None else leg.asked
            rows.append({**row, "status": end.meta.type.removeprefix("run."), "time": time, "position": end.position})
    return rows


def _replies(connection: sa.Connection, fresh: Mapping[str, Sequence[Accepted]]) -> list[Row]:
    """What people answered to questions, each with an answer that begins."""
    answered = [(run, event) for run, new in fresh.items() for event in new if isinstance(event.envelope.data, QuestionAnswered)]
    if not answered:
        return []
    columns = [chat_messages.c[name] for name in ("run", "app", "chat", "subject", "turn")]
    known = sa.select(*columns).where(chat_messages.c.run.in_(sorted({run for run, _ in answered})), chat_messages.c.part == QUESTION)
    about = {row["run"]: row for row in mappings(connection.execute(known))}
    rows: list[Row] = []
    for run, event in answered:
        data = event.envelope.data
        assert isinstance(data, QuestionAnswered)
        common = {**about[run], "reasoning": "", "time": event.meta.time, "position": event.position}
        part = 2 * data.question
        rows.append({**common, "part": part + QUESTION, "content": _words(data.content), "status": "said"})
        rows.append({**common, "part": part + ANSWER, "content": "", "status": "running"})
    return rows


def _started(event: Accepted) -> Iterable[Row]:
    data = event.envelope.data
    if not isinstance(data, RunStarted) or not data.chat:
        return
    common = {"run": data.run, "app": data.app, "chat": data.chat, "subject": data.subject, "reasoning": "", "status": "running"}
    common |= {"time": event.meta.time, "turn": event.offset, "position": event.position}
    yield {**common, "part": QUESTION, "content": data.asked, "status": "said"}
    yield {**common, "part": ANSWER, "content": ""}


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
        elif isinstance(data, QuestionAsked):
            said.append(["asked", data.spoken, event.meta.time])
        elif isinstance(data, QuestionAnswered):
            said.append(["answered"])
    return said


@dataclass
class Leg:
    """What was shown until a question was answered, or until now. `asked` is when that question was put (ms)."""

    content: str = ""
    reasoning: str = ""
    asked: int | None = None

    def add(self, stage: str, text: str) -> None:
        """Some more."""
        if stage == "reasoning":
            self.reasoning += text
        else:
            self.content += text


def legs(said: Said) -> list[Leg]:
    """What the person saw: text in the order in which it was shown, earlier pieces where they were released, questions where asked."""
    pieces: defaultdict[tuple[Any, ...], list[str]] = defaultdict(list)
    out = [Leg()]
    for kind, *rest in said:
        match kind:
            case "delta":
                node, path, stage, is_shown, texts = rest
                pieces[node, tuple(path), stage] += texts
                if is_shown:
                    out[-1].add(stage, "".join(texts))
            case "again":
                node, path, stage, as_stage, start, stop = rest
                out[-1].add(as_stage, "".join(pieces[node, tuple(path), stage][start:stop]))
            case "asked":
                text, out[-1].asked = rest
                out[-1].add("content", text)
            case "answered":
                out.append(Leg())
            case _:
                out[-1].add(*rest)
    return out


def shown(said: Said) -> tuple[str, str]:
    """All content and all reasoning that the person saw."""
    found = legs(said)
    return "".join(leg.content for leg in found), "".join(leg.reasoning for leg in found)


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


async def rounds(connection: AsyncConnection, app: str, chat: str, limit: int) -> list[Round]:
    """The last rounds of a chat's completed runs, oldest first."""
    table = chat_messages
    columns = [table.c[name] for name in ("run", "part", "content")]
    answers = sa.select(*columns).where(table.c.app == app, table.c.chat == chat, table.c.part % 2 == ANSWER, table.c.status == "completed")
    found = mappings(await connection.execute(answers.order_by(table.c.turn.desc(), table.c.part.desc()).limit(limit)))
    asked = sa.select(*columns).where(table.c.run.in_(sorted({row["run"] for row in found})), table.c.part % 2 == QUESTION)
    said = {(row["run"], row["part"]): row["content"] for row in mappings(await connection.execute(asked))}
    return [Round(row["run"], said.get((row["run"], row["part"] - 1), ""), row["content"]) for row in reversed(found)]


def _message(row: Row, so_far: dict[str, Said]) -> Message:
    content, reasoning = row["content"], row["reasoning"]
    number, is_answer = divmod(row["part"], 2)
    if is_answer and row["status"] == "running":
        leg = (legs(so_far[row["run"]])[number:] or [Leg()])[0]
        content, reasoning = leg.content, leg.reasoning
    role: Literal["user", "assistant"] = "assistant" if is_answer else "user"
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
