"""Open runs that have to be moved again: those that the last owner left, and those that rested and are asked for or due.

In come the state of a partition and its clock; out go moves into the inbox, each with the graph of its run, and alarms.
"""

import asyncio
from collections import defaultdict

from services.core.language.graph import Graph
from services.core.running.run import GoOn, TakenOver
from services.kit.clock import Clock
from services.processor.definitions.graphs import Graphs
from services.processor.memory.remembering import LOOK_S, SOON_MS
from services.processor.steps.deciding import Deciding
from services.processor.steps.inbox import Inbox, Moved
from services.processor.steps.timers import Timers


class Waking:
    """One ownership's."""

    def __init__(self, clock: Clock, deciding: Deciding, graphs: Graphs, timers: Timers, inbox: Inbox) -> None:
        self._clock = clock
        self._deciding = deciding
        self._runs = deciding.state.runs
        self._graphs = graphs
        self._timers = timers
        self._inbox = inbox
        self._tasks: set[asyncio.Task[None]] = set()
        self._runs.on_wake = self._woken

    async def resume(self) -> None:
        """What the last owner left: each open run goes on when its definition is there, and waits for nobody else's."""
        open_runs: dict[str, list[str]] = defaultdict(list)
        for run, due in self._deciding.taken_over().items():
            self._timers.set(run, due)
            open_runs[self._runs[run].terms.definition].append(run)
        async with asyncio.TaskGroup() as group:
            for definition, runs in open_runs.items():
                document = self._runs[runs[0]].terms.document
                group.create_task(self._graphs.find(definition, document, runs, self._found))

    async def look_ahead(self) -> None:
        """Runs that rest and are due soon get their alarm."""
        clock = self._clock
        while True:
            for stream, due in self._runs.rows.due_before(clock.now() + SOON_MS):
                self._timers.set(stream.partition("-")[2], due)
            await clock.sleep_until(clock.now() + int(LOOK_S * 1000))

    def rested(self, run: str) -> None:
        """The run is not in memory any more."""
        self._timers.set(run, None)
        self._graphs.drop(run)

    def close(self) -> None:
        """Look for nothing any more."""
        for task in self._tasks:
            task.cancel()

    def _woken(self, run: str, due: int | None) -> None:
        """A run that rested is asked for: it needs its graph and its alarm again."""
        terms = self._runs[run].terms
        if due is not None:
            self._timers.set(run, due)
        task = asyncio.create_task(self._graphs.find(terms.definition, terms.document, [run], self._back), name=f"waking {run}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _back(self, run: str, graph: Graph) -> None:
        await self._inbox.put(Moved(run, GoOn(), graph))

    async def _found(self, run: str, graph: Graph) -> None:
        await self._inbox.put(Moved(run, TakenOver(), graph))
