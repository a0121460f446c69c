"""The doing: one task for each effect that is under way.

In come the working nodes of a run; what is new is started, what is no longer wanted is cancelled. Out go outcomes,
as inputs for the one who decides.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import structlog

from events.node import Problem as Said
from services.core.codes import Code
from services.core.effects import Broke, Outcome, Request
from services.core.problems import Problem
from services.core.run_state import Active, Place
from services.processor.effects import EffectWorld, perform

CLOSE_S = 5.0
"""How long effects may take to end after they were cancelled."""

Tell = Callable[[str, Place, int, Outcome], Awaitable[None]]
Ask = Callable[[], Request]
_Key = tuple[Place, int]
_log = structlog.get_logger(__name__)


class Doing:
    """The effects of one partition. `tell` may hold an effect up: that is the back-pressure on a fast model."""

    def __init__(self, world: EffectWorld, tell: Tell) -> None:
        self._world = world
        self._tell = tell
        self._wanted: dict[str, dict[_Key, asyncio.Task[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def stop_unwanted(self, run: str, state: Active | None) -> None:
        """Cancel what the run no longer waits for. The provider's call ends with it."""
        tasks = self._wanted.get(run)
        if not tasks:
            return
        wanted = {(place, state.nodes[place].attempt) for place in state.working} if state else set[_Key]()
        for key in [key for key in tasks if key not in wanted]:
            tasks.pop(key).cancel()
        if not tasks:
            del self._wanted[run]

    def start(self, run: str, place: Place, attempt: int, ask: Ask) -> None:
        """Begin an effect; its `node.started` is acknowledged. Nothing begins after `close`."""
        if self._closed:
            return
        tasks = self._wanted.setdefault(run, {})
        key = (place, attempt)
        if key not in tasks:
            task = asyncio.create_task(self._attempt(run, place, attempt, ask), name=f"effect {run} {place[0]}")
            tasks[key] = task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel everything and wait for it, not for ever."""
        self._closed = True
        self._wanted.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_S)
            for task in late:
                _log.error("effect.does_not_end", effect=task.get_name(), seconds=CLOSE_S)

    async def _attempt(self, run: str, place: Place, attempt: int, ask: Ask) -> None:
        try:
            await self._perform(run, place, attempt, ask())
        except Problem as problem:
            await self._tell(run, place, attempt, Broke(Said(code=problem.code, message=problem.message)))
        except Exception:  # noqa: BLE001 (a bug of an effect is an outcome, never a silent end)
            _log.exception("effect.bug", run=run, node=place[0], attempt=attempt)
            said = Said(code=Code.NODE_RUN_ERROR, message="the node failed for a reason inside the service; the log has the details")
            await self._tell(run, place, attempt, Broke(said))

    async def _perform(self, run: str, place: Place, attempt: int, request: Request) -> None:
        running = self._world.metrics.effects_running.labels(type(request).__name__)
        running.inc()
        try:
            async with aclosing(perform(request, self._world)) as outcomes:
                async for outcome in outcomes:
                    await self._tell(run, place, attempt, outcome)
        finally:
            running.dec()
