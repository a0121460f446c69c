"""Who may call?"""

from typing import Any

from events.app import ALL_SCOPES, AppDisabled, AppEnabled, AppRegistered, Key, KeyCreated, KeyDisabled, KeyRotated
from events.envelope import Event
from events.topics import app_stream
from projections import apps
from services.kit.database import Database
from tests.support.histories import History
from tests.support.rows import project


def registered(app: str = "demo", keys: tuple[Key, ...] = (Key(key="k-1", secret_hash="aa$bb"),), **other: Any) -> AppRegistered:
    terms = {"name": "Demo", "is_tenant": True, "source": 1, "platform_rights": 7, "audit_policy": 0}
    return AppRegistered(app=app, keys=keys, **{**terms, **other})


async def told(database: Database, *events: Event) -> History:
    history = History()
    app = "demo"
    for event in events:
        app = event.app if isinstance(event, AppRegistered) else app
        history.say(app_stream(app), event)
    await project(database, history)
    return history


async def test_a_registered_app_is_found_by_name(database: Database) -> None:
    history = await told(database, registered())
    async with database.connect() as connection:
        app = await apps.find(connection, "demo")
        assert await apps.find(connection, "other") is None
        assert await apps.listing(connection) == [app]
    assert app == apps.App("demo", "Demo", True, 1, 7, 0, True, history.records[1].record.time, 0, 1, 1)


async def test_a_registered_app_is_found_by_each_of_its_keys(database: Database) -> None:
    await told(database, registered(keys=(Key(key="k-1", secret_hash="a$1"), Key(key="k-2", secret_hash="a$2"))))
    async with database.connect() as connection:
        found = [await apps.holders(connection, key) for key in ("k-1", "k-2", "k-3")]
    assert [[(holder.app.app, holder.secret_hash) for holder in holders] for holders in found] == [[("demo", "a$1")], [("demo", "a$2")], []]


async def test_registering_again_renews_everything_and_old_keys_are_gone(database: Database) -> None:
    await told(database, registered(), registered(name="Newer", is_tenant=False, keys=(Key(key="k-9", secret_hash="n$9"),)))
    async with database.connect() as connection:
        app = await apps.find(connection, "demo")
        assert await apps.holders(connection, "k-1") == []
        assert await apps.holders(connection, "k-9") == [apps.KeyHolder(app, "n$9", frozenset(ALL_SCOPES))]
    assert app is not None
    assert (app.name, app.is_tenant, app.position) == ("Newer", False, 2)


async def test_two_apps_with_the_same_key_do_not_take_it_from_each_other(database: Database) -> None:
    await told(database, registered("b"), registered("a", keys=(Key(key="k-1", secret_hash="x$y"),)))
    async with database.connect() as connection:
        assert [(holder.app.app, holder.secret_hash) for holder in await apps.holders(connection, "k-1")] == [("a", "x$y"), ("b", "aa$bb")]


async def test_an_old_registration_that_comes_again_changes_nothing(database: Database) -> None:
    history = await told(database, registered(), registered(name="Newer", keys=(Key(key="k-9", secret_hash="n$9"),)))
    async with database.begin() as connection:
        await connection.run_sync(apps.apply, history.accepted()[:2])
    async with database.connect() as connection:
        app = await apps.find(connection, "demo")
        assert await apps.holders(connection, "k-1") == []
        assert await apps.holders(connection, "k-9") == [apps.KeyHolder(app, "n$9", frozenset(ALL_SCOPES))]


async def found(database: Database, key: str) -> list[tuple[str, list[str]]]:
    async with database.connect() as connection:
        return [(holder.secret_hash, sorted(holder.scopes)) for holder in await apps.holders(connection, key)]


async def test_a_key_opens_from_its_creation_to_its_end_with_its_newest_secret(database: Database) -> None:
    created = KeyCreated(key=Key(key="k-2", secret_hash="a$2", scopes=("run", "read")))
    await told(database, registered(), created)
    assert await found(database, "k-2") == [("a$2", ["read", "run"])]
    await told(database, registered(), created, KeyRotated(key="k-2", secret_hash="b$2", secret_ref="secret:00"))
    assert await found(database, "k-2") == [("b$2", ["read", "run"])]
    await told(database, registered(), created, KeyRotated(key="k-2", secret_hash="b$2"), KeyDisabled(key="k-2"))
    assert await found(database, "k-2") == []
    assert len(await found(database, "k-1")) == 1
    async with database.connect() as connection:
        assert [(key.key, key.enabled) for key in await apps.keys_of(connection, "demo")] == [("k-1", True), ("k-2", False)]


async def test_no_key_of_a_disabled_app_opens_anything(database: Database) -> None:
    await told(database, registered(), AppDisabled())
    assert await found(database, "k-1") == []
    await told(database, registered(), AppDisabled(), AppEnabled())
    assert len(await found(database, "k-1")) == 1


async def test_registering_again_leaves_a_disabled_app_disabled(database: Database) -> None:
    await told(database, registered(), AppDisabled(), registered(name="Newer"))
    assert await found(database, "k-1") == []


async def test_the_pair_of_an_app_is_its_first_key_for_running_whose_secret_was_kept(database: Database) -> None:
    ruling = Key(key="k-1", secret_hash="a$1", secret_ref="secret:01", scopes=("admin",))
    lost = Key(key="k-2", secret_hash="a$2")
    running = Key(key="k-3", secret_hash="a$3", secret_ref="secret:03", scopes=("read", "run"))
    await told(database, registered(keys=(ruling, lost)))
    async with database.connect() as connection:
        assert await apps.pair(connection, "demo") is None
    await told(database, registered(keys=(ruling, lost)), KeyCreated(key=running))
    async with database.connect() as connection:
        assert await apps.pair(connection, "demo") == ("k-3", "secret:03")
