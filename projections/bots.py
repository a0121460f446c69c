"""Which bots are there, and how are they configured?

In come the events of bot streams; each shows the whole configuration. A removed bot leaves an empty row, so that an
older event cannot bring it back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from events.acceptance import Accepted
from events.bot import BotConfigured, BotRemoved
from projections.schema import Json, Row, Text, Whole, mappings, metadata, store

bots = sa.Table(
    "bots",
    metadata,
    sa.Column("bot", Text, primary_key=True),
    sa.Column("app", Text, nullable=False, index=True),
    sa.Column("configuration", Json, nullable=False),
    sa.Column("digest", Text, nullable=False),
    sa.Column("updated", Whole, nullable=False),
    sa.Column("is_removed", sa.Boolean, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", Whole, nullable=False),
    sa.Column("position", Whole, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Bot:
    """A bot. `configuration` is what its app sent, keys as references; `updated` in milliseconds."""

    bot: str
    app: str
    configuration: dict[str, Any]
    digest: str
    updated: int
    is_removed: bool
    partition: int
    offset: int
    position: int


def apply(connection: sa.Connection, events: Sequence[Accepted]) -> None:
    """Rows of what happened to bots."""
    newest = {event.meta.stream: event for event in events if isinstance(event.envelope.data, BotConfigured | BotRemoved)}
    store(connection, bots, [_row(stream.removeprefix("bot-"), event) for stream, event in newest.items()])


def _row(bot: str, event: Accepted) -> Row:
    data = event.envelope.data
    place = {"partition": event.partition, "offset": event.offset, "position": event.position, "updated": event.meta.time}
    if isinstance(data, BotConfigured):
        return {**data.model_dump(), "is_removed": False, **place}
    return {"bot": bot, "app": "", "configuration": {}, "digest": "", "is_removed": True, **place}


async def find(connection: AsyncConnection, bot: str, app: str) -> Bot | None:
    """The app's bot with this id."""
    wanted = sa.select(bots).where(bots.c.bot == bot, bots.c.app == app, bots.c.is_removed.is_(False))
    row = (await connection.execute(wanted)).mappings().one_or_none()
    return None if row is None else Bot(**row)


async def of_app(connection: AsyncConnection, app: str, limit: int = 1000) -> list[Bot]:
    """The app's bots by id."""
    wanted = sa.select(bots).where(bots.c.app == app, bots.c.is_removed.is_(False)).order_by(bots.c.bot).limit(limit)
    return [Bot(**row) for row in mappings(await connection.execute(wanted))]
