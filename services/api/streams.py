"""Bytes of a stream: a follower's events, rendered as they come.

In come a follower and a rendering; out go SSE records in as few pieces as possible, flushed at once, with a sign of life
when nothing was sent for a while. A client that leaves ends the following, never the run.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from prometheus_client import Gauge
from starlette.responses import StreamingResponse

from events.acceptance import Accepted
from services.api.dialects import astron, native, openai
from services.api.follow import Follower
from services.api.tail import Closed
from services.kit.clock import Clock

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
EVENT_ID = "X-Event-Id"


@dataclass(frozen=True, slots=True)
class Rendering:
    """How one stream looks: an event's bytes, a sign of life, what follows the last event."""

    render: Callable[[Accepted], bytes]
    alive: Callable[[], bytes]
    last: bytes = b""


def in_astron(clock: Clock, *, after: int = 0, numbered: bool = False) -> Rendering:
    """Workflow frames after the first `after` of the leg; `numbered` puts `id: <leg>.<seq>` before each."""
    fold = astron.Frames()

    def render(event: Accepted) -> bytes:
        frames = fold.feed(event)
        first = fold.seq - len(frames) + 1
        kept = [(number, frame) for number, frame in enumerate(frames, first) if number > after]
        return b"".join((b"id: 1.%d\n" % number if numbered else b"") + astron.encode(frame) for number, frame in kept)

    return Rendering(render, lambda: astron.encode(fold.ping(clock.now())))


def in_native() -> Rendering:
    """Every event."""
    return Rendering(native.record, lambda: native.PING)


def in_openai() -> Rendering:
    """Chat completion chunks, closed by `[DONE]`."""
    fold = openai.Chunks()
    return Rendering(lambda event: b"".join(map(openai.record, fold.feed(event))), lambda: openai.PING, openai.DONE)


def answer(follower: Follower, rendering: Rendering, ping_s: float, run: str, open_streams: Gauge) -> StreamingResponse:
    """The streaming answer. It ends with the run's last event, or without one when the service stops."""
    body = _body(follower, rendering, ping_s, open_streams)
    return StreamingResponse(body, headers={**HEADERS, EVENT_ID: run}, media_type="text/event-stream; charset=utf-8")


async def _body(follower: Follower, rendering: Rendering, ping_s: float, open_streams: Gauge) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    open_streams.inc()
    try:
        due = loop.time() + ping_s
        while not follower.ended:
            events = await follower.next(max(0.0, due - loop.time()))
            piece = b"".join(map(rendering.render, events))
            if follower.ended:
                piece += rendering.last
            elif not piece and loop.time() >= due:
                piece = rendering.alive()
            if piece:
                yield piece
                due = loop.time() + ping_s
    except Closed:
        return
    finally:
        open_streams.dec()
        follower.close()
