"""How far are the rows? A whole checkpoint of the acceptance fold per events partition, written with the rows it stands for.

In comes where the fold stood before and stands now; out goes the checkpoint to begin from. Positions of streams that
can get no more events (ended runs) are not kept.
"""

from collections.abc import Collection
from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from events.acceptance import Cause, Checkpoint
from projections.schema import Json, Row, Text, Whole, insert_new, metadata, upsert

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("topic", Text, nullable=False),
    sa.Column("offset", Whole, nullable=False),
    sa.Column("last", Text, nullable=False),
    sa.Column("claim", Text, nullable=False),
    sa.Column("commands", Text, nullable=False),
    sa.Column("cause", Json),
)
stream_positions = sa.Table(
    "stream_positions",
    metadata,
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("stream", Text, primary_key=True),
    sa.Column("position", Whole, nullable=False),
)


class Fenced(Exception):
    """Another projector has moved this partition's checkpoint: nothing of this batch may be written."""


async def load(connection: AsyncConnection, partition: int, streams: Collection[str] | None = None) -> Checkpoint | None:
    """The checkpoint, None where nothing was projected yet. `streams` limits the positions to those of interest."""
    row = (await connection.execute(sa.select(checkpoints).where(checkpoints.c.partition == partition))).mappings().one_or_none()
    if row is None:
        return None
    places = sa.select(stream_positions.c.stream, stream_positions.c.position).where(stream_positions.c.partition == partition)
    if streams is not None:
        places = places.where(stream_positions.c.stream.in_(streams))
    positions = {row.stream: row.position for row in await connection.execute(places)}
    cause = None if row["cause"] is None else Cause(**row["cause"])
    plain: Row = {**row, "cause": cause, "positions": positions}
    return Checkpoint(**plain)


async def reached(connection: AsyncConnection, partition: int) -> int:
    """The offset up to which the rows are complete (not included); 0 where nothing was projected yet."""
    return (await connection.execute(sa.select(checkpoints.c.offset).where(checkpoints.c.partition == partition))).scalar_one_or_none() or 0


async def all_reached(connection: AsyncConnection) -> dict[int, int]:
    """The same of every partition of which anything was projected."""
    return {row.partition: row.offset for row in await connection.execute(sa.select(checkpoints.c.partition, checkpoints.c.offset))}


_ADVANCE = sa.update(checkpoints).where(
    *(checkpoints.c[name] == sa.bindparam(f"_{name}") for name in ("partition", "offset", "topic", "last"))
)
_ENDED = sa.delete(stream_positions).where(*(stream_positions.c[name] == sa.bindparam(f"_{name}") for name in ("stream", "partition")))


def advance(connection: sa.Connection, before: Checkpoint | None, after: Checkpoint, touched: Collection[str] | None = None) -> None:
    """Move the checkpoint from `before` (None: there is none yet) to `after`. Raises `Fenced` when it is not there any more.

    `touched` names the streams whose position changed; without it all are compared.
    """
    row: Row = {name: value for name, value in _plain(after).items() if name != "positions"}
    if before is None:
        insert_new(connection, checkpoints, [{**row, "offset": -1}])
    was = after if before is None else before
    here: Row = {"_partition": after.partition, "_offset": -1 if before is None else before.offset, "_topic": was.topic, "_last": was.last}
    if connection.execute(_ADVANCE, {**here, **row}).rowcount != 1:
        raise Fenced(f"the checkpoint of partition {after.partition} is not at offset {0 if before is None else before.offset} any more")
    _move(connection, {} if before is None else before.positions, after, touched)


def _move(connection: sa.Connection, old: dict[str, int], after: Checkpoint, touched: Collection[str] | None) -> None:
    streams = old.keys() | after.positions.keys() if touched is None else touched
    changed = sorted(s for s in streams if s in after.positions and after.positions[s] != old.get(s))
    ended = [{"_stream": s, "_partition": after.partition} for s in streams if s in old and s not in after.positions]
    rows = [{"partition": after.partition, "stream": s, "position": after.positions[s]} for s in changed]
    upsert(connection, stream_positions, rows)
    if ended:
        connection.execute(_ENDED, ended)


def _plain(checkpoint: Checkpoint) -> Row:
    cause = None if checkpoint.cause is None else asdict(checkpoint.cause)
    return {**vars(checkpoint), "cause": cause}
