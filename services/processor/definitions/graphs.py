"""The graphs of one partition's open runs, and those that have to be waited for.

In come runs with the hash of their definition; out go graphs. A run that was taken over and whose definition is missing
holds nobody up; time still ends it, for which `NO_GRAPH` is enough.
"""

from collections.abc import Awaitable, Callable, Iterable

import structlog

from events.flow import Document
from services.core.language.graph import Graph
from services.core.problems import Problem
from services.processor.definitions.pinned import Definitions

Found = Callable[[str, Graph], Awaitable[None]]
_log = structlog.get_logger(__name__)


class Graphs:
    """By run. What a run does not need any more is dropped; the compiled definitions have a cache of their own."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._graphs: dict[str, Graph] = {}

    async def load(self, definition: str, document: Document | None = None) -> Graph:
        """The graph of a hash (or of its `document`), within the patience of `Definitions`. Raises `Problem`."""
        return await self._definitions.load(definition, document=document)

    def get(self, run: str) -> Graph | None:
        """The graph of an open run; None while it is missing."""
        return self._graphs.get(run)

    def of(self, run: str, definition: str) -> Graph | None:
        """The graph of a run that is open, or begins now with a definition that was just loaded."""
        graph = self._graphs.get(run)
        if graph is None and (graph := self._definitions.at_hand(definition)) is not None:
            self._graphs[run] = graph
        return graph

    def keep(self, run: str, graph: Graph) -> None:
        """The run is open and needs this graph."""
        self._graphs.setdefault(run, graph)

    def drop(self, run: str) -> None:
        """The run is over."""
        self._graphs.pop(run, None)

    async def find(self, definition: str, document: Document | None, runs: Iterable[str], found: Found) -> None:
        """Wait for a definition, as long as it takes, then tell its runs one by one."""
        try:
            graph = await self._definitions.load(definition, None, document)
        except Problem as problem:
            _log.error("definition.cannot_run", definition=definition, runs=list(runs), reason=problem.message)
            return
        for run in runs:
            await found(run, graph)
