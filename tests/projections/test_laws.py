"""The laws of read models: applying any stretch again, another order of streams, other batches change no row."""

from collections.abc import Iterator
from dataclasses import dataclass

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from events.app import AppRegistered, Key
from events.envelope import Event
from events.flow import FlowBound, FlowDeleted, FlowDrafted, FlowPublished, FlowRevised, FlowTakenOff
from events.node import NodeFailed, Problem
from events.refusal import CommandRefused, CommandRepeated
from events.run import RunCancelled, RunFailed
from events.topics import app_stream, flow_stream, refusals_stream, run_stream
from projections.schema import metadata
from services.kit.database import Database
from tests.support import postgres
from tests.support.histories import History, run_events
from tests.support.rows import PLACES, apply_all, contents
from tests.support.samples import FLOW, RUN, TIME

QUICK = settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest) -> Iterator[sa.Engine]:
    if request.param == "sqlite":
        engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        metadata.create_all(engine)
        yield engine
        engine.dispose()
        return
    with postgres.database(request.getfixturevalue("postgres_server")) as url:
        engine = sa.create_engine(Database(url).url)
        metadata.create_all(engine)
        yield engine
        engine.dispose()


@dataclass(frozen=True)
class Told:
    """One stream's events, in their order."""

    stream: str
    events: tuple[Event, ...]


def runs(number: int) -> st.SearchStrategy[Told]:
    name = str(int(RUN) + number)
    ends = st.sampled_from([None, RunFailed(code=1, message="m"), RunCancelled(by="demo", code=2, message="m")])
    chats = st.sampled_from(["", "c-1", "c-2"])
    texts = st.lists(st.sampled_from(["a", "b\x00", "天"]), max_size=6)
    whole = st.builds(lambda texts, end, chat: run_events(name, texts, end, chat=chat), texts, ends, chats)
    again = NodeFailed(node="spark-llm::2", problem=Problem(code=1, message="m"), then="retry", progress=0.5)
    broken = st.builds(lambda events, place: [*events[:place], again, *events[place:-1]], whole, st.integers(4, 8))
    return st.one_of(whole, broken).map(lambda events: Told(run_stream(name), tuple(events)))


def flows(number: int) -> st.SearchStrategy[Told]:
    name = str(int(FLOW) + number)
    draft = FlowDrafted(flow=name, app="a", name="n", description="", status=0, source=1, definition="0" * 64, document={"n": 0})
    hashes = st.sampled_from(["1" * 64, "2" * 64])
    change = st.one_of(
        hashes.map(lambda hash_: FlowRevised(definition=hash_, document={"of": hash_})),
        st.builds(FlowRevised, name=st.sampled_from(["x", "y"]), released=st.booleans()),
        st.builds(
            FlowPublished,
            operation=st.just(1),
            platform=st.just(1),
            flow_version=st.sampled_from(["", "v1", "v2.1"]),
            release_status=st.sampled_from([1, 4, 8]),
            definition=hashes,
        ),
        st.just(FlowTakenOff(platform=1, release_status=2)),
        st.sampled_from(["a", "b"]).map(lambda app: FlowBound(app=app)),
        st.just(FlowDeleted(by="a")),
    )
    return st.lists(change, max_size=6).map(lambda changes: Told(flow_stream(name), (draft, *changes)))


def key_pairs(names: list[str]) -> tuple[Key, ...]:
    return tuple(Key(key=name, secret_hash=f"s${name}") for name in names)


def apps(number: int) -> st.SearchStrategy[Told]:
    keys = st.lists(st.sampled_from(["k-1", "k-2", "k-3"]), unique=True).map(
        lambda names: tuple(Key(key=k, secret_hash=f"s${k}") for k in names)
    )
    event = st.builds(
        AppRegistered,
        app=st.just(f"app-{number}"),
        name=st.sampled_from(["x", "y"]),
        is_tenant=st.booleans(),
        source=st.just(1),
        platform_rights=st.just(7),
        audit_policy=st.just(0),
        keys=keys,
    )
    return st.lists(event, min_size=1, max_size=3).map(lambda events: Told(app_stream(f"app-{number}"), tuple(events)))


REFUSALS = Told(
    refusals_stream("demo"),
    (
        CommandRefused(wished="run.cancel", target=run_stream(RUN), code=1, message="m"),
        CommandRepeated(wished="run.start", target=run_stream(RUN), first="c-1"),
    ),
)
stories = st.tuples(runs(0), runs(1), runs(2), flows(0), flows(1), apps(0), apps(1), st.just(REFUSALS))


def interleaved(story: tuple[Told, ...], order: list[int]) -> History:
    """The streams merged as `order` says (it names streams, the rest follows); each event keeps its own id and time."""
    history = History()
    rest = {place: list(enumerate(told.events)) for place, told in enumerate(story)}
    turns = [*order, *(place for place, told in enumerate(story) for _ in told.events)]
    for place in turns:
        if rest[place]:
            number, event = rest[place].pop(0)
            stream = story[place].stream
            history.say(stream, event, id=f"{stream}-{number}", time=TIME + number)
    return history


batches = st.sampled_from([4, 30, 1000])
orders = st.lists(st.integers(0, 7), max_size=120)


def rows_of(engine: sa.Engine, history: History, batch: int) -> dict[str, list[object]]:
    with engine.connect() as connection:
        apply_all(connection, history.accepted(), batch)
        found = contents(connection, frozenset(PLACES))
        connection.rollback()
    return found


@QUICK
@given(stories, orders, st.data())
def test_applying_any_stretch_of_events_again_leaves_the_rows_as_they_were(
    engine: sa.Engine, story: tuple[Told, ...], order: list[int], data: st.DataObject
) -> None:
    events = interleaved(story, order).accepted()
    known = data.draw(st.integers(1, len(events)), "events known")
    first = data.draw(st.integers(0, known), "stretch from")
    last = data.draw(st.integers(first, known), "stretch to")
    with engine.connect() as connection:
        apply_all(connection, events[:known], data.draw(batches, "batch"))
        before = contents(connection)
        apply_all(connection, events[first:last], data.draw(batches, "batch again"))
        assert contents(connection) == before
        connection.rollback()


@QUICK
@given(stories, orders, orders, batches, batches)
def test_streams_in_any_order_and_batches_of_any_size_give_the_same_rows(
    engine: sa.Engine, story: tuple[Told, ...], order: list[int], other: list[int], batch: int, other_batch: int
) -> None:
    assert rows_of(engine, interleaved(story, order), batch) == rows_of(engine, interleaved(story, other), other_batch)


@QUICK
@given(stories, orders, batches, st.data())
def test_beginning_again_anywhere_before_the_end_gives_the_same_rows(
    engine: sa.Engine, story: tuple[Told, ...], order: list[int], batch: int, data: st.DataObject
) -> None:
    history = interleaved(story, order)
    events = history.accepted()
    known = data.draw(st.integers(1, len(events)), "events known")
    first = data.draw(st.integers(0, known), "again from")
    with engine.connect() as connection:
        apply_all(connection, events[:known], batch)
        apply_all(connection, events[first:], batch)
        found = contents(connection, frozenset(PLACES))
        connection.rollback()
    assert found == rows_of(engine, history, 1000)
