"""The connections to model endpoints: one pool that keeps them alive, one client of the `openai` library per base address.

Answers are bounded in bytes, redirects are not followed (a key goes nowhere else), retries are off: an attempt is an
event, and whoever decides about the next one reads events. Keys are not here; each call brings its own.
"""

import socket
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, cast

import httpx2
import openai

from services.kit.models.endpoint import Endpoint
from services.kit.models.port import ModelFailed

ANSWER_BYTES = 32 * 1024 * 1024
_CLIENTS = 256
_CONNECT_S = 10.0
_LIMITS = httpx2.Limits(max_connections=2000, max_keepalive_connections=200, keepalive_expiry=60.0)


class Connections:
    """Clients by endpoint, the least recently used one forgotten first; all stand on the same pool."""

    def __init__(self, answer_bytes: int = ANSWER_BYTES) -> None:
        self._answer_bytes = answer_bytes
        self._pool: _Bounded | None = None
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
            timeout = httpx2.Timeout(None, connect=_CONNECT_S)
            self._pool = _Bounded(self._answer_bytes, timeout=timeout, limits=_LIMITS, follow_redirects=False)
        return openai.AsyncOpenAI(
            base_url=endpoint.base,
            api_key="none",
            admin_api_key="",
            max_retries=0,
            timeout=self._pool.timeout,
            default_query=dict(endpoint.query),
            http_client=self._pool,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        self._clients.clear()
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()


class _Bounded(httpx2.AsyncClient):
    """A client whose answers end with a failure where they grow beyond a limit."""

    def __init__(self, limit: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._limit = limit

    async def send(self, request: httpx2.Request, *, stream: bool = False, **settings: Any) -> httpx2.Response:
        """See `httpx2.AsyncClient.send`."""
        response = await super().send(request, stream=True, **settings)
        response.stream = _Counted(cast("httpx2.AsyncByteStream", response.stream), self._limit, _acknowledging(response))
        if not stream:
            await response.aread()
        return response


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, limit: int, acknowledge: Callable[[], None]) -> None:
        self._stream = stream
        self._acknowledge = acknowledge
        self._limit = limit
        self._left = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._acknowledge()
        async for chunk in self._stream:
            self._acknowledge()
            self._left -= len(chunk)
            if self._left < 0:
                raise ModelFailed(f"the model's answer is larger than {self._limit} bytes", kind="too_large")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _acknowledging(response: httpx2.Response) -> Callable[[], None]:
    """Acknowledge at once what came (Linux): a server that still uses Nagle's algorithm holds each token back 40 ms otherwise."""
    stream = response.extensions.get("network_stream")
    connection = None if stream is None else stream.get_extra_info("socket")
    option: int | None = getattr(socket, "TCP_QUICKACK", None)
    if connection is None or option is None:
        return lambda: None

    def acknowledge() -> None:
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, option, 1)

    return acknowledge
