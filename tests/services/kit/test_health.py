"""Health names what is missing; metrics are there for programs that serve nothing else."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from services.kit.assemble import build_world
from services.kit.errors import Refused
from services.kit.program.serving import listen
from services.kit.settings import load
from services.kit.telling import health
from services.kit.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = build_world(load(data=tmp_path, metrics_port=0))
    await world.log.start()
    yield world
    await world.log.stop()
    await world.database.dispose()


def client(world: World) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(health.create_app(world, "projector")), base_url="http://here")


async def test_a_program_whose_log_and_rows_answer_is_ready(world: World):
    async with client(world) as asking:
        answer = await asking.get("/health/ready")

    assert (answer.status_code, answer.json()) == (200, {"status": "UP", "service": "projector", "missing": []})


async def test_a_program_without_its_log_is_live_and_not_ready(world: World):
    await world.log.stop()

    async with client(world) as asking:
        ready, live = await asking.get("/health/ready"), await asking.get("/health/live")

    assert (ready.status_code, ready.json()["missing"]) == (503, ["log"])
    assert live.json() == {"status": "UP", "service": "projector"}


async def test_rows_that_do_not_answer_are_named(world: World, tmp_path: Path):
    (tmp_path / "rows.sqlite").mkdir()

    assert await health.missing(world) == ["database"]


async def test_a_part_that_waits_is_named_until_it_goes_on(world: World):
    world.obstacles.tell("partition 0", "no room")
    assert await health.missing(world) == ["partition 0"]

    world.obstacles.forget("partition 0")
    assert await health.missing(world) == []


async def test_the_log_s_state_is_a_metric(world: World):
    await world.log.stop()

    async with client(world) as asking:
        answer = await asking.get("/metrics")

    assert "prozess_log_reachable 0.0" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")


async def test_without_a_port_nothing_is_served(world: World):
    await health.run(world, "projector", asyncio.Event())


async def test_a_taken_metrics_port_is_refused(tmp_path: Path):
    with listen("127.0.0.1", 0) as taken:
        world = build_world(load(data=tmp_path, metrics_port=taken.getsockname()[1]))
        with pytest.raises(Refused, match="give another with --metrics-port"):
            await health.run(world, "projector", asyncio.Event())
