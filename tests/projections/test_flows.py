"""Which flows are there, what do their releases run, and who may start them?"""

from typing import Any, Literal

import pytest

from events.envelope import Event
from events.flow import FlowBound, FlowDeleted, FlowDrafted, FlowPublished, FlowRevised, FlowTakenOff
from events.topics import flow_stream, run_stream
from projections import flows
from projections.flows import NoStart, Release
from projections.schema import BadCursor
from services.kit.database import Database
from tests.support.histories import History, started
from tests.support.rows import project
from tests.support.samples import FLOW, RUN

DRAFT, SECOND, THIRD = "d" * 64, "e" * 64, "f" * 64


def drafted(flow: str = FLOW, definition: str | None = DRAFT, **other: Any) -> FlowDrafted:
    terms = {"app": "author", "name": "Desk", "description": "Takes orders", "status": 0, "source": 1}
    document = None if definition is None else {"of": definition}
    return FlowDrafted(flow=flow, definition=definition, document=document, **{**terms, **other})


def published(version: str = "", definition: str | None = DRAFT, status: int = 1, operation: int = 1) -> FlowPublished:
    return FlowPublished(operation=operation, platform=1, flow_version=version, release_status=status, definition=definition)


async def told(database: Database, *events: Event, flow: str = FLOW) -> None:
    history = History()
    history.say(flow_stream(flow), *events)
    await project(database, history)


async def start(database: Database, version: str = "", app: str = "caller", mode: Literal["open", "debug"] = "open") -> Release | NoStart:
    async with database.connect() as connection:
        return await flows.resolve_start(connection, FLOW, version, app, mode)


async def found(database: Database) -> flows.Flow | None:
    async with database.connect() as connection:
        return await flows.find(connection, FLOW)


async def test_a_drafted_flow_is_found_with_its_definition(database: Database) -> None:
    await told(database, drafted())
    flow = await found(database)
    assert flow is not None
    assert (flow.flow, flow.group_id, flow.version, flow.definition, flow.release, flow.release_status) == (
        FLOW,
        FLOW,
        "-1",
        DRAFT,
        None,
        0,
    )
    async with database.connect() as connection:
        assert await flows.definition(connection, DRAFT) == {"of": DRAFT}
        assert await flows.definition(connection, SECOND) is None
        assert await flows.find(connection, "1") is None


async def test_a_revision_changes_what_it_names_and_nothing_else(database: Database) -> None:
    await told(database, drafted(), FlowRevised(name="New name", definition=SECOND, document={"of": SECOND}))
    flow = await found(database)
    assert flow is not None
    assert (flow.name, flow.description, flow.definition, flow.release) == ("New name", "Takes orders", SECOND, None)
    assert flow.updated > flow.created


async def test_a_revision_that_is_released_takes_the_newest_draft(database: Database) -> None:
    await told(database, drafted(), FlowRevised(status=1, released=True))
    flow = await found(database)
    assert flow is not None
    assert (flow.status, flow.release) == (1, DRAFT)


async def test_a_deleted_flow_is_not_found_and_cannot_be_started(database: Database) -> None:
    await told(database, drafted(), published("v1"), FlowBound(app="caller"), FlowDeleted(by="author"))
    assert await found(database) is None
    assert await start(database) == NoStart("no_flow")
    assert await start(database, mode="debug") == NoStart("no_flow")
    async with database.connect() as connection:
        assert await flows.released(connection, FLOW) is None
        assert (await flows.page(connection)).flows == []


async def test_a_start_asks_in_the_order_of_the_error_codes(database: Database) -> None:
    assert await start(database) == NoStart("no_flow")
    await told(database, drafted())
    assert await start(database) == NoStart("not_bound")


async def test_a_bound_app_may_start_only_what_is_published(database: Database) -> None:
    await told(database, drafted(), FlowBound(app="caller"))
    assert await start(database) == NoStart("not_released")
    async with database.connect() as connection:
        assert await flows.bound(connection, FLOW, "caller") == 1
        assert await flows.bound(connection, FLOW, "other") is None


async def test_an_unversioned_release_is_what_a_start_runs(database: Database) -> None:
    await told(database, drafted(), published(), FlowBound(app="caller"), FlowRevised(definition=SECOND, document={"of": SECOND}))
    assert await start(database) == Release(FLOW, "", DRAFT, "author")
    assert await start(database, version="-1") == Release(FLOW, "", DRAFT, "author")
    assert await start(database, app="stranger") == NoStart("not_bound")


