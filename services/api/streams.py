"""Bytes of a stream: a follower's events, rendered as they come.

In come a follower and a rendering; out go SSE records in as few pieces as possible, flushed at once, with a sign of life
when nothing was sent for a while. A client that leaves ends the following, never the run.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from prometheus_client import Gauge
from starlette.responses import StreamingResponse

from events.acceptance import Accepted
from services.api.compact import record
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
        return b"".join((b"id: 1.%d\n" % number if numbered else b"") + record(frame) for number, frame in kept)

    return Rendering(render, lambda: record(fold.ping(clock.now())))


def in_native() -> Rendering:
    """Every event."""
    return Rendering(native.record, lambda: native.PING)


def in_openai() -> Rendering:
    """Chat completion chunks, closed by `[DONE]`."""
    fold = openai.Chunks()
    return Rendering(lambda event: b"".join(map(record, fold.feed(event))), lambda: openai.PING, openai.DONE)


def from_position(rendering: Rendering, position: int) -> Rendering:
    """A rendering that folds everything and shows what events after `position` cause; `id:` is the position of the causing event."""

    def render(event: Accepted) -> bytes:
        records = rendering.render(event)
        if event.position <= position or not records:
            return b""
        *before, last = records[:-2].split(b"\n\n")  # JSON has no raw line feeds
        return b"".join(one + b"\n\n" for one in before) + b"id: %d\n" % event.position + last + b"\n\n"

    return Rendering(render, rendering.alive, rendering.last)


def timed(rendering: Rendering, first: Callable[[float], None]) -> Rendering:
    """A rendering that tells once how many seconds passed until it had something to show."""
    began = time.perf_counter()
    waiting = True

    def render(event: Accepted) -> bytes:
        nonlocal waiting
        records = rendering.render(event)
        if waiting and records:
            waiting = False
            first(time.perf_counter() - began)
        return records

    return Rendering(render, rendering.alive, rendering.last)


def answer(
    follower: Follower, rendering: Rendering, ping_s: float, run: str, open_streams: Gauge, *, follow: bool = True
) -> StreamingResponse:
    """The streaming answer. It ends with the run's last event, without one when the service stops, or at once with what is there."""
    body = _body(follower, rendering, ping_s, open_streams) if follow else _present(follower, rendering)
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


async def _present(follower: Follower, rendering: Rendering) -> AsyncIterator[bytes]:
    try:
        for event in await follower.present():
            yield rendering.render(event)
        if follower.ended:
            yield rendering.last
    finally:
        follower.close()
