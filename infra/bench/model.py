"""A model for the bench: speaks the OpenAI streaming protocol over a real socket, with a set pace.

`python -m infra.bench.model PORT`. The model's name says the pace: `tokens?n=50&first_ms=5&gap_ms=5`.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "bench", "object": "chat.completion.chunk", "created": 0, "model": "bench", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


async def _tokens(count: int, first_s: float, gap_s: float) -> AsyncIterator[bytes]:
    await asyncio.sleep(first_s)
    for index in range(count):
        yield _chunk({"role": "assistant", "content": f"t{index} "})
        if gap_s:
            await asyncio.sleep(gap_s)
    yield _chunk({}, "stop")
    yield b"data: [DONE]\n\n"


async def complete(request: Request) -> StreamingResponse:
    """`POST /v1/chat/completions`, always streamed."""
    pace = dict(parse_qsl((await request.json())["model"].partition("?")[2]))
    tokens = _tokens(int(pace.get("n", 50)), float(pace.get("first_ms", 5)) / 1000, float(pace.get("gap_ms", 5)) / 1000)
    return StreamingResponse(tokens, media_type="text/event-stream")


APP = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(APP, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
