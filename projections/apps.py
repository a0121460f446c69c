"""Who may call? Apps by name and by key.

In come `app.registered` events; each renews all that is known of its app, its keys included. Other events are ignored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from events.acceptance import Accepted
from events.app import AppRegistered
from projections.schema import Row, Text, Whole, insert_new, mappings, metadata, store

apps = sa.Table(
    "apps",
    metadata,
    sa.Column("app", Text, primary_key=True),
    sa.Column("name", Text, nullable=False),
    sa.Column("is_tenant", sa.Boolean, nullable=False),
    sa.Column("source", Whole, nullable=False),
    sa.Column("platform_rights", Whole, nullable=False),
    sa.Column("audit_policy", Whole, nullable=False),
    sa.Column("updated", Whole, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", Whole, nullable=False),
    sa.Column("position", Whole, nullable=False),
)
app_keys = sa.Table(
    "app_keys",
    metadata,
    sa.Column("app", Text, primary_key=True),
    sa.Column("key", Text, primary_key=True),
    sa.Column("secret_hash", Text, nullable=False),
    sa.Column("secret_ref", Text),
    sa.Index(None, "key"),
)


@dataclass(frozen=True, slots=True)
class App:
    """A consumer of the interfaces. `updated` is in milliseconds; `platform_rights` a bit sum of platforms 1, 2, 4."""

    app: str
    name: str
    is_tenant: bool
    source: int
    platform_rights: int
    audit_policy: int
    updated: int
    partition: int
    offset: int
    position: int


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """An app that has a key, and the hash (`salt$hash`) that its secret must have."""

    app: App
    secret_hash: str


def apply(connection: sa.Connection, events: Sequence[Accepted]) -> None:
    """Rows of what happened to apps."""
    newest = {event.envelope.data.app: event for event in events if isinstance(event.envelope.data, AppRegistered)}
    if not newest:
        return
    found = connection.execute(sa.select(apps.c.app, apps.c.position).where(apps.c.app.in_(newest)))
    known: dict[str, int] = {row.app: row.position for row in found}
    fresh = {app: event for app, event in newest.items() if event.position > known.get(app, 0)}
    store(connection, apps, [_row(event) for event in fresh.values()])
    connection.execute(sa.delete(app_keys).where(app_keys.c.app.in_(fresh)))
    insert_new(connection, app_keys, [key for event in fresh.values() for key in _keys(event)])


async def find(connection: AsyncConnection, app: str) -> App | None:
    """The app of this name."""
    row = (await connection.execute(sa.select(apps).where(apps.c.app == app))).mappings().one_or_none()
    return None if row is None else App(**row)


_HOLDERS = (
    sa.select(apps, app_keys.c.secret_hash)
    .join(app_keys, app_keys.c.app == apps.c.app)
    .where(app_keys.c.key == sa.bindparam("wanted", type_=Text))
    .order_by(apps.c.app)
)


async def holders(connection: AsyncConnection, key: str) -> list[KeyHolder]:
    """The apps that have this key: almost always one; each must be tried with its own hash."""
    return await connection.run_sync(holders_of, key)


def holders_of(connection: sa.Connection, key: str) -> list[KeyHolder]:
    """The same, where the connection is at hand."""
    rows = mappings(connection.execute(_HOLDERS, {"wanted": key}))
    return [KeyHolder(App(**{k: v for k, v in row.items() if k != "secret_hash"}), row["secret_hash"]) for row in rows]


async def sealed(connection: AsyncConnection, app: str) -> list[str]:
    """References to the secrets of the app's keys, as far as they were kept."""
    wanted = sa.select(app_keys.c.secret_ref).where(app_keys.c.app == app, app_keys.c.secret_ref.is_not(None)).order_by(app_keys.c.key)
    return list((await connection.execute(wanted)).scalars())


async def listing(connection: AsyncConnection) -> list[App]:
    """All apps by name."""
    return [App(**row) for row in mappings(await connection.execute(sa.select(apps).order_by(apps.c.app)))]


def _row(event: Accepted) -> Row:
    data = event.envelope.data
    assert isinstance(data, AppRegistered)
    place = {"partition": event.partition, "offset": event.offset, "position": event.position}
    return {**data.model_dump(exclude={"keys"}), "updated": event.meta.time, **place}


def _keys(event: Accepted) -> list[Row]:
    data = event.envelope.data
    assert isinstance(data, AppRegistered)
    return [{"app": data.app, **key.model_dump()} for key in data.keys]
