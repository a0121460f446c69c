"""Reading one run from the log: the fold of acceptance over its partition, from the beginning on.

In comes a run's id, out come its accepted events in order, first those that are there, then those that come. Other
streams of the partition are folded and left out.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from rich.console import Console
from rich.progress import Progress

from events.acceptance import Acceptance, Accepted, Checkpoint
from events.envelope import StoredRecord
from events.topics import EVENTS, partition_of, run_stream, slot_of_id
from services.kit.assemble import build_log
from services.kit.blobs import FolderBlobs, unpack
from services.kit.embedded.view import SqliteView
from services.kit.errors import Refused
from services.kit.log import Log
from services.kit.settings import Settings

_MOST_DIGITS = 19


@contextlib.asynccontextmanager
async def open_log(settings: Settings) -> AsyncGenerator[Log | SqliteView]:
    """The log alone, to read: Kafka's topics, or the embedded log's file, also while another process writes it. Raises `Refused`."""
    log = build_log(settings) if settings.kafka else SqliteView(settings.data / "log.sqlite")
    try:
        await log.start()
        yield log
    finally:
        await log.stop()


async def follow(log: Log | SqliteView, settings: Settings, run: str) -> AsyncIterator[Accepted]:
    """The accepted events of the run, for ever. Raises `Refused` for what is no run's id, or a run that is not there."""
    stream, partition = run_stream(run), partition_of(_slot(run), log.partitions(EVENTS))
    first, end = await log.bounds(EVENTS, partition)
    fold, found = Acceptance(Checkpoint(EVENTS, partition, offset=first)), False
    blobs = FolderBlobs(settings.data / "blobs")

    async def step(stored: StoredRecord) -> Accepted | None:
        mine = stored.record.key == stream.encode()
        accepted = fold.step(await unpack(stored, blobs) if mine else stored)
        return accepted if accepted is not None and mine else None

    terminal = Console(stderr=True)
    with Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as progress:
        task = progress.add_task(f"Reading partition {partition}", total=end - first)
        while fold.offset < end:
            for stored in await log.read(EVENTS, partition, fold.offset):
                if (accepted := await step(stored)) is not None:
                    found = True
                    progress.stop()
                    yield accepted
            progress.update(task, completed=fold.offset - first)
    if not found:
        raise Refused(f"the log has no run {run}.")
    tail = log.tail(EVENTS, partition, fold.offset)
    try:
        while True:
            for stored in await tail.next():
                if (accepted := await step(stored)) is not None:
                    yield accepted
    finally:
        await tail.close()


def _slot(run: str) -> int:
    if not (run.isascii() and run.isdigit() and len(run) <= _MOST_DIGITS):
        raise Refused("a run's id is a decimal number, as in the header X-Event-Id.")
    return slot_of_id(run)
