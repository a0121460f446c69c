"""What happened in a run, event by event? The whole history of every run, by position, exactly as it was accepted.

In come all events of run streams. Neighbouring pieces of text of the same node become one row (a block) that still knows
each piece's id, time and place; everything else is a row of its own. Out come the accepted events again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from events.acceptance import Accepted
from events.catalogue import data_of
from events.delta import NodeDelta
from events.envelope import Envelope, Meta, Words
from projections.schema import Json, Plain, Row, Text, Told, Whole, insert, mappings, metadata, upsert

BLOCK = 256
"""The most pieces of text in one row."""

run_journal = sa.Table(
    "run_journal",
    metadata,
    sa.Column("run", Text, primary_key=True),
    sa.Column("position", Whole, primary_key=True, autoincrement=False),
    sa.Column("last", Whole, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", Whole, nullable=False),
    sa.Column("type", Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("data_version", sa.Integer, nullable=False),
    sa.Column("id", Text, nullable=False),
    sa.Column("time", Whole, nullable=False),
    sa.Column("source", Text, nullable=False),
    sa.Column("app", Text, nullable=False),
    sa.Column("actor", Text, nullable=False),
    sa.Column("claim", Text, nullable=False),
    sa.Column("cause", Whole),
    sa.Column("command", Text, nullable=False),
    sa.Column("traceparent", Text, nullable=False),
    sa.Column("data", Text, nullable=False),
    sa.Column("block", Json),
)
run_journal_heads = sa.Table(
    "run_journal_heads",
    metadata,
    sa.Column("run", Text, primary_key=True),
    sa.Column("position", Whole, nullable=False),
)


_KNOWN = sa.select(run_journal_heads).where(run_journal_heads.c.run.in_(sa.bindparam("names", expanding=True)))


def apply(connection: sa.Connection, events: Sequence[Accepted]) -> None:
    """Rows of all that happened in runs."""
    told = [(event.meta.stream[4:], event) for event in events if event.meta.stream.startswith("run-")]
    if not told:
        return
    names = sorted({run for run, _ in told})
    found = connection.execute(_KNOWN, {"names": names})
    known: dict[str, int] = {row.run: row.position for row in found}
    rows: list[Row] = []
    open_blocks: dict[str, tuple[tuple[Any, ...], Row]] = {}
    for run, event in told:
        if event.position <= known.get(run, 0):
            continue
        known[run] = event.position
        kind = _kind(event)
        going = open_blocks.get(run)
        if kind is not None and going is not None and going[0] == kind and len(going[1]["block"]["ids"]) < BLOCK:
            _extend(going[1], event)
            continue
        row = _row(run, event)
        rows.append(row)
        if kind is None:
            open_blocks.pop(run, None)
        else:
            row["block"] = {"ids": [], "times": [], "offsets": [], "texts": []}
            _extend(row, event)
            open_blocks[run] = (kind, row)
    insert(connection, run_journal, rows)
    upsert(connection, run_journal_heads, [{"run": run, "position": known[run]} for run in names if run in known])


def _kind(event: Accepted) -> tuple[Any, ...] | None:
    """What pieces of text must have in common to share a row; None for what is not a readable piece of text."""
    data = event.envelope.data
    if not isinstance(data, NodeDelta) or data.text.words is None or data.text.sealed is not None:
        return None
    meta = event.meta
    origin = (meta.source, meta.app, meta.actor, meta.claim, meta.cause, meta.command, meta.traceparent, meta.version)
    return (data.node, data.path, data.attempt, data.stage, data.shown, data.text.subject, origin)


def _row(run: str, event: Accepted) -> Row:
    meta, data = event.meta, event.envelope.data
    words = {"text": {"words"}} if isinstance(data, NodeDelta) and data.text.sealed is None else None
    return {
        "run": run,
        "position": event.position,
        "last": event.position,
        "partition": event.partition,
        "offset": event.offset,
        "type": meta.type,
        "version": meta.version,
        "data_version": data.version,
        "id": meta.id,
        "time": meta.time,
        "source": meta.source,
        "app": meta.app,
        "actor": meta.actor,
        "claim": meta.claim,
        "cause": meta.cause,
        "command": meta.command,
        "traceparent": meta.traceparent,
        "data": data.model_dump_json(exclude=words),
        "block": None,
    }


def _extend(row: Row, event: Accepted) -> None:
    data = event.envelope.data
    assert isinstance(data, NodeDelta)
    row["last"] = event.position
    block = row["block"]
    block["ids"].append(event.meta.id)
    block["times"].append(event.meta.time)
    block["offsets"].append(event.offset)
    block["texts"].append(data.text.words)


async def read(connection: AsyncConnection, run: str, after: int = 0, limit: int = 1000) -> list[Accepted]:
    """The events with the positions `after` + 1 to `after` + `limit`, as far as they are there, as they were accepted."""
    of_run = (run_journal.c.run == run, run_journal.c.position > after - BLOCK, run_journal.c.position <= after + limit)
    wanted = sa.select(run_journal).where(*of_run, run_journal.c.last > after).order_by(run_journal.c.position)
    events = events_of(mappings(await connection.execute(wanted)))
    return [event for event in events if after < event.position <= after + limit]


async def head(connection: AsyncConnection, run: str) -> int:
    """The newest position there is; 0 for an unknown run."""
    wanted = sa.select(run_journal_heads.c.position).where(run_journal_heads.c.run == run)
    return (await connection.execute(wanted)).scalar_one_or_none() or 0


def events_of(rows: Iterable[Mapping[str, Any]]) -> Iterable[Accepted]:
    """The events that rows of the journal stand for."""
    for row in rows:
        shared = {name: row[name] for name in ("type", "version", "source", "app", "actor", "claim", "cause", "command", "traceparent")}
        meta = Meta(id=row["id"], time=row["time"], stream=f"run-{row['run']}", **shared)
        data = data_of(meta._replace(version=row["data_version"]), row["data"].encode())
        if row["block"] is None:
            yield Accepted(row["partition"], row["offset"], row["position"], Envelope(meta, data))
            continue
        assert isinstance(data, NodeDelta)
        block = row["block"]
        pieces = zip(block["ids"], block["times"], block["offsets"], block["texts"], strict=True)
        for position, (id_, time, offset, text) in enumerate(pieces, row["position"]):
            piece = data.model_copy(update={"text": Words(subject=data.text.subject, words=text)})
            yield Accepted(row["partition"], offset, position, Envelope(meta._replace(id=id_, time=time), piece))


def _told() -> Callable[[Row], Iterable[Told]]:
    """One event each, however pieces of text share rows."""

    def tell(row: Row) -> Iterable[Told]:
        common = [row[name] for name in _COMMON]
        if row["block"] is None:
            yield (row["run"], row["position"]), [row["id"], row["time"], row["offset"], "", *common]
            return
        block = row["block"]
        pieces = zip(block["ids"], block["times"], block["offsets"], block["texts"], strict=True)
        for position, piece in enumerate(pieces, row["position"]):
            yield (row["run"], position), [*piece, *common]

    return tell


_COMMON = ("partition", "type", "version", "data_version", "source", "app", "actor", "claim", "cause", "command", "traceparent", "data")
PLAIN: Mapping[str, Plain] = {"run_journal": _told}
