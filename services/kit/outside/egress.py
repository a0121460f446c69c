"""Going out to addresses that people name (tools, MCP servers, knowledge), without becoming their way into our network.

In come requests; out go answers of addresses that may be called. Every connection resolves its host, refuses what is not
public unless a setting names its network, and connects to the very address that was checked, so that neither a
redirection nor a name that changes its address leads elsewhere. Answers are bounded in bytes; redirections stay within
their host. Addresses that the operator sets are trusted: only the bounds hold for them.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import cast

import httpcore2
import httpx2

from services.kit.errors import ProzessError
from services.kit.settings import Settings
from services.kit.telling.traces import carried

CONNECT_S = 10.0
_REDIRECTIONS = 5
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "fec0::/10", "3fff::/20")))
"""Not for the public, although Python takes them for it: protocol assignments (a cloud's metadata too), relays, sites, examples."""
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Options = Iterable[httpcore2.SOCKET_OPTION]


class EgressRefused(ProzessError):
    """The address may not be called from here, or its answer breaks a bound. The message repeats no address."""


def limits_of(settings: Settings) -> httpx2.Limits:
    """How many connections there are at once, and how long idle ones are kept."""
    return httpx2.Limits(
        max_connections=settings.max_connections,
        max_keepalive_connections=settings.pool_size,
        keepalive_expiry=settings.keep_alive_timeout_s,
    )


class Egress:
    """What may be called. `networks` are allowed although they are not public."""

    def __init__(self, networks: Sequence[str] = (), limits: httpx2.Limits | None = None) -> None:
        self._limits = limits or httpx2.Limits()
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host, all of which may be called. Raises `EgressRefused`; `OSError` for a name that nobody knows."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
        addresses = [str(one[4][0]).partition("%")[0] for one in found]
        if not all(map(self._may, addresses)):
            raise EgressRefused("its host is in a network that is not called from here (setting egress_networks)")
        return list(dict.fromkeys(addresses))

    def client(self, max_bytes: int, *, trusted: bool = False, headers: dict[str, str] | None = None) -> httpx2.AsyncClient:
        """A client behind this guard. Its answers end with `EgressRefused` beyond `max_bytes`. Times are the caller's to bound."""
        transport = _Transport(None if trusted else self, max_bytes, self._limits)
        return httpx2.AsyncClient(
            transport=transport,
            timeout=httpx2.Timeout(None, connect=CONNECT_S),
            headers={"Accept-Encoding": "identity", "User-Agent": "prozess", **(headers or {})},
            follow_redirects=True,
            max_redirects=_REDIRECTIONS,
            event_hooks={"response": [_stay]},
            trust_env=False,
        )

    def _may(self, text: str) -> bool:
        address = ipaddress.ip_address(text)
        if any(address in network for network in self._networks):
            return True
        inner = _inside(address)
        special = inner.is_multicast or inner.is_reserved or any(inner in network for network in _SPECIAL)
        return inner.is_global and not special


def _inside(address: _Address) -> _Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None) or address


async def _stay(response: httpx2.Response) -> None:
    """A redirection may not leave its host: what was sent along (keys, words) is meant for that host."""
    if not response.has_redirect_location:
        return
    sent, location = response.request.url, response.request.url.join(response.headers["location"])
    upgrade = (sent.scheme, location.scheme) == ("http", "https") and sent.port is location.port is None
    if sent.host != location.host or (not upgrade and (sent.scheme, sent.port) != (location.scheme, location.port)):
        raise EgressRefused("it redirects to another host; give the new address")


class _Transport(httpx2.AsyncHTTPTransport):
    """Connections through the guard, answers bounded."""

    def __init__(self, egress: Egress | None, max_bytes: int, limits: httpx2.Limits) -> None:
        context = httpx2.create_ssl_context(trust_env=False)
        super().__init__(verify=context, trust_env=False, limits=limits)
        if egress is not None:
            self._pool = _pool(egress, context, limits)
        self._max_bytes = max_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        for name, value in carried().items():
            request.headers.setdefault(name, value)
        response = await super().handle_async_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise EgressRefused("its answer is compressed although that was not asked for")
        response.stream = _Counted(cast("httpx2.AsyncByteStream", response.stream), self._max_bytes)
        return response


def _pool(egress: Egress, context: ssl.SSLContext, limits: httpx2.Limits) -> httpcore2.AsyncConnectionPool:
    return httpcore2.AsyncConnectionPool(
        ssl_context=context,
        max_connections=limits.max_connections,
        max_keepalive_connections=limits.max_keepalive_connections,
        keepalive_expiry=limits.keepalive_expiry,
        network_backend=_Guarded(egress),
    )


class _Guarded(httpcore2.AsyncNetworkBackend):
    """Connects to checked addresses only."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._network = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            addresses = await self._egress.addresses(host, port)
        except OSError:
            raise httpcore2.ConnectError("the host is not known") from None
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._network.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._limit
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise EgressRefused(f"its answer is larger than {self._limit} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
