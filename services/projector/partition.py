"""One partition of the projector: from its checkpoint on, for ever.

It checks that the checkpoint belongs to this log, then follows the log and writes batch after batch. While the database
is away it waits and tries again; when another projector has moved the checkpoint it begins again from there.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import tenacity

from events.acceptance import Checkpoint, misfit
from events.envelope import StoredRecord
from events.topics import EVENTS
from projections import checkpoints
from services.kit.blobs import is_packed, unpack
from services.kit.database import is_gone
from services.kit.errors import HistoryLost, ProzessError, Unreachable
from services.kit.telling.logs import logger
from services.kit.world import World
from services.projector.handler import Batch, Folding, Poisoned, write

BATCH = 1_000
BUSY = 10
"""So many records at once mean that more are coming: they are gathered, since a transaction costs as much as thirty events."""
GATHER_S = 0.05
WRITE_S = 60
_LONGEST_PAUSE_S = 10
_FINISH_S = 5
T = TypeVar("T")


class WrongHistory(ProzessError):
    """The rows belong to another log, or to more than this log still has."""


class Partition:
    """The rows of one partition. `offset` says how far they are: the next record to write, None before that is known."""

    def __init__(self, world: World, partition: int, batch: int = BATCH) -> None:
        self._world = world
        self._partition = partition
        self._batch = batch
        self._writing = asyncio.Lock()
        self.offset: int | None = None

    async def finish(self) -> None:
        """Wait, not for ever, until no transaction is under way; the task may be cancelled then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FINISH_S), self._writing:
                return

    async def follow(self) -> None:
        """Project until cancelled. Raises `Poisoned` and `WrongHistory`."""
        while True:
            try:
                await self._follow()
            except checkpoints.Fenced as overtaken:
                logger(__name__).warning("overtaken", partition=self._partition, why=str(overtaken))

    async def _follow(self) -> None:
        start = await self._patiently(self._load)
        topic = await self._patiently(lambda: self._world.log.identity(EVENTS))
        if start is not None:
            await self._patiently(lambda: self._verify(start, topic))
        folding = Folding(topic, self._partition, start)
        self._written(folding.offset)
        tail = self._world.log.tail(EVENTS, self._partition, folding.offset)
        try:
            while True:
                records, began = await tail.next(), asyncio.get_running_loop().time()
                for first in range(0, len(records), self._batch):
                    await self._project(folding, records[first : first + self._batch])
                if BUSY <= len(records) < self._batch:
                    await asyncio.sleep(began + GATHER_S - asyncio.get_running_loop().time())
        except HistoryLost as lost:
            raise WrongHistory(f"the projector stops at partition {self._partition}, offset {folding.offset}: {lost}") from None
        finally:
            await tail.close()

    async def _load(self) -> Checkpoint | None:
        async with self._world.database.snapshot() as connection:
            return await checkpoints.load(connection, self._partition)

    async def _verify(self, start: Checkpoint, topic: str) -> None:
        here = f"partition {self._partition} of {EVENTS}"
        mend = "give the right database or log, or begin with an empty database"
        before: Sequence[StoredRecord] = ()
        with contextlib.suppress(HistoryLost):
            if start.offset and start.topic == topic:
                before = await self._world.log.read(EVENTS, self._partition, start.offset - 1, 1)
        if wrong := misfit(start, topic, before[0] if before else None):
            raise WrongHistory(f"{here} and the checkpoint of the rows disagree: {wrong}; {mend}")

    async def _project(self, folding: Folding, records: Sequence[StoredRecord]) -> None:
        batch = folding.fold([await unpack(one, self._world.blobs) if is_packed(one.record) else one for one in records])
        with self._world.metrics.projector_batch_seconds.time():
            await self._patiently(lambda: self._write(batch))
        self._written(batch.after.offset)

    async def _write(self, batch: Batch) -> None:
        async with self._writing, asyncio.timeout(WRITE_S):
            await self._world.database.write(lambda connection: write(connection, batch))

    def _written(self, offset: int) -> None:
        self.offset = offset
        self._world.database.progress.tell(self._partition, offset)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it; while the database or the log does not answer, again. A commit of unknown fate shows as `Fenced` the second time."""
        again = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_is_away),
            wait=tenacity.wait_exponential_jitter(multiplier=0.1, max=_LONGEST_PAUSE_S),
            before_sleep=self._say,
            reraise=True,
        )

        async def attempt() -> T:
            return await work()

        return await again(attempt)

    def _say(self, state: tenacity.RetryCallState) -> None:
        wrong = state.outcome.exception() if state.outcome is not None else None
        pause = 0.0 if state.next_action is None else round(state.next_action.sleep, 1)
        logger(__name__).warning("waiting", partition=self._partition, why=type(wrong).__name__, again_in_s=pause)


def _is_away(wrong: BaseException) -> bool:
    return isinstance(wrong, Unreachable) or (not isinstance(wrong, Poisoned | WrongHistory) and is_gone(wrong))
