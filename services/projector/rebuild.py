"""Rebuilding read models from the log, online: fold into shadow tables, then let those take the rows' place.

In come the names of read models; the projector goes on meanwhile and requests read the old rows. When the shadow is close
behind, the projector is held between two of its transactions, the rest is folded, and the tables change places in one
transaction at exactly the rows' checkpoint: from there the projector goes on, with no event lost and none twice.
Killed at any moment, the rows are the old ones or the new ones, and the next call goes on where this one was.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from services.kit.blobs import Blobs
from services.kit.database import Database
from services.kit.errors import Refused
from services.projector.read_models import READ_MODELS, ReadModel
from services.projector.refold import Goals, ReadableLog, Refold, Told, goals_of
from services.projector.shadow import Shadow, patiently, shadow_of

CLOSE = 1_000
_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was done. `seconds` in all, `held` those for which the projector waited."""

    models: tuple[str, ...]
    records: int
    seconds: float
    held: float
    resumed: bool


def chosen(names: Sequence[str]) -> tuple[ReadModel, ...]:
    """The read models with these names, all where there are none. Raises `Refused`."""
    known = {model.name: model for model in READ_MODELS}
    for name in names:
        if name not in known:
            raise Refused(f"there is no read model {name}; there are {', '.join(sorted(known))}.")
    return tuple(model for name, model in known.items() if not names or name in names)


async def rebuild(log: ReadableLog, blobs: Blobs, database: Database, models: Sequence[ReadModel], tell: Told) -> Rebuilt:
    """Make the rows of these read models anew. Raises `Refused`, `Disagreed`, `NotReady`, and what the log and the database raise."""
    began = time.monotonic()
    shadow = shadow_of(database, "rebuild")
    refold = Refold(log, blobs, shadow, models, tell)
    held = 0.0
    try:
        resumed = await refold.open(await _goals(database))
        await _come_close(database, refold)
        async for attempt in patiently():
            with attempt:
                held = await _switch(shadow, refold, models)
        await shadow.drop()
    finally:
        await shadow.close()
    return Rebuilt(tuple(model.name for model in models), refold.records, time.monotonic() - began, held, resumed)


async def _come_close(database: Database, refold: Refold) -> None:
    """Fold while the projector goes on. A log that grows faster than we fold ends in a longer hold, not in a race for ever."""
    for _ in range(_ROUNDS):
        goals = await _goals(database)
        if refold.distance(goals) <= CLOSE:
            return
        await refold.reach(goals)


async def _switch(shadow: Shadow, refold: Refold, models: Sequence[ReadModel]) -> float:
    began = time.monotonic()
    async with shadow.taking_place([table for model in models for table in model.tables]) as rows:
        await refold.reach(await goals_of(rows))
    return time.monotonic() - began


async def _goals(database: Database) -> Goals:
    async with database.snapshot() as connection:
        return await goals_of(connection)
