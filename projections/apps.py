"""Who may call? Apps by name and by key.

In come the events of apps; `app.registered` renews all that is known of its app, its keys included. Other events are ignored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from events.acceptance import Accepted
from events.app import ALL_SCOPES, AppDisabled, AppEnabled, AppRegistered, AuditPolicyChanged, Key, KeyCreated, KeyDisabled, KeyRotated
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
    sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("updated", Whole, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", Whole, nullable=False),
    sa.Column("position", Whole, nullable=False),
    sa.Column("origin", Text, nullable=False, server_default=""),
)
app_keys = sa.Table(
    "app_keys",
    metadata,
    sa.Column("app", Text, primary_key=True),
    sa.Column("key", Text, primary_key=True),
    sa.Column("secret_hash", Text, nullable=False),
    sa.Column("secret_ref", Text),
    sa.Column("scopes", Text, nullable=False, server_default=",".join(ALL_SCOPES)),
    sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("created", Whole, nullable=False, server_default="0"),
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
    enabled: bool
    updated: int
    partition: int
    offset: int
    position: int
    origin: str = ""


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """An app that has a key that opens something, the hash (`salt$hash`) that its secret must have, and what the key is for."""

    app: App
    secret_hash: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class AppKey:
    """A key as it is listed: never its secret. `created` is in milliseconds, 0 for one that came with its app."""

    key: str
    scopes: list[str]
    enabled: bool
    created: int


AppEvent = AppRegistered | AppDisabled | AppEnabled | AuditPolicyChanged | KeyCreated | KeyRotated | KeyDisabled


def apply(connection: sa.Connection, events: Sequence[Accepted]) -> None:
    """Rows of what happened to apps."""
    told = [(event, event.envelope.data) for event in events if isinstance(event.envelope.data, AppEvent)]
    if not told:
        return
    names = {_app_of(event) for event, _ in told}
    rows = {row["app"]: dict(row) for row in mappings(connection.execute(sa.select(apps).where(apps.c.app.in_(names))))}
    keys: dict[str, dict[str, Row]] = {name: {} for name in names}
    for row in mappings(connection.execute(sa.select(app_keys).where(app_keys.c.app.in_(names)))):
        keys[row["app"]][row["key"]] = dict(row)
    changed: set[str] = set()
    for event, data in told:
        name = _app_of(event)
        if event.position > rows.get(name, {}).get("position", 0) and (name in rows or isinstance(data, AppRegistered)):
            rows[name] = _evolve(rows.get(name, {}), data, event)
            keys[name] = _keys(keys[name], name, data, event.meta.time)
            changed.add(name)
    if not changed:
        return
    store(connection, apps, [rows[name] for name in sorted(changed)])
    connection.execute(sa.delete(app_keys).where(app_keys.c.app.in_(changed)))
    insert_new(connection, app_keys, [keys[name][key] for name in sorted(changed) for key in sorted(keys[name])])


def _app_of(event: Accepted) -> str:
    return event.meta.stream.removeprefix("app-")


def _evolve(row: Row, data: AppEvent, event: Accepted) -> Row:
    place = {"partition": event.partition, "offset": event.offset, "position": event.position, "updated": event.meta.time}
    if isinstance(data, AppRegistered):
        return {"enabled": True, **row, **data.model_dump(exclude={"keys"}), **place}
    if isinstance(data, AppDisabled | AppEnabled):
        return {**row, "enabled": isinstance(data, AppEnabled), **place}
    if isinstance(data, AuditPolicyChanged):
        return {**row, "audit_policy": data.audit_policy, **place}
    return {**row, **place}


def _keys(keys: dict[str, Row], app: str, data: AppEvent, time: int) -> dict[str, Row]:
    match data:
        case AppRegistered():
            return {key.key: _key(app, key, 0) for key in data.keys}
        case KeyCreated():
            return {**keys, data.key.key: _key(app, data.key, time)}
        case KeyRotated() if data.key in keys:
            return {**keys, data.key: {**keys[data.key], "secret_hash": data.secret_hash, "secret_ref": data.secret_ref}}
        case KeyDisabled() if data.key in keys:
            return {**keys, data.key: {**keys[data.key], "enabled": False}}
        case _:
            return keys


def _key(app: str, key: Key, created: int) -> Row:
    return {"app": app, **key.model_dump(exclude={"scopes"}), "scopes": ",".join(key.scopes), "enabled": True, "created": created}


async def find(connection: AsyncConnection, app: str) -> App | None:
    """The app of this name."""
    row = (await connection.execute(sa.select(apps).where(apps.c.app == app))).mappings().one_or_none()
    return None if row is None else App(**row)


_HOLDERS = (
    sa.select(apps, app_keys.c.secret_hash, app_keys.c.scopes)
    .join(app_keys, app_keys.c.app == apps.c.app)
    .where(app_keys.c.key == sa.bindparam("wanted", type_=Text), app_keys.c.enabled, apps.c.enabled)
    .order_by(apps.c.app)
)


async def holders(connection: AsyncConnection, key: str) -> list[KeyHolder]:
    """The apps that have this key: almost always one; each must be tried with its own hash."""
    return await connection.run_sync(holders_of, key)


def holders_of(connection: sa.Connection, key: str) -> list[KeyHolder]:
    """The same, where the connection is at hand."""
    found = [dict(row) for row in mappings(connection.execute(_HOLDERS, {"wanted": key}))]
    return [KeyHolder(secret_hash=row.pop("secret_hash"), scopes=frozenset(row.pop("scopes").split(",")), app=App(**row)) for row in found]


async def keys_of(connection: AsyncConnection, app: str) -> list[AppKey]:
    """The keys of an app by name, those that open nothing any more included."""
    wanted = sa.select(app_keys.c.key, app_keys.c.scopes, app_keys.c.enabled, app_keys.c.created)
    rows = (await connection.execute(wanted.where(app_keys.c.app == app).order_by(app_keys.c.key))).mappings()
    return [AppKey(row["key"], row["scopes"].split(","), row["enabled"], row["created"]) for row in rows]


async def sealed(connection: AsyncConnection, app: str) -> list[str]:
    """References to the secrets of the app's keys that are for running, as far as they were kept. None of a disabled app."""
    kept = (app_keys.c.app == app, app_keys.c.enabled, app_keys.c.secret_ref.is_not(None), apps.c.enabled)
    wanted = sa.select(app_keys.c.secret_ref, app_keys.c.scopes).join(apps, apps.c.app == app_keys.c.app).where(*kept)
    rows = (await connection.execute(wanted.order_by(app_keys.c.key))).mappings()
    return [row["secret_ref"] for row in rows if _is_for_running(row["scopes"])]


async def pair(connection: AsyncConnection, app: str) -> tuple[str, str] | None:
    """The first key of the app that is for running and whose secret was kept, and the reference to that secret."""
    kept = (app_keys.c.app == app, app_keys.c.enabled, app_keys.c.secret_ref.is_not(None))
    wanted = sa.select(app_keys.c.key, app_keys.c.secret_ref, app_keys.c.scopes).where(*kept).order_by(app_keys.c.created, app_keys.c.key)
    rows = (await connection.execute(wanted)).all()
    return next(((row.key, row.secret_ref) for row in rows if _is_for_running(row.scopes)), None)


def _is_for_running(scopes: str) -> bool:
    return "run" in scopes.split(",")


async def listing(connection: AsyncConnection) -> list[App]:
    """All apps by name."""
    return [App(**row) for row in mappings(await connection.execute(sa.select(apps).order_by(apps.c.app)))]
