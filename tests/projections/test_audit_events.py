"""Who did what, when?"""

import json

import pytest

from events.app import ALL_SCOPES, AppRegistered, Key
from events.flow import FlowBound, FlowDrafted
from events.refusal import CommandRefused
from events.topics import app_stream, flow_stream, refusals_stream, run_stream
from projections import audit_events
from projections.audit_events import AuditEvent, AuditFilter
from projections.schema import BadCursor
from services.kit.database import Database
from tests.support.histories import History, run_events, started
from tests.support.rows import project
from tests.support.samples import FLOW, RUN

OTHER = str(int(RUN) + 1)
REGISTERED = AppRegistered(
    app="demo", name="Demo", is_tenant=True, source=1, platform_rights=7, audit_policy=0, keys=(Key(key="k", secret_hash="s$h"),)
)
DRAFTED = FlowDrafted(flow=FLOW, app="author", name="n", description="d", status=0, source=1, definition="d" * 64, document={"nodes": []})
REFUSED = CommandRefused(wished="flow.publish", target=flow_stream(FLOW), code=20003, message="no right")


async def found(database: Database, wanted: AuditFilter | None = None) -> list[AuditEvent]:
    async with database.connect() as connection:
        return (await audit_events.page(connection, wanted or AuditFilter())).events


async def test_events_of_the_control_plane_are_kept_with_their_data_but_no_secrets_and_documents(database: Database) -> None:
    history = History(partition=5)
    history.say(app_stream("demo"), REGISTERED, app="", actor="operator", command="c-1")
    history.say(flow_stream(FLOW), DRAFTED, app="author", actor="author/key")
    await project(database, history)
    drafted, registered, claimed = await found(database)
    assert (registered.type, registered.actor, registered.command) == ("app.registered", "operator", "c-1")
    assert registered.data is not None
    assert registered.data["keys"] == [{"key": "k", "scopes": list(ALL_SCOPES)}]
    assert (drafted.type, drafted.app, drafted.flow, drafted.run, drafted.stream) == ("flow.drafted", "author", FLOW, "", flow_stream(FLOW))
    assert (drafted.partition, drafted.offset, drafted.position) == (5, 2, 1)
    assert drafted.data is not None
    assert drafted.data["definition"] == "d" * 64
    assert "document" not in drafted.data
    assert claimed.type == "partition.claimed"


@pytest.mark.parametrize("batch", [1, 5, 1000])
async def test_events_of_a_run_point_into_its_journal_and_name_flow_and_person(database: Database, batch: int) -> None:
    history = History()
    history.run(RUN, chat="c-1")
    await project(database, history, batch)
    events = [event for event in await found(database) if event.run == RUN]
    assert [event.type for event in events[::-1]] == [event.type for event in run_events() if event.type != "node.delta"]
    assert {(event.flow, event.subject, event.app, event.data is None) for event in events} == {(FLOW, "person-1", "demo", True)}
    assert [events[-1].position, events[0].position] == [1, len(run_events())]
    assert "sky" not in json.dumps([event.data for event in events])


async def test_a_refusal_is_kept_with_its_reason_and_what_it_was_about(database: Database) -> None:
    history = History()
    history.say(refusals_stream("demo"), REFUSED, REFUSED.model_copy(update={"target": run_stream(RUN)}))
    await project(database, history)
    about_run, about_flow, _ = await found(database)
    assert (about_flow.flow, about_flow.run, about_run.flow, about_run.run) == (FLOW, "", "", RUN)
    assert about_flow.data == REFUSED.model_dump()


async def test_events_are_filtered_by_everything_that_can_be_named(database: Database) -> None:
    history = History()
    history.say(flow_stream(FLOW), FlowBound(app="x"), app="author")
    history.say(run_stream(RUN), started(subject="person-2", flow="9"))
    history.say(run_stream(OTHER), started(OTHER, app="other"), app="")
    await project(database, history)
    times = [event.time for event in await found(database)][::-1]
    answers = {
        AuditFilter(app="author"): ["flow.bound"],
        AuditFilter(app="other"): ["run.started"],
        AuditFilter(flow=FLOW): ["run.started", "flow.bound"],
        AuditFilter(flow="9"): ["run.started"],
        AuditFilter(run=RUN): ["run.started"],
        AuditFilter(subject="person-2"): ["run.started"],
        AuditFilter(type="flow.bound"): ["flow.bound"],
        AuditFilter(since=times[3]): ["run.started"],
        AuditFilter(until=times[1]): ["partition.claimed"],
        AuditFilter(type="flow.bound", app="demo"): [],
    }
    for wanted, expected in answers.items():
        assert [event.type for event in await found(database, wanted)] == expected


async def test_events_are_read_page_by_page_newest_first(database: Database) -> None:
    for partition in (0, 1):
        history = History(partition)
        history.say(flow_stream(FLOW), *[FlowBound(app=f"{partition}-{number}") for number in range(3)], time=1_000)
        await project(database, history)
    seen: list[tuple[int, int]] = []
    cursor = None
    async with database.connect() as connection:
        for _ in range(3):
            page = await audit_events.page(connection, AuditFilter(type="flow.bound"), cursor, limit=2)
            seen += [(event.partition, event.offset) for event in page.events]
            cursor = page.cursor
        assert cursor is None
        with pytest.raises(BadCursor):
            await audit_events.page(connection, AuditFilter(), "rubbish")
    assert seen == [(1, 3), (1, 2), (1, 1), (0, 3), (0, 2), (0, 1)]
