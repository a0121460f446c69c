"""Folding the log once more, into a shadow: from where the shadow is to where the rows are.

In come a log, the checkpoints of the rows and the read models wanted; out goes a shadow whose checkpoints are those of
the rows. One batch is one transaction, so that memory is bounded and an interrupted fold goes on where it was.
"""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from events.acceptance import Checkpoint, misfit
from events.envelope import StoredRecord
from events.topics import EVENTS
from projections import checkpoints, schema
from services.kit.blobs import Blobs, is_packed, unpack
from services.kit.errors import ProzessError, Refused
from services.projector.handler import Folding, write
from services.projector.read_models import ReadModel
from services.projector.shadow import Shadow

BATCH = 2_000
Goals = Mapping[int, Checkpoint]
Told = Callable[[int, int], None]
"""Called with the records that were folded, and how many there are in all."""


class ReadableLog(Protocol):
    """The reading half of the log; see `services.kit.log.Log`."""

    def partitions(self, topic: str) -> int: ...
    async def identity(self, topic: str) -> str: ...
    async def bounds(self, topic: str, partition: int) -> tuple[int, int]: ...
    async def read(self, topic: str, partition: int, start: int, limit: int = 1000) -> Sequence[StoredRecord]: ...


class Disagreed(ProzessError):
    """The rows' checkpoint and the log do not belong together."""


async def goals_of(connection: AsyncConnection) -> dict[int, Checkpoint]:
    """How far the rows are, by partition; positions of streams are left out."""
    found = (await connection.execute(sa.select(checkpoints.checkpoints.c.partition))).scalars().all()
    loaded = [await checkpoints.load(connection, partition, ()) for partition in sorted(found)]
    return {one.partition: one for one in loaded if one is not None}


class Refold:
    """The fold of some read models into a shadow."""

    def __init__(self, log: ReadableLog, blobs: Blobs, shadow: Shadow, models: Sequence[ReadModel], tell: Told) -> None:
        self._log, self._blobs, self._shadow, self._models, self._tell = log, blobs, shadow, models, tell
        self._topic = ""
        self._foldings: dict[int, Folding] = {}
        self.records = 0

    async def open(self, goals: Goals) -> bool:
        """Make the shadow ready, or find the one that was begun (then True). Raises `Refused` and `Disagreed`."""
        self._topic = await self._log.identity(EVENTS)
        for goal in goals.values():
            await self._check(goal)
        tables = [table for model in self._models for table in model.tables]
        resumed = await self._shadow.prepare(tables, made_for := self._made_for())
        starts = await self._starts(goals)
        if any(start is not None and start.offset > goals[partition].offset for partition, start in starts.items()):
            await self._shadow.drop()  # the rows were set back to an earlier time
            resumed, starts = await self._shadow.prepare(tables, made_for), dict.fromkeys(goals)
        self._foldings = {partition: Folding(self._topic, partition, start) for partition, start in starts.items()}
        return resumed

    def distance(self, goals: Goals) -> int:
        """How many records are missing."""
        return sum(goal.offset - self._folding(partition).offset for partition, goal in goals.items())

    async def reach(self, goals: Goals) -> None:
        """Fold up to the goals. Raises `Disagreed` where the fold ends up as something else than the rows say."""
        total = sum(goal.offset for goal in goals.values())
        for partition, goal in sorted(goals.items()):
            folding = self._folding(partition)
            while folding.offset < goal.offset:
                self._tell(total - self.distance(goals), total)
                records = await self._log.read(EVENTS, partition, folding.offset, min(BATCH, goal.offset - folding.offset))
                await self._write(folding, [stored for stored in records if stored.offset < goal.offset])
            there = folding.checkpoint()
            if (there.last, there.claim) != (goal.last, goal.claim):
                raise Disagreed(f"the checkpoint of the rows, partition {partition}, offset {goal.offset}, is no fold of this log.")
        self._tell(total, total)

    async def _write(self, folding: Folding, records: Sequence[StoredRecord]) -> None:
        batch = folding.fold([await unpack(one, self._blobs) if is_packed(one.record) else one for one in records])
        try:
            await self._shadow.write(lambda connection: write(connection, batch, self._models))
        except checkpoints.Fenced:
            raise Refused("somebody else is doing the same at the same time: wait for that to end.") from None
        self.records += len(records)

    def _folding(self, partition: int) -> Folding:
        return self._foldings.setdefault(partition, Folding(self._topic, partition, None))

    async def _starts(self, goals: Goals) -> dict[int, Checkpoint | None]:
        async with self._shadow.snapshot() as connection:
            return {partition: await checkpoints.load(connection, partition) for partition in goals}

    async def _check(self, goal: Checkpoint) -> None:
        if goal.partition >= self._log.partitions(EVENTS):
            raise Disagreed(f"the rows have a partition {goal.partition}, and this log does not: give the database that belongs to it.")
        first, end = await self._log.bounds(EVENTS, goal.partition)
        if first:
            raise Refused(f"the log of partition {goal.partition} begins at offset {first}: what came before it cannot be folded again.")
        before = await self._log.read(EVENTS, goal.partition, goal.offset - 1, 1) if 0 < goal.offset <= end else ()
        if wrong := misfit(goal, self._topic, before[0] if before else None):
            raise Disagreed(f"the rows are not of this log, partition {goal.partition}: {wrong}; give the database that belongs to it.")

    def _made_for(self) -> str:
        """What a half-made shadow must have been begun with: the same log, the same read models by the same code."""
        digest = hashlib.sha256(self._topic.encode())
        for module in (schema, checkpoints):
            digest.update(inspect.getsource(module).encode())
        for model in self._models:
            digest.update(inspect.getsource(inspect.getmodule(model.apply) or schema).encode())
        return digest.hexdigest()
