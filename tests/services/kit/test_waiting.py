"""A program says once what it waits for, and once that it goes on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.kit.telling import waiting
from services.kit.world import World
from tests.support.worlds import embedded_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with embedded_world(tmp_path) as made:
        yield made


async def test_what_is_missing_is_said_once_and_so_is_its_return(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = asyncio.Event()
    found = [["log"], ["log"], ["log", "database"], ["partition 0"], list[str](), list[str]()]
    world.obstacles.tell("partition 0", "no room on the disk")

    async def missing(_world: World) -> list[str]:
        if len(found) == 1:
            stop.set()
        return found.pop(0)

    monkeypatch.setattr(waiting.health, "missing", missing)
    monkeypatch.setattr(waiting, "LOOK_S", 0.001)
    with capture_logs() as lines:
        await waiting.tell(world, stop)

    said: list[Any] = [(line["event"], line.get("waits_for")) for line in lines]
    assert said == [("waiting", ["log"]), ("waiting", ["log", "database"]), ("waiting", ["partition 0"]), ("going_on", None)]
    assert lines[1]["why"].endswith("rows.sqlite does not answer")
    assert lines[2]["why"] == "no room on the disk"
