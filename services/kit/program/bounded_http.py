"""HTTP connections with bounds that uvicorn does not have: how large a request's head may be, and how long it may take.

In come bytes; a head that is too large is answered with 431, one that does not arrive ends its connection, and so does a client that
connects and says nothing. What comes around a body (sizes of chunks, trailers) has the bound of a head. A request that asks for a
WebSocket and cannot be one is an ordinary request.
"""

import asyncio

from httptools import HttpParserError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
HEAD_S = 30.0
_TOO_LARGE = f"the request's line and headers may have {HEAD_BYTES} bytes"
_SIGNS = 4
"""A colon, a blank and the line's end."""
_NO_HOST = "expected one Host header"


class _Unfit(HttpParserError):
    """The head breaks a bound."""


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    _in_head = True
    _bodiless = True
    """Whether nothing of a body was in what came last."""
    _read = 0
    _no = b""
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] (as uvicorn's own)
        """Somebody connected."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._heard()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes came."""
        if self._in_head and self._late is None:
            self._wait()
        self._bodiless = True
        super().data_received(data)
        if self._bodiless and not self.transport.is_closing():
            self._read += len(data)
            if self._read > HEAD_BYTES:
                self._refuse(b"431 Request Header Fields Too Large", _TOO_LARGE)

    def on_message_begin(self) -> None:
        """The first bytes of a head, perhaps behind the end of another request."""
        super().on_message_begin()
        if self._late is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """A head is complete."""
        self._heard()
        self._in_head, self._bodiless, self._read = False, False, 0
        if len(self.url) + sum(len(name) + len(value) + _SIGNS for name, value in self.headers) > HEAD_BYTES:
            self._no = b"431 Request Header Fields Too Large"
            raise _Unfit(_TOO_LARGE)
        assert self.parser is not None, "it just spoke"
        if self.parser.get_http_version() == "1.1" and sum(name == b"host" for name, _ in self.headers) != 1:
            self._no = b"400 Bad Request"
            raise _Unfit(_NO_HOST)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._bodiless, self._read = False, 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is complete; the next one begins with a head."""
        self._in_head, self._bodiless, self._read = True, False, 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong with the head, and hang up."""
        if self._no:
            self._refuse(self._no, _TOO_LARGE if self._no.startswith(b"431") else _NO_HOST)
        else:
            super().send_400_response(msg)

    def _should_upgrade(self) -> bool:
        fits = self.scope.get("method") == "GET" and any(name == b"sec-websocket-key" for name, _ in self.headers)
        return fits and super()._should_upgrade()

    def _refuse(self, status: bytes, words: str) -> None:
        self._heard()
        body = words.encode()
        head = b"HTTP/1.1 %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (status, len(body)) + body)
        self.transport.close()

    def _wait(self) -> None:
        self._late = self.loop.call_later(HEAD_S, self._hang_up)

    def _heard(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _hang_up(self) -> None:
        """The head did not come in time. An answer that is still under way is not disturbed."""
        self._late = None
        if self.cycle and not self.cycle.response_complete:
            self._wait()
        elif not self.transport.is_closing():
            self.transport.close()
