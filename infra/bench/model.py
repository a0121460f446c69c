"""A model for the bench: speaks the OpenAI streaming protocol over a real socket, with a set pace, and costs next to nothing.

`python -m infra.bench.model PORT`. The model's name says the pace: `tokens?n=50&first_ms=5&gap_ms=5`. Requests come
whole and one after another on a connection, which is all that the bench needs of HTTP.
"""

import asyncio
import re
import sys
from typing import cast

import orjson
from uvloop import new_event_loop

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_PACE = re.compile(rb"[?&](n|first_ms|gap_ms)=([0-9.]+)")
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
_LAST = b"data: [DONE]\n\n"


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "bench", "object": "chat.completion.chunk", "created": 0, "model": "bench", "choices": [choice]}
    return _framed(b"data: " + orjson.dumps(chunk) + b"\n\n")


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _said(body: bytes) -> int:
    """How many tokens the answer has that is to be gone on with."""
    if b'"assistant"' not in body:
        return 0
    last = orjson.loads(body)["messages"][-1]
    return len(last["content"].split()) if last["role"] == "assistant" else 0


_TOKENS = [_chunk({"role": "assistant", "content": f"t{index} "}) for index in range(10_000)]
_END = _chunk({}, "stop") + _framed(_LAST) + b"0\r\n\r\n"


class Model(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._seen = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember it."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's shape)
        """Say no more."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """A request, or a part of it."""
        self._seen += data
        head, gap, body = self._seen.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not gap or length is None or len(body) < int(length[1]):
            return
        self._seen = b""
        pace = {name.decode(): float(value) for name, value in _PACE.findall(body)}
        if self._transport is not None:
            self._transport.write(_HEAD)
        said, gap_s = _said(body), pace.get("gap_ms", 5) / 1000
        first = self._loop.time() + pace.get("first_ms", 5) / 1000
        self._loop.call_at(first, self._speak, said, int(pace.get("n", 50)), first - said * gap_s, gap_s)

    def _speak(self, said: int, count: int, begin: float, gap: float) -> None:
        """All tokens that are due by now: a loop that was late does not slow the pace."""
        if self._transport is None:
            return
        due = count if not gap else min(count, int((self._loop.time() - begin) / gap) + 1)
        self._transport.write(b"".join(_TOKENS[said:due]) + (_END if due == count else b""))
        if due < count:
            self._loop.call_at(begin + due * gap, self._speak, due, count, begin, gap)


async def serve(port: int) -> None:
    """Until the process ends."""
    server = await asyncio.get_running_loop().create_server(Model, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
