"""The doing: one task for each effect that is under way.

In come the working nodes of a run; what is new is started, what is no longer wanted is cancelled. Out go outcomes,
as inputs for the one who decides.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import structlog

from events.node import Problem
from services.core.codes import Code
from services.core.effects import Broke, Outcome, Request
from services.core.run_state import Active, Place
from services.processor.effects import EffectWorld, perform

Tell = Callable[[str, Place, int, Outcome], Awaitable[None]]
_Key = tuple[Place, int]
_log = structlog.get_logger(__name__)


class Doing:
    """The effects of one partition. `tell` may hold an effect up: that is the back-pressure on a fast model."""

    def __init__(self, world: EffectWorld, tell: Tell) -> None:
        self._world = world
        self._tell = tell
        self._tasks: dict[str, dict[_Key, asyncio.Task[None]]] = {}

    def stop_unwanted(self, run: str, state: Active | None) -> None:
        """Cancel what the run no longer waits for. The provider's call ends with it."""
        tasks = self._tasks.get(run)
        if not tasks:
            return
        wanted = {(place, state.nodes[place].attempt) for place in state.working} if state else set[_Key]()
        for key in [key for key in tasks if key not in wanted]:
            tasks.pop(key).cancel()
        if not tasks:
            del self._tasks[run]

    def start(self, run: str, place: Place, attempt: int, request: Request) -> None:
        """Begin an effect; its `node.started` is acknowledged."""
        tasks = self._tasks.setdefault(run, {})
        key = (place, attempt)
        if key not in tasks:
            tasks[key] = asyncio.create_task(self._perform(run, place, attempt, request), name=f"effect {run} {place[0]}")

    async def close(self) -> None:
        """Cancel everything and wait for it."""
        tasks = [task for run in self._tasks.values() for task in run.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _perform(self, run: str, place: Place, attempt: int, request: Request) -> None:
        kind = type(request).__name__
        running = self._world.metrics.effects_running.labels(kind)
        running.inc()
        try:
            async with aclosing(perform(request, self._world)) as outcomes:
                async for outcome in outcomes:
                    await self._tell(run, place, attempt, outcome)
        except Exception:  # noqa: BLE001 (a bug of an effect is an outcome, never a silent end)
            _log.exception("effect.bug", run=run, node=place[0], attempt=attempt)
            problem = Problem(code=Code.NODE_RUN_ERROR, message="the node failed for a reason inside the service; the log has the details")
            await self._tell(run, place, attempt, Broke(problem))
        finally:
            running.dec()
