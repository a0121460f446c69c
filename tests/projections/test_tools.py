"""Which tools does an app have, and what is in each version?"""

from events.tool import ToolRemoved, ToolStored
from events.topics import tool_stream
from projections import tools
from services.kit.database import Database
from tests.support.histories import History
from tests.support.rows import project


def stored(version: str = "V1.0", tool: str = "t", app: str = "demo", **content: object) -> ToolStored:
    terms = {"tool": tool, "app": app, "kind": "openapi", "name": tool, "tool_version": version, "definition": "d" * 64, "content": content}
    return ToolStored.model_validate(terms)


async def told(database: Database, *events: ToolStored | ToolRemoved) -> None:
    history = History()
    for event in events:
        history.say(tool_stream(event.app, event.tool) if isinstance(event, ToolStored) else tool_stream("demo", "t"), event)
    await project(database, history, batch=2)


async def test_the_newest_version_is_found_where_none_is_named(database: Database) -> None:
    await told(database, stored(a=1), stored("V2", a=2), stored(tool="u"), stored(app="other", a=3))
    async with database.connect() as connection:
        newest = await tools.find(connection, "demo", "t")
        first = await tools.find(connection, "demo", "t", "V1.0")
        assert newest is not None
        assert first is not None
        assert (newest.version, newest.content, first.content) == ("V2", {"a": 2}, {"a": 1})
        assert await tools.find(connection, "demo", "t", "V3") is None
        assert await tools.find(connection, "nobody", "t") is None
        assert [(one.tool, one.version) for one in await tools.of_app(connection, "demo")] == [("t", "V2"), ("t", "V1.0"), ("u", "V1.0")]


async def test_a_removed_tool_is_gone_with_all_versions_until_it_is_stored_again(database: Database) -> None:
    await told(database, stored(a=1), stored("V2", a=2), ToolRemoved(by="demo"), stored("V2", a=5))
    async with database.connect() as connection:
        assert await tools.find(connection, "demo", "t", "V1.0") is None
        assert [(one.version, one.content) for one in await tools.of_app(connection, "demo", "t")] == [("V2", {"a": 5})]
