"""What waits to be decided by an owner, in the order in which it came.

In come commands, what moves runs, and pieces of text; out they come one by one. Text of one effect grows while it waits: what
comes fast is decided together. Who brings more than there is room for is held up.
"""

import asyncio
from dataclasses import dataclass

from events.envelope import StoredRecord
from services.core.language.graph import Graph
from services.core.running.effects import Piece
from services.core.running.run import Told
from services.core.running.run_state import Errand
from services.processor.steps.deciding import Move
from services.processor.steps.pipeline import Acknowledged

INBOX = 2_000
"""Inputs that may wait before commands and effects are held up."""
TOGETHER = 100
"""Pieces of text of one effect that are decided as one step; fewer than a step may have events. One with more is held up."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A command, and what to call when its events are in the log."""

    stored: StoredRecord
    ack: Acknowledged | None


@dataclass(frozen=True, slots=True)
class Moved:
    """Something that moves a run; `graph` where it was looked for."""

    run: str
    why: Move
    graph: Graph | None = None


@dataclass(slots=True)
class _Spoken:
    run: str
    errand: Errand
    pieces: list[Piece]
    taken: asyncio.Event


class Inbox:
    """One ownership's."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Wish | Moved | _Spoken] = asyncio.Queue(INBOX)
        self._spoken: dict[tuple[str, Errand], _Spoken] = {}

    async def put(self, one: Wish | Moved) -> None:
        """One more, as soon as there is room."""
        await self._queue.put(one)

    async def say(self, run: str, errand: Errand, piece: Piece) -> None:
        """One more piece of text, with those of the same effect that wait."""
        while (waiting := self._spoken.get((run, errand))) is not None:
            if len(waiting.pieces) < TOGETHER:
                waiting.pieces.append(piece)
                return
            await waiting.taken.wait()
        spoken = self._spoken[run, errand] = _Spoken(run, errand, [piece], asyncio.Event())
        try:
            await self._queue.put(spoken)
        except asyncio.CancelledError:
            del self._spoken[run, errand]
            raise

    async def next(self) -> Wish | Moved:
        """The oldest. Say `done` when it is decided."""
        one = await self._queue.get()
        return self._heard(one) if isinstance(one, _Spoken) else one

    def done(self) -> None:
        """What `next` gave is decided."""
        self._queue.task_done()

    async def decided(self) -> None:
        """Wait until everything that came is decided."""
        await self._queue.join()

    def _heard(self, spoken: _Spoken) -> Moved:
        run, errand = spoken.run, spoken.errand
        del self._spoken[run, errand]
        spoken.taken.set()
        first, *further = spoken.pieces
        return Moved(run, Told(errand.place, errand.attempt, first, errand.step, further))
