"""A world for the projector alone: the embedded log in a folder, rows in a database, no secrets."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

from events.topics import EVENTS
from services.kit.assemble import build_files
from services.kit.blobs import FolderBlobs, pack
from services.kit.clock import SystemClock
from services.kit.database import Database
from services.kit.embedded.log import SqliteLog
from services.kit.ids import Minter
from services.kit.secrets.port import Secrets
from services.kit.settings import Settings
from services.kit.telling.metrics import Metrics
from services.kit.world import World
from services.projector.partition import Partition
from tests.support.histories import History


@contextlib.asynccontextmanager
async def projector_world(folder: Path, database: Database, partitions: int = 2) -> AsyncGenerator[World]:
    """A world whose log has started."""
    log = SqliteLog(folder / "log.sqlite", partitions)
    await log.start()
    clock = SystemClock()
    blobs = FolderBlobs(folder / "blobs")
    nobody = cast("Secrets", None)
    try:
        yield World(
            Settings(data=folder),
            log,
            blobs,
            build_files(Settings(data=folder), bytes(32)),
            database,
            nobody,
            clock,
            Minter(clock),
            Metrics(),
        )
    finally:
        await log.stop()


async def append(world: World, history: History) -> int:
    """Append what of the history the log does not have yet; the offset of the last record."""
    _, end = await world.log.bounds(EVENTS, history.partition)
    records = [await pack(stored.record, world.blobs) for stored in history.records[end:]]
    if records:
        await world.log.append(EVENTS, history.partition, records)
    return len(history.records) - 1


@contextlib.asynccontextmanager
async def following(world: World, partition: int = 0, **settings: Any) -> AsyncGenerator[Partition]:
    """A partition that is followed meanwhile; what it raises is raised at the end."""
    followed = Partition(world, partition, **settings)
    task = asyncio.create_task(followed.follow())
    try:
        yield followed
    finally:
        if not task.done():
            await followed.finish()
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
