"""Which providers of models are there, whose, and how are they asked?

In come the events of provider streams; each shows the whole provider. A removed one leaves an empty row, so that an older
event cannot bring it back. Rows whose `app` is empty are for all apps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from events.acceptance import Accepted
from events.provider import ProviderConfigured, ProviderRemoved
from projections.schema import Json, Row, Text, Whole, mappings, metadata, store

FOR_ALL = ""
providers = sa.Table(
    "providers",
    metadata,
    sa.Column("app", Text, primary_key=True),
    sa.Column("provider", Text, primary_key=True),
    sa.Column("name", Text, nullable=False),
    sa.Column("protocol", Text, nullable=False),
    sa.Column("url", Text, nullable=False),
    sa.Column("key", Text, nullable=False),
    sa.Column("models", Json, nullable=False),
    sa.Column("updated", Whole, nullable=False),
    sa.Column("is_removed", sa.Boolean, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", Whole, nullable=False),
    sa.Column("position", Whole, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider. `key` is a secret's reference or empty, `app` empty for all; `updated` in milliseconds, `position` its revision."""

    app: str
    provider: str
    name: str
    protocol: str
    url: str
    key: str
    models: list[str]
    updated: int
    is_removed: bool
    partition: int
    offset: int
    position: int


def apply(connection: sa.Connection, events: Sequence[Accepted]) -> None:
    """Rows of what happened to providers."""
    newest = {one.meta.stream: one for one in events if isinstance(one.envelope.data, ProviderConfigured | ProviderRemoved)}
    store(connection, providers, [_row(stream, event) for stream, event in newest.items()])


def _row(stream: str, event: Accepted) -> Row:
    data = event.envelope.data
    place = {"partition": event.partition, "offset": event.offset, "position": event.position, "updated": event.meta.time}
    if isinstance(data, ProviderConfigured):
        return {**data.model_dump(), "models": [*data.models], "is_removed": False, **place}
    app, _, provider = stream.removeprefix("provider-").rpartition("/")
    return {"app": app, "provider": provider, **_EMPTY, "is_removed": True, **place}


_EMPTY: Row = {"name": "", "protocol": "", "url": "", "key": "", "models": []}


def named(connection: sa.Connection, app: str, provider: str) -> Provider | None:
    """The provider that an app means by an id: its own, else the one for all."""
    wanted = sa.select(providers).where(
        providers.c.app.in_({app, FOR_ALL}), providers.c.provider == provider, providers.c.is_removed.is_(False)
    )
    row = connection.execute(wanted.order_by(providers.c.app.desc()).limit(1)).mappings().one_or_none()
    return None if row is None else Provider(**row)


async def find(connection: AsyncConnection, app: str, provider: str) -> Provider | None:
    """The provider with this id that belongs to exactly this app (empty: to all)."""
    wanted = sa.select(providers).where(providers.c.app == app, providers.c.provider == provider, providers.c.is_removed.is_(False))
    row = (await connection.execute(wanted)).mappings().one_or_none()
    return None if row is None else Provider(**row)


async def of_app(connection: AsyncConnection, app: str, limit: int = 1000) -> list[Provider]:
    """All that an app can name: its own and those for all, by id; its own first where both have one."""
    wanted = sa.select(providers).where(providers.c.app.in_({app, FOR_ALL}), providers.c.is_removed.is_(False))
    found = await connection.execute(wanted.order_by(providers.c.provider, providers.c.app.desc()).limit(limit))
    return [Provider(**row) for row in mappings(found)]
