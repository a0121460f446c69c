"""Callers over plain sockets, so that the client costs as little as it can: it only looks for `data: ` and the end."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

_TOKEN = b'"content":"t'


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds to the first token, seconds to the end, tokens."""

    first: float
    whole: float
    tokens: int


async def post(port: int, path: str, body: Any, key: str, token: bytes = _TOKEN) -> Timed:
    """One request whose answer is read to its end."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    payload = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(payload) + payload)
    first, tokens, seen = 0.0, 0, b""
    while piece := await reader.read(65_536):
        count = piece.count(token)
        if count and not tokens:
            first = time.perf_counter() - began
        tokens += count
        seen = (seen + piece)[-4_000:]
    writer.close()
    await writer.wait_closed()
    if b"200 OK" in seen and b'"code":0' not in seen and b'"finish_reason":"stop"' not in seen and b'"finish_reason": "stop"' not in seen:
        raise RuntimeError(f"the run did not end well: {seen[-300:]!r}")
    return Timed(first, time.perf_counter() - began, tokens)


async def repeated(count: int, call: Callable[[], Awaitable[Timed]]) -> list[Timed]:
    """One call after another."""
    return [await call() for _ in range(count)]


async def callers(count: int, seconds: float, call: Callable[[], Awaitable[Timed]]) -> tuple[float, list[Timed]]:
    """`count` callers for some seconds; calls per second, and each."""
    done: list[Timed] = []
    end = time.perf_counter() + seconds

    async def one() -> None:
        while time.perf_counter() < end:
            done.append(await call())

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(count)))
    return len(done) / (time.perf_counter() - began), done


def percentile(values: list[float], share: float) -> float:
    """The value below which this share lies, in milliseconds."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)
