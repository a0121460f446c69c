"""Rebuilding read models: the same rows, while everything goes on, whatever happens to the program that does it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from events.flow import FlowBound, FlowDrafted, FlowPublished
from events.run import RunFailed
from events.topics import flow_stream, run_stream
from projections import checkpoints, runs
from projections.schema import metadata
from services.kit.database import Database
from services.kit.errors import NotReady, Refused
from services.kit.rows import Rows
from services.kit.secrets import table as secret_table
from services.kit.world import World
from services.projector import rebuild as rebuilding
from services.projector import refold, shadow
from services.projector.consistency import audit, hash_of
from services.projector.read_models import READ_MODELS, tables_of
from services.projector.rebuild import Rebuilt, chosen, rebuild
from tests.support.histories import History, run_events
from tests.support.projecting import append, following, projector_world
from tests.support.rows import all_rows
from tests.support.samples import FLOW, RUN

PATIENCE_S = 20
MANY = 1_000


@pytest.fixture
async def world(tmp_path: Path, database: Database) -> AsyncIterator[World]:
    async with projector_world(tmp_path, database) as made:
        yield made


def quiet(_done: int, _total: int) -> None:
    return None


def name_of(number: int) -> str:
    return str(int(RUN) + number)


def tell_runs(history: History, first: int, count: int) -> None:
    """Runs that ended well, badly, or not yet; some in a chat; two of them at once."""
    for number in range(first, first + count, 2):
        pair = [run_events(name_of(n), chat="" if n % 3 else f"chat-{n % 7}", texts=["a ", "b ", "天\x00"]) for n in (number, number + 1)]
        if number % 10 == 0:
            pair[0] = run_events(name_of(number), end=RunFailed(code=1, message="m"))
        if number % 50 == 0:
            del pair[1][14:]
        for place in range(max(map(len, pair))):
            for n, events in enumerate(pair):
                history.say(run_stream(name_of(number + n)), *events[place : place + 1])


def stories(count: int, partitions: int = 2) -> list[History]:
    histories = [History(partition) for partition in range(partitions)]
    draft = FlowDrafted(flow=FLOW, app="a", name="n", description="", status=0, source=1, definition="0" * 64, document={"n": 0})
    published = FlowPublished(operation=1, platform=1, flow_version="v1", release_status=1, definition="0" * 64, document=None)
    histories[0].say(flow_stream(FLOW), draft, published, FlowBound(app="a"))
    for place, history in enumerate(histories):
        tell_runs(history, place * count, count // partitions)
    return histories


async def projected(world: World, *histories: History, batch: int = 37) -> None:
    for history in histories:
        last = await append(world, history)
        async with following(world, history.partition, batch=batch):
            await Rows(world.database).wait(history.partition, last, PATIENCE_S)


async def again(world: World, *names: str) -> Rebuilt:
    return await rebuild(world.log, world.blobs, world.database, chosen(names), quiet)


async def hashes(database: Database) -> dict[str, str]:
    async with database.connect() as connection:
        return {table.name: await hash_of(connection, model, table) for model in READ_MODELS for table in model.tables}


async def spoil(database: Database, statement: Any) -> None:
    async with database.begin() as connection:
        await connection.execute(statement)


async def names_inside(database: Database) -> set[str]:
    def look(connection: sa.Connection) -> set[str]:
        inspector = sa.inspect(connection)
        schemas = {name for name in inspector.get_schema_names() if name != "information_schema"}
        return schemas | {str(index["name"]) for table in inspector.get_table_names() for index in inspector.get_indexes(table)}

    async with database.connect() as connection:
        return await connection.run_sync(look)


@pytest.mark.timeout(300)
async def test_after_a_thousand_runs_every_read_model_is_rebuilt_to_the_same_rows(world: World) -> None:
    await projected(world, *stories(MANY), batch=500)
    before, structure = await hashes(world.database), await names_inside(world.database)
    for table in tables_of(READ_MODELS):
        await spoil(world.database, sa.delete(table))
    assert await hashes(world.database) != before
    done = await again(world)
    assert await hashes(world.database) == before
    assert await names_inside(world.database) == structure
    assert (done.resumed, len(done.models)) == (False, len(READ_MODELS))


async def test_one_read_model_is_rebuilt_and_the_others_are_left_alone(world: World) -> None:
    await projected(world, *stories(20))
    await spoil(world.database, sa.update(runs.runs).values(status="wrong"))
    await spoil(world.database, sa.delete(tables_of(chosen(["node_runs"]))[0]))
    await again(world, "runs")
    async with world.database.connect() as connection:
        found = (await connection.execute(sa.select(runs.runs.c.status).distinct())).scalars().all()
    assert set(found) == {"completed", "failed", "running"}
    assert [one.table for one in await compared(world) if not one.is_equal] == ["node_runs"]


async def test_an_unknown_read_model_is_refused_with_the_list_of_those_that_are_there() -> None:
    with pytest.raises(Refused, match=r"no read model nodes; there are apps, audit_events, .*, variables\."):
        chosen(["runs", "nodes"])


async def test_every_table_that_is_folded_from_events_belongs_to_one_read_model() -> None:
    known = [table.name for table in (*tables_of(READ_MODELS), checkpoints.checkpoints, checkpoints.stream_positions, secret_table.secrets)]
    assert sorted(known) == sorted(metadata.tables)


async def test_the_projector_goes_on_while_its_rows_are_rebuilt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    history = stories(40, 1)[0]
    await projected(world, history)
    switching, added = shadow.shadow_of(world.database, "x"), []
    taking_place = type(switching).taking_place

    def more(self: Any, tables: Any) -> Any:
        added.append(True)
        return taking_place(self, tables)

    monkeypatch.setattr(refold, "BATCH", 50)
    monkeypatch.setattr(rebuilding, "CLOSE", 60)
    monkeypatch.setattr(type(switching), "taking_place", more)
    async with following(world, batch=7):
        adding = asyncio.create_task(_keep_adding(world, history, added))
        await again(world)
        last = await adding
        await Rows(world.database).wait(0, last, PATIENCE_S)
    assert all(one.is_equal for one in await compared(world))


async def _keep_adding(world: World, history: History, enough: list[bool]) -> int:
    """Runs are added until the tables change places, and after it."""
    last, number = 0, 1_000
    for _ in range(200):
        tell_runs(history, number, 2)
        last = await append(world, history)
        await Rows(world.database).wait(0, last - 30, PATIENCE_S)
        number += 2
        if enough and number > 1_020:
            break
    return last


async def test_a_rebuild_that_was_killed_goes_on_where_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await projected(world, *stories(40))
    before = await all_rows(world.database)
    monkeypatch.setattr(refold, "BATCH", 100)
    seen: list[int] = []

    def die(done: int, _total: int) -> None:
        seen.append(done)
        if len(seen) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await rebuild(world.log, world.blobs, world.database, READ_MODELS, die)
    assert await all_rows(world.database) == before
    done = await again(world)
    everything = sum([(await world.log.bounds("prozess.events", partition))[1] for partition in range(2)])
    assert (done.resumed, done.records) == (True, everything - seen[-1])
    assert all(one.is_equal for one in await compared(world))


async def test_what_was_begun_for_other_read_models_or_later_rows_is_thrown_away(world: World) -> None:
    await projected(world, *stories(20))

    def die(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    for names in ((), ("runs",)):
        with pytest.raises(KeyboardInterrupt):
            await rebuild(world.log, world.blobs, world.database, chosen(names), die)
    assert (await again(world)).resumed is False
    shadowed = rebuilding.Refold(world.log, world.blobs, shadow.shadow_of(world.database, "rebuild"), READ_MODELS, quiet)
    async with world.database.connect() as connection:
        goals = await refold.goals_of(connection)
    await shadowed.open(goals)
    await shadowed.reach(goals)
    await shadowed._shadow.close()
    await spoil(world.database, sa.delete(checkpoints.checkpoints).where(checkpoints.checkpoints.c.partition == 1))
    await spoil(world.database, sa.update(checkpoints.checkpoints).values(offset=1, last=(await first_id(world))))
    assert (await again(world)).resumed is False


async def first_id(world: World) -> str:
    return dict((await world.log.read("prozess.events", 0, 0, 1))[0].record.headers)["ce_id"].decode()


async def test_a_log_that_the_rows_do_not_belong_to_is_refused(world: World) -> None:
    await projected(world, *stories(4))
    await spoil(world.database, sa.update(checkpoints.checkpoints).values(last="other"))
    with pytest.raises(refold.Disagreed, match="partition 0: the log has another record at offset"):
        await again(world)


async def test_a_log_whose_beginning_is_gone_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await projected(world, *stories(4))

    async def bounds(_topic: str, _partition: int) -> tuple[int, int]:
        return 7, 1_000

    monkeypatch.setattr(world.log, "bounds", bounds)
    with pytest.raises(Refused, match="partition 0 begins at offset 7: what came before it cannot be folded again"):
        await again(world)


@pytest.mark.postgres
async def test_on_postgresql_tables_change_places_only_when_no_older_snapshot_is_open(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    if world.database.is_sqlite:
        return
    await projected(world, *stories(4))
    monkeypatch.setattr(shadow, "_SNAPSHOTS_S", 0.1)
    monkeypatch.setattr(shadow, "_PATIENCE_S", 0)
    async with world.database.snapshot() as looking:
        before = (await looking.execute(sa.select(sa.func.count()).select_from(checkpoints.checkpoints))).scalar_one()
        with pytest.raises(NotReady, match="has been looking at the rows"):
            await again(world)
        assert before == 2
    assert (await again(world)).resumed is True


async def compared(world: World) -> Any:
    return await audit(world.log, world.blobs, world.database, READ_MODELS, quiet)


async def test_rows_that_the_log_does_not_give_are_found(world: World) -> None:
    await projected(world, *stories(40))
    assert all(one.is_equal for one in await compared(world))
    tampered, gone, invented = name_of(4), name_of(8), name_of(999)
    await spoil(world.database, sa.update(runs.runs).where(runs.runs.c.run == tampered).values(message="nothing happened", code=7))
    await spoil(world.database, sa.delete(runs.runs).where(runs.runs.c.run == gone))
    copy = sa.select(*(sa.literal(invented) if c.name == "run" else c for c in runs.runs.columns)).where(runs.runs.c.run == tampered)
    await spoil(world.database, sa.insert(runs.runs).from_select(list(runs.runs.columns.keys()), copy))
    found = {one.table: one for one in await compared(world)}
    assert [name for name, one in found.items() if not one.is_equal] == ["runs"]
    said = {difference.key[0]: difference.what for difference in found["runs"].first}
    assert said == {tampered: "other code, message", gone: "missing", invented: "too much"}
    assert found["runs"].hash_of_rows != found["runs"].hash_of_log
