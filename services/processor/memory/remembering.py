"""Snapshots of one ownership: written now and then, of what was read back from the log, and of nothing else.

In comes word of what was read back; out go the records of a set, into the compacted topic. The state is marked at one moment, and
written when the last event of that moment was read back under our own claim: so it is a fold of the log. A set that fails is
written again with the next; nobody waits for it. Ids of a written set, and runs that only wait, leave the memory.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog

from events import topics
from events.envelope import Record
from services.kit.batches import weigh
from services.kit.blobs import pack
from services.kit.errors import AppendFailed, HistoryLost, TooLarge, Unreachable
from services.kit.log import MAX_BATCH_BYTES
from services.kit.world import World
from services.processor.memory.book import Mark
from services.processor.memory.restoring import Whose, confirmed, mark, met, resting, row_of, written
from services.processor.memory.state import PartitionState
from services.processor.steps.watch import Reached, ReadBack, Watch

SOON_MS = 120_000
"""A run that is due sooner than this stays in memory."""
LOOK_S = 30.0
"""So often the rows are asked which runs are due soon."""
_BATCH = 500
_FEW = 200
_log = structlog.get_logger(__name__)

Due = Callable[[str], int | None]
Rested = Callable[[str], None]


class Remembering:
    """One ownership's snapshots. `due` tells when a run is looked at next, `rested` hears of each run that leaves the memory."""

    def __init__(self, world: World, whose: Whose, state: PartitionState, watch: Watch, back: ReadBack, due: Due, rested: Rested) -> None:
        self._world = world
        self._whose = whose
        self._state = state
        self._watch = watch
        self._back = back
        self._due = due
        self._rested = rested
        self._writing = asyncio.Lock()
        self._since = (0, 0)
        self._partition = str(whose.partition)
        self.folded = 0
        self.said: Callable[[], int] = lambda: 0

    async def run(self) -> None:
        """Write one whenever enough was read back since the last (or had to be folded at the takeover)."""
        settings = self._world.settings
        while True:
            events, size = self._back.seen - self._since[0] + self.folded, self._back.size - self._since[1]
            if events >= settings.snapshot_events or size >= settings.snapshot_mb * 1024 * 1024:
                await self.write()
            else:
                await self._watch.news()

    async def write(self) -> None:
        """Write one now: of this moment, once it is read back."""
        async with self._writing:
            if not await self._met_others():
                return
            marked = mark(self._state, self.said(), self._world.clock.now(), self._due)
            began = asyncio.get_running_loop().time()
            try:
                reached = await self._read_back(marked)
                await self._append(written(self._state, marked, reached, self._whose))
            except (AppendFailed, TooLarge, Unreachable) as wrong:
                self._state.book.failed(marked)
                self._not_written(wrong)
            except BaseException:
                self._state.book.failed(marked)
                raise
            else:
                confirmed(self._state, marked, reached)
                await self._rest(marked, reached)
                self._tell(marked, reached, asyncio.get_running_loop().time() - began)
            self._since, self.folded = (self._back.seen, self._back.size), 0

    async def _met_others(self) -> bool:
        """Look at what others wrote since: an owner before us may have been at it while we took over. Whether that could be seen."""
        log, partition, book = self._world.log, self._whose.partition, self._state.book
        try:
            begin, end = await log.bounds(topics.SNAPSHOTS, partition)
            book.looked = max(book.looked, begin)
            while book.looked < end:
                found = await log.read(topics.SNAPSHOTS, partition, book.looked, _BATCH)
                if not found:
                    break
                met(self._state, found)
        except (HistoryLost, Unreachable) as wrong:
            self._not_written(wrong)
            return False
        return True

    def _not_written(self, wrong: Exception) -> None:
        self._since, self.folded = (self._back.seen, self._back.size), 0
        _log.warning("snapshot.not_written", partition=self._whose.partition, reason=str(wrong))

    async def _read_back(self, marked: Mark) -> Reached:
        self._back.expect(marked.said)
        while self._back.place is None:
            await self._watch.news()
        return self._back.place

    async def _append(self, records: Iterable[Record]) -> None:
        for batch in _batches([await pack(record, self._world.blobs) for record in records]):
            first = await self._world.log.append(topics.SNAPSHOTS, self._whose.partition, batch)
            self._state.book.wrote(first, len(batch))

    async def _rest(self, marked: Mark, reached: Reached) -> None:
        """What the set has, and nobody needs at hand, leaves the memory."""
        for at in range(0, len(marked.fresh), _FEW):
            self._state.ids.settle(marked.fresh[at : at + _FEW])
            await asyncio.sleep(0)
        drafts = list(resting(self._state, marked, self._world.clock.now() + SOON_MS))
        for at in range(0, len(drafts), _FEW):
            still = [draft for draft in drafts[at : at + _FEW] if self._state.book.positions.get(draft.stream) == draft.position]
            self._state.runs.rows.put(row_of(draft, marked, reached) for draft in still)
            for draft in still:
                run = draft.stream.partition("-")[2]
                self._state.runs.rest(run)
                self._rested(run)
            await asyncio.sleep(0)

    def _tell(self, marked: Mark, reached: Reached, seconds: float) -> None:
        metrics = self._world.metrics
        metrics.snapshots.inc()
        metrics.snapshot_time.labels(self._partition).set(marked.time / 1000)
        metrics.runs_resting.labels(self._partition).set(len(self._state.runs.rows))
        _log.info(
            "snapshot.written",
            partition=self._whose.partition,
            offset=reached.offset,
            changed=len(marked.drafts),
            streams=self._state.book.streams,
            resting=len(self._state.runs.rows),
            seconds=round(seconds, 3),
        )


def _batches(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """In order, and small enough for the log."""
    batch: list[Record] = []
    size = 0
    for record in records:
        weight = weigh(record)
        if batch and (len(batch) >= _BATCH or size + weight > MAX_BATCH_BYTES // 4):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += weight
    if batch:
        yield batch
