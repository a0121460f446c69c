"""Which providers of models are there, whose, and how are they asked?"""

from events.provider import ProviderConfigured, ProviderRemoved
from events.topics import provider_stream
from projections import providers
from projections.providers import FOR_ALL
from services.kit.database import Database
from tests.support.histories import History
from tests.support.rows import project


def acme(app: str, url: str = "https://m.example/v1", provider: str = "acme", **more: object) -> ProviderConfigured:
    return ProviderConfigured.model_validate({"provider": provider, "app": app, "protocol": "openai", "url": url, **more})


async def told(database: Database, *events: tuple[str, ProviderConfigured | ProviderRemoved]) -> None:
    history = History()
    for app, event in events:
        history.say(provider_stream(app, event.provider if isinstance(event, ProviderConfigured) else "acme"), event)
    await project(database, history, batch=2)


async def url_for(database: Database, app: str) -> str | None:
    found = await database.ask(lambda rows: providers.named(rows, app, "acme"), "provider", app, "acme")
    return None if found is None else found.url


async def test_an_apps_own_comes_before_the_one_for_all(database: Database) -> None:
    await told(database, (FOR_ALL, acme(FOR_ALL, "https://all")), ("demo", acme("demo", "https://own")))
    assert [await url_for(database, app) for app in ("demo", "other")] == ["https://own", "https://all"]


async def test_nobody_names_another_apps_provider(database: Database) -> None:
    await told(database, ("demo", acme("demo")))
    assert await url_for(database, "other") is None


async def test_a_removed_one_is_gone_and_the_one_for_all_takes_its_place(database: Database) -> None:
    await told(
        database, (FOR_ALL, acme(FOR_ALL, "https://all")), ("demo", acme("demo", "https://own")), ("demo", ProviderRemoved(by="demo"))
    )
    assert await url_for(database, "demo") == "https://all"
    async with database.connect() as connection:
        assert await providers.find(connection, "demo", "acme") is None


async def test_an_app_is_shown_its_own_and_those_for_all(database: Database) -> None:
    await told(
        database,
        (FOR_ALL, acme(FOR_ALL, provider="b", models=("x", "y"))),
        ("demo", acme("demo", provider="a")),
        ("other", acme("other", provider="c")),
    )
    async with database.connect() as connection:
        found = await providers.of_app(connection, "demo")
    assert [(one.provider, one.app, one.models) for one in found] == [("a", "demo", []), ("b", "", ["x", "y"])]
