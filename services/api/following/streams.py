"""Bytes of a stream: a follower's events, rendered as they come.

In come a follower and a rendering; out go SSE records in as few pieces as possible, flushed at once, with a sign of life
when nothing was sent for a while. A client that leaves ends the following, never the run.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from prometheus_client import Gauge
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from events.acceptance import Accepted
from services.api.answers.compact import DONE, record
from services.api.answers.wrong import Body
from services.api.dialects import agent, assistant, astron, deepwiki, native, openai
from services.api.following.follow import Follower
from services.api.following.tail import Closed
from services.kit.clock import Clock

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
EVENT_ID = "X-Event-Id"


@dataclass(frozen=True, slots=True)
class Rendering:
    """How one stream looks: an event's bytes, a sign of life, what follows the last event.

    `done` says that the stream ends though the run goes on: with a question, on surfaces where its answer is another request.
    """

    render: Callable[[Accepted], bytes]
    alive: Callable[[], bytes]
    last: bytes = b""
    done: Callable[[], bool] = lambda: False


def in_astron(clock: Clock, *, leg: int = 1, after: int = 0, numbered: bool = False) -> Rendering:
    """Workflow frames of one leg (0: of all) after its first `after`; `numbered` puts `id: <leg>.<seq>` before each."""
    fold = astron.Frames()

    def render(event: Accepted) -> bytes:
        frames = fold.feed(event)
        if not frames or (leg and fold.leg != leg):
            return b""
        first = fold.seq - len(frames) + 1
        kept = [(number, frame) for number, frame in enumerate(frames, first) if number > after]
        return b"".join((b"id: %d.%d\n" % (fold.leg, number) if numbered else b"") + record(frame) for number, frame in kept)

    def done() -> bool:
        return leg > 0 and (fold.leg > leg or (fold.leg == leg and fold.paused))

    return Rendering(render, lambda: record(fold.ping(clock.now())), done=done)


def in_native() -> Rendering:
    """Every event."""
    return Rendering(native.record, lambda: native.PING)


def in_openai(*, include_usage: bool | None = None, pauses: bool = False) -> Rendering:
    """Chat completion chunks, closed by `[DONE]`. With `pauses` a question to the person is the end."""
    fold = openai.Chunks(include_usage, pauses)
    return Rendering(lambda event: b"".join(map(record, fold.feed(event))), lambda: openai.PING, DONE, lambda: fold.paused)


def in_agent(*, ping: bool = False) -> Rendering:
    """Chunks of a bot, closed by `[DONE]`; `ping` asks for signs of life that a client can read."""
    fold = agent.Chunks()
    alive = record(agent.PONG) if ping else native.PING
    return Rendering(lambda event: b"".join(map(record, fold.feed(event))), lambda: alive, DONE)


def in_assistant() -> Rendering:
    """Blocks of the assistant; `[DONE]` only after a last block that says so, never after an error."""
    fold = assistant.Blocks()

    def render(event: Accepted) -> bytes:
        return b"".join(record(block) + (DONE if "finished" in block else b"") for block in fold.feed(event))

    return Rendering(render, lambda: assistant.ALIVE)


def in_deepwiki() -> Rendering:
    """Blocks of the wiki: the text, and an end that machines can read."""
    fold = deepwiki.Blocks()
    return Rendering(lambda event: b"".join(map(record, fold.feed(event))), lambda: deepwiki.ALIVE)


def in_raw(begin: int = 0) -> Rendering:
    """The text itself from a byte on. There are no signs of life: every byte is text."""
    fold, passed = deepwiki.Raw(), 0

    def render(event: Accepted) -> bytes:
        nonlocal passed
        piece = fold.feed(event).encode("utf-8", "replace")
        start, passed = passed, passed + len(piece)
        return piece[max(0, begin - start) :]

    return Rendering(render, lambda: b"")


def from_position(rendering: Rendering, position: int) -> Rendering:
    """A rendering that folds everything and shows what events after `position` cause; `id:` is the position of the causing event."""

    def render(event: Accepted) -> bytes:
        records = rendering.render(event)
        if event.position <= position or not records:
            return b""
        *before, last = records[:-2].split(b"\n\n")  # JSON has no raw line feeds
        return b"".join(one + b"\n\n" for one in before) + b"id: %d\n" % event.position + last + b"\n\n"

    return replace(rendering, render=render)


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

    return replace(rendering, render=render)


async def whole(
    follower: Follower, request: Request, patience: float, take: Callable[[Accepted], Body | None], before: Sequence[Accepted] = ()
) -> Body | None:
    """The one answer of a run that is not streamed: what `take` makes of its last event. None if the client left before.

    `before` are events that were read from the follower already.
    """
    try:
        while before or not follower.ended:
            events, before = before or await follower.next(patience), ()
            for event in events:
                answered = take(event)
                if answered is not None:
                    return answered
            if await request.is_disconnected():
                break
    finally:
        follower.close()
    return None


def answer(
    follower: Follower,
    rendering: Rendering,
    ping_s: float,
    run: str,
    open_streams: Gauge,
    *,
    follow: bool = True,
    before: Sequence[Accepted] = (),
    media_type: str = "text/event-stream; charset=utf-8",
) -> Response:
    """The streaming answer. It ends with the run's last event, without one when the service stops, or at once with what is there.

    It ends where the rendering is done as well. `before` are events that were read from the follower already.
    """
    if not follow:
        return StreamingResponse(_present(follower, rendering), headers={**HEADERS, EVENT_ID: run}, media_type=media_type)
    return Following(follower, rendering, ping_s, run, open_streams, before, media_type)


class Following(Response):
    """The stream as it comes, piece by piece, in the task of the request. A client that is gone ends it at once."""

    def __init__(
        self,
        follower: Follower,
        rendering: Rendering,
        ping_s: float,
        run: str,
        open_streams: Gauge,
        before: Sequence[Accepted],
        media_type: str,
    ) -> None:
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers({**HEADERS, EVENT_ID: run})
        self._follower = follower
        self._rendering = rendering
        self._ping_s = ping_s
        self._open_streams = open_streams
        self._before = before

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI)
        follower = self._follower
        listening = asyncio.ensure_future(_until_gone(receive))
        listening.add_done_callback(lambda _: follower.leave())
        self._open_streams.inc()
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._follow(send)
        finally:
            self._open_streams.dec()
            follower.close()
            listening.cancel()

    async def _follow(self, send: Send) -> None:
        follower, rendering, ping_s = self._follower, self._rendering, self._ping_s
        loop = asyncio.get_running_loop()
        due = loop.time() + ping_s
        events: Sequence[Accepted] = self._before
        try:
            while (events or not (follower.ended or rendering.done())) and not follower.left:
                piece = b"".join(map(rendering.render, events))
                if follower.ended or rendering.done():
                    await send({"type": "http.response.body", "body": piece + rendering.last, "more_body": False})
                    return
                if not piece and loop.time() >= due:
                    piece = rendering.alive()
                    due = loop.time() + ping_s
                if piece:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    due = loop.time() + ping_s
                events = await follower.next(max(0.0, due - loop.time()))
        except Closed:
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _present(follower: Follower, rendering: Rendering) -> AsyncIterator[bytes]:
    try:
        for event in await follower.present():
            yield rendering.render(event)
        if follower.ended:
            yield rendering.last
    finally:
        follower.close()
