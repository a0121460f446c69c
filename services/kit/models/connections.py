"""The connections to model endpoints: one pool that keeps them alive, one client of the `openai` library per base address.

A second pool stands behind the guard of `egress`, for addresses that people name. Answers are bounded in bytes, redirects are
not followed (a key goes nowhere else), retries are off: an attempt is an event, and whoever decides about the next one reads
events. Keys are not here; each call brings its own.
"""

from collections import OrderedDict
from collections.abc import Sequence

import httpx2
import openai

from services.kit.models.endpoint import Endpoint
from services.kit.models.transport import Transport
from services.kit.outside.egress import Egress

ANSWER_BYTES = 32 * 1024 * 1024
_CLIENTS = 256
_WITHOUT_END = httpx2.Timeout(None)


class Connections:
    """Clients by endpoint, the least recently used one forgotten first; all stand on one pool, or on the guarded one."""

    def __init__(self, limits: httpx2.Limits, answer_bytes: int = ANSWER_BYTES, networks: Sequence[str] = ()) -> None:
        self._limits = limits
        self._egress = Egress(networks, limits)
        self._answer_bytes = answer_bytes
        self._pools: dict[bool, httpx2.AsyncClient] = {}
        self._clients: OrderedDict[tuple[Endpoint, bool], openai.AsyncOpenAI] = OrderedDict()

    def client(self, endpoint: Endpoint, *, guarded: bool = False) -> openai.AsyncOpenAI:
        """The client of an endpoint; it holds no key."""
        key = (endpoint, guarded)
        if key not in self._clients:
            self._clients[key] = self._new(endpoint, guarded=guarded)
            if len(self._clients) > _CLIENTS:
                self._clients.popitem(last=False)
        self._clients.move_to_end(key)
        return self._clients[key]

    def _new(self, endpoint: Endpoint, *, guarded: bool) -> openai.AsyncOpenAI:
        if guarded not in self._pools:
            transport = Transport(self._answer_bytes, self._limits, self._egress if guarded else None)
            self._pools[guarded] = httpx2.AsyncClient(transport=transport, timeout=_WITHOUT_END, follow_redirects=False)
        return openai.AsyncOpenAI(
            base_url=endpoint.base,
            api_key="none",
            admin_api_key="",
            max_retries=0,
            timeout=_WITHOUT_END,
            default_query=dict(endpoint.query),
            http_client=self._pools[guarded],
        )

    async def aclose(self) -> None:
        """Close every connection."""
        self._clients.clear()
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.aclose()
