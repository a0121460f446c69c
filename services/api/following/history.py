"""A run's past as the rows have it, in pages, each with the checkpoint it was read at."""

from dataclasses import dataclass

from events.acceptance import Accepted, Checkpoint
from events.run import Audit
from projections import checkpoints, run_journal, runs
from services.kit.database import Database
from services.kit.rows import Rows

PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Page:
    """Some events of a run. `newest` is the newest position the rows know (0: an unknown run), `ended` whether it is the last."""

    events: list[Accepted]
    checkpoint: Checkpoint | None
    more: bool
    newest: int
    ended: bool


class History:
    """Reads pages and checkpoints."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows = Rows(database)

    async def checkpoint(self, partition: int) -> Checkpoint | None:
        """Where the rows of a partition stand, with the positions of all streams that may go on."""
        async with self._database.snapshot() as connection:
            return await checkpoints.load(connection, partition)

    async def page(self, partition: int, run: str, after: int) -> Page:
        """The events that follow a position."""
        events, checkpoint = await self._rows.open(run, partition, after, PAGE)
        if events:
            return Page(events, checkpoint, len(events) == PAGE, events[-1].position, ended=False)
        async with self._database.connect() as connection:
            newest = await run_journal.head(connection, run)
            row = await runs.get(connection, run) if newest else None
        return Page([], checkpoint, more=False, newest=newest, ended=row is not None and row.finished is not None)

    async def audit_of(self, run: str) -> Audit:
        """Whose content audit the words of a run pass. Of one that the rows do not have yet nothing is known: they are veiled."""
        async with self._database.connect() as connection:
            row = await runs.get(connection, run)
        return "own" if row is None else row.audit
