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
from services.core.problems import Problem
from services.core.running.effects import Broke, Outcome, Request
from services.core.running.run_state import Active, Errand
from services.kit.telling.traces import OFF, RUN, TRACE, Traces
from services.processor.counting.spans import EffectSpan
from services.processor.effects import EffectWorld, perform

CLOSE_S = 5.0
"""How long effects may take to end after they were cancelled."""

Tell = Callable[[str, Errand, Outcome], Awaitable[None]]
Ask = Callable[[], Request]
_log = structlog.get_logger(__name__)


class Doing:
    """The effects of one partition. `tell` may hold an effect up: that is the back-pressure on a fast model."""

    def __init__(self, world: EffectWorld, tell: Tell, traces: Traces = OFF) -> None:
        self._world = world
        self._traces = traces
        self._tell = tell
        self._wanted: dict[str, dict[Errand, asyncio.Task[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def stop_unwanted(self, run: str, state: Active | None) -> None:
        """Cancel what the run no longer waits for. The provider's call ends with it."""
        tasks = self._wanted.get(run)
        if not tasks:
            return
        for errand in [one for one in tasks if state is None or state.errand(one.place) != one]:
            tasks.pop(errand).cancel()
        if not tasks:
            del self._wanted[run]

    def start(self, run: str, errand: Errand, ask: Ask, trace: str = "") -> None:
        """Begin an effect; the event that asks for it is acknowledged. Nothing begins after `close`. `trace` is what it belongs to."""
        if self._closed:
            return
        tasks = self._wanted.setdefault(run, {})
        if errand not in tasks:
            task = asyncio.create_task(self._attempt(run, errand, ask, trace), name=f"effect {run} {errand.place[0]}")
            tasks[errand] = task
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

    async def _attempt(self, run: str, errand: Errand, ask: Ask, trace: str) -> None:
        RUN.set(run)
        TRACE.set(trace)
        try:
            await self._perform(run, errand, ask())
        except Problem as problem:
            await self._tell(run, errand, Broke(Said(code=problem.code, message=problem.message)))
        except Exception:  # noqa: BLE001 (a bug of an effect is an outcome, never a silent end)
            _log.exception("effect.bug", run=run, node=errand.place[0], attempt=errand.attempt)
            said = Said(code=Code.NODE_RUN_ERROR, message="the node failed for a reason inside the service; the log has the details")
            await self._tell(run, errand, Broke(said))

    async def _perform(self, run: str, errand: Errand, request: Request) -> None:
        metrics, kind, clock = self._world.metrics, type(request).__name__, asyncio.get_running_loop().time
        running, began = metrics.effects_running.labels(kind), clock()
        running.inc()
        told = EffectSpan(self._traces, run, errand, request) if self._traces.on else None
        try:
            async with aclosing(perform(request, self._world)) as outcomes:
                async for outcome in outcomes:
                    if told is not None:
                        told.hear(outcome)
                    await self._tell(run, errand, outcome)
        finally:
            if told is not None:
                told.end()
            running.dec()
            metrics.effect_seconds.labels(kind).observe(clock() - began)
