"""The sockets under a model's client: aiohttp, whose HTTP is read in C, in the shape that `httpx2` (and so `openai`) wants.

In go requests of `httpx2`; out come its responses, whose bodies come as they arrive. Bodies are bounded in bytes. Failures
are those of `httpx2`, so that nobody above sees which library it was. Behind a guard only addresses are connected to that it lets
pass: names are resolved by it, and proxies of the environment, which would resolve them again, are left aside. Passwords of
a `.netrc` are nobody's here: a call has the key of its provider and no other.
"""

import asyncio
import contextlib
import os
import socket
import urllib.request
from collections.abc import AsyncIterator, Generator

import aiohttp
import httpx2
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.helpers import is_ip_address
from yarl import URL

from services.kit.models.port import ModelFailed
from services.kit.outside.egress import Egress

CONNECT_S = 10.0
_PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)


class Transport(httpx2.AsyncBaseTransport):
    """One pool of connections that are kept alive. Silence is the caller's to bound."""

    def __init__(self, answer_bytes: int, limits: httpx2.Limits, guard: Egress | None = None) -> None:
        self._answer_bytes = answer_bytes
        self._limits = limits
        self._guard = guard
        self._certificates = httpx2.create_ssl_context()
        named = {} if guard is not None else urllib.request.getproxies()
        self._proxies = {scheme: proxy for scheme, proxy in named.items() if proxy.startswith("http://")}
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it; the response as soon as its head is there. Raises what `httpx2` raises, and `EgressRefused`."""
        if self._guard is not None and is_ip_address(request.url.host):
            await self._guard.addresses(request.url.host, request.url.port or 0)  # what the connector takes for an address is not resolved
        session, url, body = self._opened(), URL(str(request.url), encoded=True), await request.aread()
        with _translated():
            try:
                answer = await session.request(
                    request.method,
                    url,
                    headers=request.headers.multi_items(),
                    data=body,
                    allow_redirects=False,
                    proxy=self._proxy(request.url),
                )
            except asyncio.CancelledError:
                await asyncio.sleep(0)  # the socket is closed with the next turn of the loop
                raise
        return httpx2.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer, self._answer_bytes), request=request)

    async def aclose(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _proxy(self, url: httpx2.URL) -> str | None:
        proxy = self._proxies.get(url.scheme)
        return None if proxy is None or urllib.request.proxy_bypass(url.host) else proxy

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            most, kept_s, guard = self._limits.max_connections or 0, self._limits.keepalive_expiry, self._guard
            connector = aiohttp.TCPConnector(
                limit=most,
                keepalive_timeout=kept_s,
                ssl=self._certificates,
                resolver=None if guard is None else _Resolver(guard),
                use_dns_cache=guard is None,
            )
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=_PATIENCE, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
            )
        return self._session


class _Resolver(AbstractResolver):
    """Names to addresses that the guard lets pass."""

    def __init__(self, guard: Egress) -> None:
        self._guard = guard

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """See `AbstractResolver.resolve`."""
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET6 if ":" in address else socket.AF_INET, proto=0, flags=flags
            )
            for address in await self._guard.addresses(host, port)
            if family in {socket.AF_UNSPEC, socket.AF_INET6 if ":" in address else socket.AF_INET}
        ]

    async def close(self) -> None:
        """Nothing is held."""


class _Body(httpx2.AsyncByteStream):
    """Pieces as they arrive, until there are too many bytes. Closed before its end, the connection is closed too."""

    def __init__(self, answer: aiohttp.ClientResponse, limit: int) -> None:
        self._answer = answer
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left, body = self._limit, self._answer.content
        with _translated():
            while not body.at_eof():
                self._acknowledge()
                piece = await body.readany()
                left -= len(piece)
                if left < 0:
                    raise ModelFailed(f"the model's answer is larger than {self._limit} bytes", kind="too_large")
                if piece:
                    yield piece

    async def aclose(self) -> None:
        """See `httpx2.AsyncByteStream.aclose`. The socket is closed when this returns."""
        self._answer.close()
        await asyncio.sleep(0)

    def _acknowledge(self) -> None:
        """Acknowledge at once what came (Linux): a server that still uses Nagle's algorithm holds each token back 40 ms otherwise."""
        connection = self._answer.connection
        if connection is not None and connection.transport is not None and _ACKNOWLEDGE is not None:
            with contextlib.suppress(OSError):
                connection.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, _ACKNOWLEDGE, 1)


_ACKNOWLEDGE: int | None = getattr(socket, "TCP_QUICKACK", None)


@contextlib.contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except aiohttp.ClientConnectorError as wrong:
        raise httpx2.ConnectError(_reason(wrong.os_error)) from None
    except aiohttp.ConnectionTimeoutError:
        raise httpx2.ConnectTimeout("no answer to the connection") from None
    except aiohttp.InvalidURL:
        raise httpx2.UnsupportedProtocol("the address is none") from None
    except (aiohttp.ClientError, OSError) as wrong:
        raise httpx2.ReadError(type(wrong).__name__) from None


def _reason(wrong: OSError) -> str:
    return os.strerror(wrong.errno) if wrong.errno and wrong.errno > 0 else wrong.strerror or type(wrong).__name__
