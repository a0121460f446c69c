"""What flows remember between runs, read as of now: first the rows catch up with the log, then the pool is read.

All events of a pool are in the partition of the runs that share it, so one place is waited for.
"""

from typing import Any

from events.topics import EVENTS, partition_of, slot_of_id
from projections import variables
from services.kit.database import Database
from services.kit.log import Log
from services.kit.rows import Rows


class Variables:
    """Reads pools."""

    def __init__(self, log: Log, database: Database) -> None:
        self._log = log
        self._database = database
        self._rows = Rows(database)

    async def read(self, run: str, pool: str, patience_s: float) -> dict[str, Any]:
        """The values by name, with everything that is in the log of this run's partition now. Raises `NotReady` and what the log raises."""
        partition = partition_of(slot_of_id(run), self._log.partitions(EVENTS))
        _, end = await self._log.bounds(EVENTS, partition)
        if end:
            await self._rows.wait(partition, end - 1, patience_s)
        async with self._database.connect() as connection:
            return await variables.read(connection, pool)
