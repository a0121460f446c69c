"""A model's answer as it is written: server-sent events, each of which is a piece of JSON.

In comes a response whose head is there; out come its chunks. Each piece must come before a deadline, which whoever reads
moves on; it is looked at once a piece that the network gives, not once a chunk.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import cast

import httpx2
import orjson

_DONE = "[DONE]"
_END_S = 0.1
"""How long the end of the body is waited for after the last chunk: a connection that was read to its end can be used again."""


class Answer(httpx2.AsyncByteStream):
    """One response. `deadline` is of the loop's clock; silence beyond it is a `TimeoutError`."""

    def __init__(self, response: httpx2.Response, deadline: float, max_bytes: int) -> None:
        self.deadline = deadline
        self.done = False
        """Whether the provider said that nothing more comes."""
        self._response = response
        self._max_bytes = max_bytes
        self._body = cast("httpx2.AsyncByteStream", response.stream)
        response.stream = self
        response.headers["content-type"] = "text/event-stream"  # some label their streams otherwise

    async def chunks(self) -> AsyncGenerator[object]:
        """What the events say. Raises `ValueError` for what is no JSON, `httpx2.HTTPError` for a cut."""
        async for event in httpx2.EventSource(self._response, self._max_bytes):
            if event.data.startswith(_DONE):
                self.done = True
                self.deadline = min(self.deadline, asyncio.get_running_loop().time() + _END_S)
            elif event.data and not self.done:
                yield _read(event.data)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = aiter(self._body)
        while True:
            async with asyncio.timeout_at(self.deadline):
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece

    async def aclose(self) -> None:
        """Let go of the connection. Safe to call twice."""
        await self._body.aclose()


def _read(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)  # half a surrogate pair, or what only looks like JSON: that raises again
