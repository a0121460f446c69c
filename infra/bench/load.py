"""Callers over plain sockets that stay open, so that the client costs as little as it can: it looks for tokens and the end.

In goes a port and a body; out comes when the first token and the last byte were there. An answer that is not well raises.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

TOKEN = b'"content":"t'
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_RUN = re.compile(rb"x-event-id: (\d+)", re.IGNORECASE)
_WELL = (b'"code":0', b'"finish_reason":"stop"', b'"finish_reason": "stop"')


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds to the first token, seconds to the end, tokens, and the run's id where there is one."""

    first: float
    whole: float
    tokens: int
    run: str


class Caller:
    """One connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
        self._reader = reader
        self._writer = writer
        self._key = key

    async def post(self, path: str, body: Any, token: bytes = TOKEN) -> Timed:
        """One request whose answer is read to its end. Raises `RuntimeError` for an answer that is not well."""
        began = time.perf_counter()
        payload = json.dumps(body).encode()
        self._send("POST", path, payload)
        head, rest = await self._head()
        length = _LENGTH.search(head)
        first, tokens, size, tail = 0.0, 0, 0, b""
        piece = rest
        while True:
            if piece:
                count = piece.count(token)
                if count and not tokens:
                    first = time.perf_counter() - began
                tokens += count
                size += len(piece)
                tail = (tail + piece)[-2_000:]
            if size >= int(length[1]) if length else tail.endswith(b"0\r\n\r\n"):
                break
            piece = await self._reader.read(65_536)
            if not piece:
                raise RuntimeError("the connection was closed before the end")
        if b" 200 " not in head[:20] or not any(sign in tail for sign in _WELL):
            raise RuntimeError(f"the run did not end well: {(head + tail)[-400:]!r}")
        run = _RUN.search(head)
        return Timed(first, time.perf_counter() - began, tokens, run[1].decode() if run else "")

    async def begin(self, method: str, path: str, body: Any = None, until: bytes = b"") -> str:
        """A request whose stream is left open; the run's id. Waits for the headers, and for `until`."""
        self._send(method, path, b"" if body is None else json.dumps(body).encode())
        head, seen = await self._head()
        while until not in seen:
            seen += await self._reader.read(65_536)
        run = _RUN.search(head)
        return run[1].decode() if run else ""

    def _send(self, method: str, path: str, payload: bytes) -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self._key}\r\nContent-Type: application/json\r\n"
        self._writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(payload) + payload)

    async def _head(self) -> tuple[bytes, bytes]:
        seen = await self._reader.readuntil(b"\r\n\r\n")
        return seen, b""


@asynccontextmanager
async def caller(port: int, key: str) -> AsyncGenerator[Caller]:
    """A caller, connected."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        yield Caller(reader, writer, key)
    finally:
        writer.close()


Call = Callable[[Caller], Awaitable[Timed]]


async def together(port: int, key: str, count: int, seconds: float, call: Call, rounds: int = 0) -> tuple[float, list[Timed]]:
    """`count` callers for some seconds (or so many `rounds` each); calls per second, and each."""
    done: list[Timed] = []
    end = time.perf_counter() + seconds

    async def one() -> None:
        async with caller(port, key) as self:
            left = rounds
            while left > 0 if rounds else time.perf_counter() < end:
                done.append(await call(self))
                left -= 1

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(count)))
    return len(done) / (time.perf_counter() - began), done


def percentile(values: list[float], share: float) -> float:
    """The value below which this share lies, in milliseconds."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)