@pytest.mark.parametrize(
    ("status", "callable_"),
    [(0, False), (1, True), (4, True), (8, True), (32, False), (2, False), (1 | 16, True), (2 | 16 | 64, False), (1 | 2 | 16 | 64, False)],
)
async def test_release_bits_decide_whether_a_flow_can_be_called(database: Database, status: int, callable_: bool) -> None:
    await told(database, drafted(), published(status=status), FlowBound(app="caller"))
    assert isinstance(await start(database), Release) is callable_


async def test_taking_off_ends_what_can_be_started_and_keeps_the_rest(database: Database) -> None:
    await told(database, drafted(), published("v1"), FlowBound(app="caller"), FlowTakenOff(platform=1, release_status=2))
    assert await start(database) == NoStart("not_released")
    assert await start(database, "v1") == NoStart("not_released")
    flow = await found(database)
    assert flow is not None
    assert flow.release == DRAFT


async def test_the_version_with_the_highest_first_then_last_number_is_served(database: Database) -> None:
    order = ["v9.1", "v10.0", "v10.2", "v10.1.1", "final"]
    await told(database, drafted(), *(published(version) for version in order), FlowBound(app="caller"))
    assert await start(database) == Release(FLOW, "v10.2", DRAFT, "author")
    async with database.connect() as connection:
        assert [one.version for one in await flows.versions(connection, FLOW)] == ["v10.2", "v10.1.1", "v10.0", "v9.1", "final"]


async def test_a_version_hides_the_release_without_one_whatever_came_last(database: Database) -> None:
    await told(database, drafted(), published("v1", SECOND), published("", THIRD), FlowBound(app="caller"))
    assert await start(database) == Release(FLOW, "v1", SECOND, "author")


async def test_a_named_version_must_be_there_exactly(database: Database) -> None:
    await told(database, drafted(), published("v1", SECOND), published("v2", THIRD), FlowBound(app="caller"))
    assert await start(database, "v1") == Release(FLOW, "v1", SECOND, "author")
    assert await start(database, "v1.0") == NoStart("not_released")
    async with database.connect() as connection:
        assert await flows.released(connection, FLOW, "v2") == Release(FLOW, "v2", THIRD, "author")


async def test_an_absurdly_large_version_number_is_no_poison(database: Database) -> None:
    await told(database, drafted(), published("v" + "9" * 5000), FlowBound(app="caller"))
    assert isinstance(await start(database), Release)


async def test_a_debug_run_takes_the_draft_without_a_licence(database: Database) -> None:
    await told(database, drafted(), published("v1", SECOND))
    assert await start(database, app="author", mode="debug") == Release(FLOW, "", DRAFT, "author", for_editors=True)
    assert await start(database, "v1", app="author", mode="debug") == NoStart("not_bound")


async def test_a_debug_run_of_a_named_version_takes_that_version(database: Database) -> None:
    await told(database, drafted(), published("v1", SECOND), FlowBound(app="caller"))
    assert await start(database, "v1", mode="debug") == Release(FLOW, "v1", SECOND, "author")


async def test_a_flow_without_content_cannot_be_debugged_or_released(database: Database) -> None:
    await told(database, drafted(definition=None), published(definition=None), FlowBound(app="caller"))
    assert await start(database, mode="debug") == NoStart("no_content")
    assert await start(database) == NoStart("not_released")


async def test_flows_are_listed_newest_first_page_by_page(database: Database) -> None:
    history = History()
    names = [str(int(FLOW) + number) for number in range(5)]
    for name in names:
        history.say(flow_stream(name), drafted(name, app="mine" if name != names[2] else "other"))
    await project(database, history)
    async with database.connect() as connection:
        first = await flows.page(connection, "mine", limit=3)
        second = await flows.page(connection, "mine", first.cursor, limit=3)
        with pytest.raises(BadCursor):
            await flows.page(connection, "mine", "rubbish")
    assert [flow.flow for flow in first.flows + second.flows] == [names[4], names[3], names[1], names[0]]
    assert second.cursor is None


async def test_a_definition_that_a_run_brought_along_is_found_by_its_hash(database: Database) -> None:
    history = History()
    history.say(run_stream(RUN), started(definition=THIRD, document={"of": THIRD}))
    await project(database, history)
    async with database.connect() as connection:
        assert await flows.definition(connection, THIRD) == {"of": THIRD}
