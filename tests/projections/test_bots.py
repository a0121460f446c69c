"""Which bots are there, and how are they configured?"""

from events.bot import BotConfigured, BotRemoved
from events.topics import bot_stream
from projections import bots
from services.kit.database import Database
from tests.support.histories import History
from tests.support.rows import project


def configured(bot: str = "b", app: str = "demo", **configuration: object) -> BotConfigured:
    return BotConfigured.model_validate({"bot": bot, "app": app, "configuration": configuration, "digest": "d" * 64})


async def told(database: Database, *events: BotConfigured | BotRemoved, bot: str = "b") -> None:
    history = History()
    for event in events:
        history.say(bot_stream(event.bot if isinstance(event, BotConfigured) else bot), event)
    await project(database, history, batch=2)


async def test_the_newest_configuration_is_found_by_its_own_app(database: Database) -> None:
    await told(database, configured(a=1), configured(a=2), configured("other", "demo"), configured("theirs", "app"))
    async with database.connect() as connection:
        found = await bots.find(connection, "b", "demo")
        assert found is not None
        assert (found.configuration, found.position) == ({"a": 2}, 2)
        assert await bots.find(connection, "b", "app") is None
        assert [one.bot for one in await bots.of_app(connection, "demo")] == ["b", "other"]


async def test_a_removed_bot_is_gone_until_it_is_created_again(database: Database) -> None:
    await told(database, configured(a=1), BotRemoved(by="demo"))
    async with database.connect() as connection:
        assert await bots.find(connection, "b", "demo") is None
        assert await bots.of_app(connection, "demo") == []


async def test_an_id_can_be_used_anew_by_another_app(database: Database) -> None:
    await told(database, configured(a=1), BotRemoved(by="demo"), configured(app="app", a=3))
    async with database.connect() as connection:
        assert await bots.find(connection, "b", "demo") is None
        found = await bots.find(connection, "b", "app")
    assert found is not None
    assert (found.configuration, found.position) == ({"a": 3}, 3)
