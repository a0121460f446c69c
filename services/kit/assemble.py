"""From settings to a world: every port gets its adapter here, and nowhere else.

`build_world` only connects objects; `open_world` also opens them, checks what must be checked before a program may
start, and lets go of everything afterwards. What cannot be opened is `Refused` with one sentence.
"""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from services.kit import skew
from services.kit.blobs import FolderBlobs
from services.kit.clock import SystemClock
from services.kit.database import Database
from services.kit.errors import LogError, Refused
from services.kit.files import ObjectFiles
from services.kit.ids import Minter
from services.kit.log import Log
from services.kit.secrets.keyring import derived, keyring
from services.kit.secrets.store import StoredSecrets
from services.kit.settings import Settings
from services.kit.telling import otlp
from services.kit.telling.logs import logger
from services.kit.telling.metrics import Metrics
from services.kit.world import World


def build_log(settings: Settings) -> Log:
    """Apache Kafka where it is named, else the embedded log."""
    if settings.kafka:
        from services.kit.kafka.log import KafkaLog

        return KafkaLog(settings)
    from services.kit.embedded.log import SqliteLog

    return SqliteLog(settings.data / "log.sqlite", settings.partitions)


def build_files(settings: Settings, *masters: bytes) -> ObjectFiles:
    """The store of files: the one that is named, else a folder beside the rest. The first master key signs links. Raises `Refused`."""
    keys = [derived(master, b"prozess files: links") for master in reversed(masters)]
    return ObjectFiles(settings.files, settings.data / "files", keys, settings.file_link_s)


def build_world(settings: Settings, log: Log | None = None) -> World:
    """All ports with their adapters, not yet opened. Makes the data folder; raises `Refused` where it cannot be written.

    `log` takes the place of the one that the settings name.
    """
    make_folder(settings)
    clock = SystemClock()
    database = Database(settings)
    ring = keyring(settings)
    return World(
        settings=settings,
        log=build_log(settings) if log is None else log,
        blobs=FolderBlobs(settings.data / "blobs"),
        files=build_files(settings, *(key.value for key in ring.keys)),
        database=database,
        secrets=StoredSecrets(database, ring, clock),
        clock=clock,
        minter=Minter(clock),
        metrics=Metrics(),
    )


@contextlib.asynccontextmanager
async def open_world(settings: Settings, log: Log | None = None, program: str = "") -> AsyncGenerator[World]:
    """A world whose schema fits and whose log has started; closed at the end. Raises `Refused`."""
    world = build_world(settings, log)
    world.metrics.caches.watch("rows", world.database.tally)
    if program:
        world = replace(world, traces=otlp.traces(settings, program))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(world.traces.close)
        stack.push_async_callback(world.database.dispose)
        await world.database.check_schema()
        await check_secrets(world)
        stack.push_async_callback(world.log.stop)
        await world.log.start()
        world.metrics.log_reachable.set(1)
        try:
            for found in await skew.check(world.clock, world.database, world.log):
                logger(__name__).warning("clock", skew=str(found))
        except (LogError, SQLAlchemyError, OSError) as wrong:
            logger(__name__).warning("clock", unknown=str(wrong))
        yield world


async def check_secrets(world: World) -> None:
    """Raises `Refused` where the master key is not that of the secrets in the rows."""
    if isinstance(world.secrets, StoredSecrets):
        await world.secrets.check()


def make_folder(settings: Settings) -> None:
    """The data folder, there and writable. Raises `Refused`."""
    probe = settings.data / ".writable"
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as wrong:
        why = (wrong.strerror or "it cannot be used").lower()
        raise Refused(f"the data folder {settings.data} cannot be written: {why}; give another with --data.") from None
