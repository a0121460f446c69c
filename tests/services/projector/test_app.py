"""The projector as a program: it shares partitions with others, drains, and stops with a sentence."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import structlog

from events.topics import EVENTS
from projections import runs
from services.kit.database import Database
from services.kit.errors import Refused
from services.kit.log import Assigned, Member, Revoked
from services.kit.rows import Rows
from services.kit.telling.metrics import Metrics
from services.kit.world import World
from services.projector import app
from services.projector.handler import Poisoned
from services.projector.partition import Partition
from tests.support.histories import History
from tests.support.projecting import append, projector_world
from tests.support.samples import RUN

PATIENCE_S = 20
PARTITIONS = 4


@pytest.fixture
async def world(tmp_path: Path, database: Database) -> AsyncIterator[World]:
    async with projector_world(tmp_path, database, PARTITIONS) as made:
        yield made


def stories() -> list[History]:
    histories = [History(partition) for partition in range(PARTITIONS)]
    for history in histories:
        history.run(str(int(RUN) + history.partition))
    return histories


async def test_all_partitions_are_projected_until_it_is_stopped(world: World) -> None:
    stop = asyncio.Event()
    program = asyncio.create_task(app.run(world, stop))
    for history in stories():
        await Rows(world.database).wait(history.partition, await append(world, history), PATIENCE_S)
    stop.set()
    async with asyncio.timeout(PATIENCE_S):
        await program
    async with world.database.connect() as connection:
        found = (await runs.page(connection, runs.RunFilter(status="completed"))).runs
    assert sorted(run.partition for run in found) == list(range(PARTITIONS))


async def test_another_projector_takes_over_when_one_stops(world: World) -> None:
    other = replace(world, metrics=Metrics())
    stops = [asyncio.Event(), asyncio.Event()]
    programs = [asyncio.create_task(app.run(each, stop)) for each, stop in zip((world, other), stops, strict=True)]
    histories = stories()
    for history in histories:
        await Rows(world.database).wait(history.partition, await append(world, history), PATIENCE_S)
    stops[0].set()
    async with asyncio.timeout(PATIENCE_S):
        await programs[0]
    for history in histories:
        history.run(str(int(RUN) + 100 + history.partition))
        await Rows(world.database).wait(history.partition, await append(world, history), PATIENCE_S)
    stops[1].set()
    async with asyncio.timeout(PATIENCE_S):
        await programs[1]
    async with world.database.connect() as connection:
        found = (await runs.page(connection, runs.RunFilter(status="completed"))).runs
    assert len(found) == 2 * PARTITIONS


async def test_a_partition_that_is_taken_away_is_not_followed_any_more(world: World) -> None:
    class Changes:
        async def changes(self) -> AsyncIterator[Assigned | Revoked]:
            yield Assigned(frozenset({0, 1}))
            yield Revoked(frozenset({0}))

    share = app.Share(world)
    await app._follow_membership(cast("Member", Changes()), share)
    assert share.held == {1}
    assert {task.get_name() for task in asyncio.all_tasks()} & {"projector 0", "projector 1"} == {"projector 1"}
    await share.let_go(share.held)


async def test_what_a_partition_raises_while_it_is_taken_away_stops_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def follow(_self: Partition) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise AssertionError  # as a driver may that is cancelled in its transaction

    monkeypatch.setattr(Partition, "follow", follow)
    share = app.Share(world)
    share.take(frozenset({0, 1}))
    await asyncio.sleep(0)
    with structlog.testing.capture_logs() as lines:
        await share.let_go(share.held)
    assert not share.broken.done()
    assert [(line["event"], line["task"], line["error"]) for line in lines] == [
        ("let_go", "projector 0", "AssertionError"), ("let_go", "projector 1", "AssertionError"),
    ]  # fmt: skip


async def test_a_poisoned_partition_stops_the_whole_program(world: World) -> None:
    history = History(1)
    history.run()
    last = history.records[-1]
    history.records[-1] = last._replace(record=replace(last.record, value=b"{}"))
    await append(world, history)
    with pytest.raises(Poisoned, match=f"partition 1, offset {last.offset}, stream run-{RUN}"):
        async with asyncio.timeout(PATIENCE_S):
            await app.run(world, asyncio.Event())


async def test_a_database_without_our_schema_is_refused(tmp_path: Path, empty_database: Database) -> None:
    async with projector_world(tmp_path, empty_database) as world:
        with pytest.raises(Refused, match="prozess migrate"):
            await app.run(world, asyncio.Event())


async def test_the_lag_is_measured_in_records_and_seconds(world: World) -> None:
    history = History(2)
    history.run()
    await append(world, history)
    member = await world.log.join(app.GROUP, EVENTS)
    share = app.Share(world)
    share.take(frozenset({2}))
    await Rows(world.database).wait(2, len(history.records) - 1, PATIENCE_S)
    history.run(str(int(RUN) + 1))
    held = share._held[2][0]
    await held.finish()
    async with held._writing:  # the projector is held up
        await append(world, history)
        await app._look(world, member, share, 2)
        behind = len(history.records) - (held.offset or 0)
        assert world.metrics.registry.get_sample_value("prozess_projector_lag_events", {"partition": "2"}) == behind
        age = world.metrics.registry.get_sample_value("prozess_projector_lag_seconds", {"partition": "2"})
        assert age is not None
        assert age > 1_000
    await Rows(world.database).wait(2, len(history.records) - 1, PATIENCE_S)
    await app._look(world, member, share, 2)
    assert world.metrics.registry.get_sample_value("prozess_projector_lag_events", {"partition": "2"}) == 0
    assert world.metrics.registry.get_sample_value("prozess_projector_lag_seconds", {"partition": "2"}) == 0
    assert await member.committed(2) == len(history.records)
    await share.let_go(share.held)
    assert world.metrics.registry.get_sample_value("prozess_projector_lag_events", {"partition": "2"}) is None
    await member.leave()
