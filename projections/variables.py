"""What do the flows of a chat remember? One row a variable.

In come `variables.stored`; a pool belongs to one chat (or to one run), so all its events are in one partition, and the place in
that partition says which value is newer. Everything else is ignored on purpose.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from events.acceptance import Accepted
from events.node import VariablesStored
from projections.schema import Json, Row, Text, Whole, metadata, upsert

variables = sa.Table(
    "variables",
    metadata,
    sa.Column("pool", Text, primary_key=True),
    sa.Column("name", Text, primary_key=True),
    sa.Column("value", Json, nullable=False),
    sa.Column("app", Text, nullable=False),
    sa.Column("flow", Text, nullable=False),
    sa.Column("stream", Text, nullable=False),
    sa.Column("updated", Whole, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", Whole, nullable=False),
    sa.Column("position", Whole, nullable=False),
)


def apply(connection: sa.Connection, events: Sequence[Accepted]) -> None:
    """Rows of what was set. `value` is {"subject", "words"}, as in the event."""
    newest: dict[tuple[str, str], Row] = {}
    for event in events:
        data = event.envelope.data
        if isinstance(data, VariablesStored):
            for name, value in (data.values.words or {}).items():
                newest[data.pool, name] = _row(event, data, name, value)
    upsert(connection, variables, [newest[key] for key in sorted(newest)], guard="offset")


def _row(event: Accepted, data: VariablesStored, name: str, value: Any) -> Row:
    return {
        "pool": data.pool,
        "name": name,
        "value": {"subject": data.values.subject, "words": value},
        "app": event.meta.app,
        "flow": data.flow,
        "stream": event.meta.stream,
        "updated": event.meta.time,
        "partition": event.partition,
        "offset": event.offset,
        "position": event.position,
    }


async def read(connection: AsyncConnection, pool: str) -> dict[str, Any]:
    """The values of a pool by name."""
    wanted = sa.select(variables.c.name, variables.c.value).where(variables.c.pool == pool)
    return {name: value["words"] for name, value in await connection.execute(wanted)}
