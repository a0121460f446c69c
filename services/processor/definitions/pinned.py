"""Pinned definitions by hash: from the cache, else from rows. A definition never changes, so nothing here can be stale."""

from collections import OrderedDict

import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    RetryError,
    retry_if_exception,
    retry_if_result,
    stop_after_delay,
    stop_never,
    wait_exponential,
)

from events.flow import Document
from projections import flows
from services.core.codes import Code
from services.core.language.definition import digest as definition_digest
from services.core.language.graph import Graph, compile_
from services.core.problems import Problem
from services.kit.database import Database, is_gone
from services.kit.telling.metrics import Tally

PATIENCE_S = 20.0
_SAY_FROM = 6
_log = structlog.get_logger(__name__)


class Definitions:
    """Compiled graphs."""

    def __init__(self, database: Database, size: int = 1_000) -> None:
        self._database = database
        self._size = size
        self._graphs: OrderedDict[str, Graph] = OrderedDict()
        self.tally = Tally(lambda: len(self._graphs))

    async def load(self, digest: str, patience_s: float | None = PATIENCE_S, document: Document | None = None) -> Graph:
        """The graph of a hash; waits (so long, or until cancelled) for rows that are behind or do not answer, unless a `document` is given.

        Raises `Problem` when it does not come, or cannot run here.
        """
        graph = self._graphs.get(digest)
        self.tally.hits += graph is not None
        if graph is None:
            self.tally.misses += 1
            if document is not None and definition_digest(document) != digest:
                raise Problem(Code.PROTOCOL_VALIDATION_ERROR, "the document is not the one that its hash names")
            graph = compile_(document or await self._document(digest, patience_s))
            self._graphs[digest] = graph
            if len(self._graphs) > self._size:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(digest)
        return graph

    def at_hand(self, digest: str) -> Graph | None:
        """The graph of a hash, if it was loaded not long ago."""
        return self._graphs.get(digest)

    async def _document(self, digest: str, patience_s: float | None) -> Document:
        def say(attempt: RetryCallState) -> None:
            if attempt.attempt_number >= _SAY_FROM:
                _log.warning("definition.missing", definition=digest, attempt=attempt.attempt_number)

        patient = AsyncRetrying(
            retry=retry_if_result(lambda found: found is None) | retry_if_exception(is_gone),
            stop=stop_never if patience_s is None else stop_after_delay(patience_s),
            wait=wait_exponential(0.005, max=0.5),
            before_sleep=say,
        )
        try:
            found: Document = await patient(self._find, digest)
        except RetryError:
            raise Problem(Code.OPEN_API_ERROR, "the definition of this flow is not in the rows yet; try again") from None
        return found

    async def _find(self, digest: str) -> Document | None:
        async with self._database.connect() as connection:
            return await flows.definition(connection, digest)
