"""Calling HTTP services: one request, one answer or a stream of events, and failures as sentences.

In comes what is sent; out goes the answer, or `CallFailed` with a sentence that holds no address, key or body. Services
that the operator names in the settings are trusted; those that a flow or a tool names go through the guard of `egress`.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
from pydantic import JsonValue

from events.json_text import read_json
from services.kit.errors import OutsideFailed
from services.kit.outside.egress import Egress, EgressRefused, limits_of
from services.kit.settings import Settings

_DIGITS = 19
_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})


class CallFailed(OutsideFailed):
    """The service gave no usable answer."""


@dataclass(frozen=True, slots=True)
class Sending:
    """What is sent. `what` names the service in sentences; `seconds` bounds the whole call (or each silence of a stream)."""

    what: str
    method: str
    url: str = field(repr=False)
    seconds: float
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    json: JsonValue = field(default=None, repr=False)
    form: dict[str, str] | None = field(default=None, repr=False)
    cookies: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    type: str
    body: bytes = field(repr=False)
    length: int | None = None
    """What the service says of its length; None where it says nothing usable."""

    def json(self) -> JsonValue:
        """The body as JSON. Raises `ValueError`."""
        return read_json(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


class Outward:
    """The connections of one program to services outside."""

    def __init__(self, settings: Settings) -> None:
        self.egress = Egress(settings.egress_networks, limits_of(settings))
        self.max_bytes = settings.egress_max_mb * 1_048_576
        self._clients: dict[bool, httpx2.AsyncClient] = {}

    async def call(self, sending: Sending) -> Answer:
        """Send it and read the whole answer, whatever its status. Raises `CallFailed`."""
        async with self._open(sending, sending.seconds) as response:
            body = await response.aread()
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            return Answer(response.status_code, kind, body, _length(response.headers.get("content-length", "")))

    async def ask(self, sending: Sending) -> JsonValue:
        """The answer as JSON; any status but 2xx, and any other text, is a failure. Raises `CallFailed`."""
        answer = await self.call(sending)
        if not 200 <= answer.status < 300:
            raise refused(sending.what, answer.status)
        try:
            return answer.json()
        except ValueError:
            raise CallFailed(f"{sending.what} answered with something that is no JSON", kind="no_json") from None

    async def events(self, sending: Sending) -> AsyncGenerator[str, None]:
        """The `data` of server-sent events as they come. Raises `CallFailed`; silence of more than `seconds` is one."""
        async with self._open(sending, None) as response:
            if not response.is_success:
                raise refused(sending.what, response.status_code)
            response.headers["content-type"] = "text/event-stream"  # some label their streams otherwise
            events = aiter(httpx2.EventSource(response, self.max_bytes))
            while True:
                try:
                    async with asyncio.timeout(sending.seconds):
                        event = await anext(events)
                except StopAsyncIteration:
                    return
                yield event.data

    @asynccontextmanager
    async def _open(self, sending: Sending, seconds: float | None) -> AsyncGenerator[httpx2.Response]:
        what = sending.what
        try:
            async with asyncio.timeout(seconds):
                request = self._client(sending.trusted).build_request(
                    sending.method,
                    _address(sending),
                    headers=_headers(sending),
                    content=_written(sending),
                    data=sending.form,
                    cookies=sending.cookies or None,
                )
                response = await asyncio.wait_for(self._client(sending.trusted).send(request, stream=True), sending.seconds)
                try:
                    yield response
                finally:
                    await response.aclose()
        except EgressRefused as no:
            raise CallFailed(f"{what} is not called: {no}", kind="refused") from None
        except (TimeoutError, httpx2.TimeoutException):
            raise CallFailed(f"{what} did not answer within {sending.seconds:g} s", kind="timeout", temporary=True) from None
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, UnicodeError):
            raise CallFailed(f"{what}: expected an address such as https://host/path", kind="url") from None
        except httpx2.TooManyRedirects:
            raise CallFailed(f"{what} redirects too often", kind="redirects") from None
        except (httpx2.HTTPError, OSError):
            raise CallFailed(f"{what} cannot be reached, or it broke off", kind="connection", temporary=True) from None
        except ValueError:
            raise CallFailed(f"{what}: the request cannot be written down: a header, a cookie or the address", kind="request") from None

    def _client(self, trusted: bool) -> httpx2.AsyncClient:
        client = self._clients.get(trusted)
        if client is None:
            client = self._clients[trusted] = self.egress.client(self.max_bytes, trusted=trusted)
        return client

    async def aclose(self) -> None:
        """Close every connection."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.aclose()


def refused(what: str, status: int) -> CallFailed:
    """A status that is no success, as a failure."""
    return CallFailed(f"{what} answered {status}", kind=str(status), temporary=status in _TEMPORARY)


def _length(said: str) -> int | None:
    return int(said) if said.isascii() and said.isdigit() and len(said) < _DIGITS else None


def _address(sending: Sending) -> httpx2.URL:
    url = httpx2.URL(sending.url)
    return url.copy_merge_params(list(sending.query)) if sending.query else url


def _headers(sending: Sending) -> dict[str, str]:
    return sending.headers if sending.json is None else {"Content-Type": "application/json", **sending.headers}


def _written(sending: Sending) -> bytes | None:
    return None if sending.json is None else json.dumps(sending.json, ensure_ascii=False).encode("utf-8", "replace")
