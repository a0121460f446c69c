"""Clocks are compared: ours, the database's, and the newest times in the log."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events.topics import EVENTS
from services.kit import skew
from services.kit.database import Database
from services.kit.errors import Refused
from services.kit.world import World
from tests.contracts.log_place import a_record
from tests.support.worlds import NOON, HandClock, embedded_world

HOUR_S = 3_600


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def world(tmp_path: Path, clock: HandClock) -> AsyncIterator[World]:
    async with embedded_world(tmp_path, clock=clock, partitions=2) as made:
        yield made


async def told(world: World) -> list[str]:
    return list(map(str, await skew.check(world.clock, world.database, world.log)))


async def test_clocks_that_agree_are_no_news(world: World) -> None:
    await world.log.append(EVENTS, 1, [a_record(time=NOON - 1_000_000), a_record(time=NOON)])

    assert await told(world) == []


async def test_a_log_from_our_future_is_told(world: World) -> None:
    await world.log.append(EVENTS, 1, [a_record(time=NOON + 90_500)])

    assert await told(world) == ["the newest time in the log is 90.5 s ahead of this machine's clock"]


async def test_a_clock_that_is_a_day_behind_is_refused(world: World) -> None:
    await world.log.append(EVENTS, 0, [a_record(time=NOON + 24 * HOUR_S * 1000)])

    with pytest.raises(Refused, match=r"is 86400 s ahead of this machine's clock: set the clocks \(NTP\)"):
        await told(world)


@pytest.mark.postgres
async def test_the_database_s_clock_is_asked(postgres_url: str, clock: HandClock) -> None:
    database = Database(postgres_url)
    try:
        (found,) = await skew.skews(clock, database, None)
    finally:
        await database.dispose()
    assert str(found).startswith("the database's clock is ")
