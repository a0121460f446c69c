"""Rotating the master key: every secret in the rows is sealed anew with the newest key, while programs run.

In comes a store of secrets with a ring of keys; out goes how many were sealed anew, and how many nothing opens. A row is only
written where nobody changed it meanwhile, a batch is one transaction: interrupted, the next call goes on where this one stopped.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select, update

from services.kit.database import Database
from services.kit.secrets.store import StoredSecrets
from services.kit.secrets.table import secrets as table

BATCH = 100


@dataclass(frozen=True, slots=True)
class Resealed:
    """What a rotation did: secrets sealed anew, and those that no key of the ring opens (they stay as they are)."""

    done: int
    unreadable: int


async def reseal(database: Database, store: StoredSecrets, tell: Callable[[int, int], None]) -> Resealed:
    """Seal what other keys have sealed with the current one. `tell` hears what is done and what there is in all."""
    await store.keep_naming()
    current = store.ring.current.id
    others = table.c.key_id != current
    async with database.connect() as connection:
        total = await connection.scalar(select(func.count()).where(others)) or 0
    done, after, unreadable = 0, "", 0
    tell(0, total)
    while True:
        wanted = select(table).where(others, table.c.reference > after).order_by(table.c.reference).limit(BATCH)
        async with database.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        if not rows:
            return Resealed(done, unreadable)
        async with database.begin(durable=True) as connection:
            for row in rows:
                value = store.open(row.app, row.reference, row.sealed, row.key_id)
                if value is None:
                    unreadable += 1
                    continue
                same = (table.c.reference == row.reference, table.c.sealed == row.sealed)
                await connection.execute(update(table).where(*same).values(store.seal(row.app, row.reference, value)))
                done += 1
        after = rows[-1].reference
        tell(done + unreadable, max(total, done + unreadable))
