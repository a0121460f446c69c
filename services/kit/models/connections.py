"""The connections to model endpoints: one pool that keeps them alive, one client of the `openai` library per base address.

Answers are bounded in bytes, redirects are not followed (a key goes nowhere else), retries are off: an attempt is an
event, and whoever decides about the next one reads events. Keys are not here; each call brings its own.
"""

from collections import OrderedDict

import httpx2
import openai

from services.kit.models.endpoint import Endpoint
from services.kit.models.transport import Transport

ANSWER_BYTES = 32 * 1024 * 1024
_CLIENTS = 256
_WITHOUT_END = httpx2.Timeout(None)


class Connections:
    """Clients by endpoint, the least recently used one forgotten first; all stand on the same pool."""

    def __init__(self, limits: httpx2.Limits, answer_bytes: int = ANSWER_BYTES) -> None:
        self._answer_bytes = answer_bytes
        self._limits = limits
        self._pool: httpx2.AsyncClient | None = None
        self._clients: OrderedDict[Endpoint, openai.AsyncOpenAI] = OrderedDict()

    def client(self, endpoint: Endpoint) -> openai.AsyncOpenAI:
        """The client of an endpoint; it holds no key."""
        if endpoint not in self._clients:
            self._clients[endpoint] = self._new(endpoint)
            if len(self._clients) > _CLIENTS:
                self._clients.popitem(last=False)
        self._clients.move_to_end(endpoint)
        return self._clients[endpoint]

    def _new(self, endpoint: Endpoint) -> openai.AsyncOpenAI:
        if self._pool is None:
            self._pool = httpx2.AsyncClient(
                transport=Transport(self._answer_bytes, self._limits), timeout=_WITHOUT_END, follow_redirects=False
            )
        return openai.AsyncOpenAI(
            base_url=endpoint.base,
            api_key="none",
            admin_api_key="",
            max_retries=0,
            timeout=_WITHOUT_END,
            default_query=dict(endpoint.query),
            http_client=self._pool,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        self._clients.clear()
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()
