"""Reading rows at a place of the log: wait until they have it, or read a run's journal together with its checkpoint.

In the projector's own process a wait ends the moment the rows are written; elsewhere the checkpoint is asked for with
short pauses that grow.
"""

import asyncio

from sqlalchemy.exc import DBAPIError

from events.acceptance import Accepted, Checkpoint
from events.topics import run_stream
from projections import checkpoints, run_journal
from services.kit.database import Database, is_gone
from services.kit.errors import NotReady

_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.25


class Rows:
    """The rows of one database, as of a place in the log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def wait(self, partition: int, offset: int, timeout: float) -> None:
        """Wait until the rows show the record at `offset`. Raises `NotReady` after `timeout` seconds."""
        pause = _FIRST_PAUSE_S
        progress = self._database.progress
        try:
            async with asyncio.timeout(timeout):
                while progress.reached(partition) <= offset:
                    progress.tell(partition, await self._reached(partition))
                    if progress.reached(partition) <= offset:
                        await progress.news(partition, pause)
                        pause = min(2 * pause, _LONGEST_PAUSE_S)
        except TimeoutError:
            raise NotReady(f"the rows of partition {partition} did not reach offset {offset} within {timeout:g} s") from None

    async def open(self, run: str, partition: int, after: int = 0, limit: int = 1000) -> tuple[list[Accepted], Checkpoint | None]:
        """A run's events after a position and the checkpoint they end at, as of one moment: what comes after it is in the log.

        The checkpoint's positions hold only the run's stream. With `limit` events there may be more in the journal: ask again.
        """
        async with self._database.snapshot() as connection:
            events = await run_journal.read(connection, run, after, limit)
            return events, await checkpoints.load(connection, partition, {run_stream(run)})

    async def _reached(self, partition: int) -> int:
        try:
            async with self._database.connect() as connection:
                return await checkpoints.reached(connection, partition)
        except (DBAPIError, OSError) as wrong:
            if is_gone(wrong):
                return 0  # the wait is bounded anyway
            raise
