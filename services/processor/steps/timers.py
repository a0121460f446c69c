"""When something comes due. The state knows why; here only the earliest time of each run is kept."""

import asyncio
import heapq

from services.kit.clock import Clock

_FEW = 1_000


class Timers:
    """Due times by run. Setting a later time costs nothing: an early alarm finds nothing due and is set again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, str]] = []
        self._earliest: dict[str, int] = {}
        self._changed = asyncio.Event()

    def set(self, run: str, due: int | None) -> None:
        """The run must be looked at by `due` (ms since 1970); None: never again."""
        if due is None:
            self._earliest.pop(run, None)
            self._tidy()
            return
        known = self._earliest.get(run)
        if known is not None and known <= due:
            return
        self._earliest[run] = due
        heapq.heappush(self._heap, (due, run))
        if self._heap[0] == (due, run):
            self._changed.set()

    def due(self, run: str) -> int | None:
        """When the run is looked at next."""
        return self._earliest.get(run)

    def _tidy(self) -> None:
        """Alarms of runs that are over do not pile up until their time comes."""
        if len(self._heap) > _FEW and len(self._heap) > 4 * len(self._earliest):
            self._heap = [(due, run) for run, due in self._earliest.items()]
            heapq.heapify(self._heap)

    async def next(self) -> str:
        """Wait for the next run whose time has come."""
        while True:
            if not self._heap:
                self._changed.clear()
                await self._changed.wait()
                continue
            due, run = self._heap[0]
            if due <= self._clock.now():
                heapq.heappop(self._heap)
                if self._earliest.get(run) == due:
                    del self._earliest[run]
                    return run
                continue
            self._changed.clear()
            sleeping = asyncio.ensure_future(self._clock.sleep_until(due))
            changing = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait({sleeping, changing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleeping.cancel()
                changing.cancel()
