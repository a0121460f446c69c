"""Worlds for tests: real ports on a temporary folder, time in our hands if we want it.

`embedded_world` is the embedded log and SQLite rows (or those that `database=` names) with the newest schema; give it a clock
to move time by hand.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

from services.kit.assemble import build_files, make_folder
from services.kit.blobs import FolderBlobs
from services.kit.clock import Clock, SystemClock
from services.kit.database import Database
from services.kit.embedded.log import SqliteLog
from services.kit.ids import Minter
from services.kit.log import Log
from services.kit.secrets.store import StoredSecrets
from services.kit.settings import Settings
from services.kit.telling.metrics import Metrics
from services.kit.world import World

NOON = 1_790_000_000_000


class HandClock:
    """Time stands still until a test moves it."""

    def __init__(self, time: int = NOON) -> None:
        self._time = time
        self._moved = asyncio.Event()

    def now(self) -> int:
        return self._time

    async def sleep_until(self, due: int) -> None:
        while self._time < due:
            await self._moved.wait()

    def move(self, seconds: float) -> None:
        """Let so much time pass at once."""
        self._time += int(seconds * 1000)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


@contextlib.asynccontextmanager
async def embedded_world(folder: Path, *, clock: Clock | None = None, partitions: int = 1, **settings: Any) -> AsyncGenerator[World]:
    """A started embedded log and migrated rows in this folder, everything closed at the end."""
    clock = SystemClock() if clock is None else clock
    chosen = Settings(data=folder, partitions=partitions, durability="single", **settings)
    make_folder(chosen)
    log = SqliteLog(folder / "log.sqlite", partitions)
    database = Database(chosen.database or f"sqlite:///{folder / 'rows.sqlite'}")
    try:
        await database.migrate()
        await log.start()
        secrets = StoredSecrets(database, bytes(32), clock)
        yield World(
            chosen, log, FolderBlobs(folder / "blobs"), build_files(chosen, bytes(32)), database, secrets, clock, Minter(clock), Metrics()
        )
    finally:
        await log.stop()
        await database.dispose()


def seen_by(world: World, log: Any) -> World:
    """The same world as a process that sees this log instead (see `tests.support.faults`)."""
    port: Log = log
    return replace(world, log=port, metrics=Metrics())
