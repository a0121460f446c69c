"""What surrounds every route: current paths, HEAD and OPTIONS, the body's limit, and the last line of defence.

Plain ASGI, outermost first as listed in `services.api.app`. Streams pass through untouched.
"""

import asyncio
from collections.abc import Iterable, MutableMapping
from typing import Any
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.answers.errors import DOCUMENTED
from services.api.answers.problems import Problems, Refusal
from services.api.gate.identity import TICKET
from services.api.gate.limits import Limits
from services.api.gate.surfaces import CURRENT, current
from services.kit.telling import logs

_DEPRECATED = "@1735689600"
"""RFC 9745: since when the legacy prefixes are deprecated (2025-01-01)."""
_DRAINED = 8
"""How many times the limit of an oversized body is read and dropped, so that the client gets to read the answer."""


_LISTENING = {"version": "3.0", "spec_version": "2.3"}
"""The ASGI version in which streams end because they hear that the client is gone."""
_UPLOAD_S = 600
"""How long an upload may take to arrive, in seconds."""
_UPLOADS = frozenset({CURRENT + "/upload_file", CURRENT + "/upload_files"})


class Codes:
    """Which codes the answers of a request carry: the running system's, or the documents'."""

    def __init__(self, app: ASGIApp, *, documented: bool) -> None:
        self._app = app
        self._documented = documented

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        DOCUMENTED.set(self._documented)
        await self._app(scope, receive, send)


class Paths:
    """Legacy and drawn spellings become the current path; legacy ones are told so in the answer (RFC 9745, RFC 8288)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, deprecated = current(scope["path"])
        if path != scope["path"]:
            scope = {**scope, "path": path, "raw_path": path.encode()}
        if not deprecated:
            await self._app(scope, receive, send)
            return

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Deprecation"] = _DEPRECATED
                headers.append("Link", f'<{quote(path)}>; rel="successor-version"')
            await send(message)

        await self._app(scope, receive, tell)


class Admission:
    """Counts requests and streams while they last; one over the limit gets its surface's answer. A client that takes nothing is left."""

    def __init__(self, app: ASGIApp, problems: Problems, limits: Limits, idle_s: float) -> None:
        self._app = app
        self._problems = problems
        self._limits = limits
        self._idle_s = idle_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/health"):
            await self._app(scope, receive, send)
            return
        try:
            ticket = self._limits.enter()
        except Refusal as no:
            await self._problems.render(scope["path"], no)(scope, receive, send)
            return
        scope[TICKET] = ticket

        async def patiently(message: Message) -> None:
            if message["type"] == "http.response.start":
                if b"content-length" not in dict(message.get("headers", ())):
                    self._limits.streams_now(ticket)
                await send(message)
            elif ticket.streams:
                async with asyncio.timeout(self._idle_s):
                    await send(message)
            else:
                await send(message)

        try:
            await self._app(scope, receive, patiently)
        except TimeoutError:
            if not ticket.streams:
                raise
            logs.logger(__name__).info("a client took nothing of its stream and was left", after_s=self._idle_s)
        finally:
            self._limits.leave(ticket)


def allowed(routes: Iterable[BaseRoute], scope: Scope) -> list[str]:
    """The methods that a path has."""
    fitting = [route for route in routes if isinstance(route, Route) and route.path_regex.match(scope["path"])]
    found = {method for route in fitting for method in route.methods or ()}
    return sorted(found | {"OPTIONS"} | ({"HEAD"} if "GET" in found else set[str]()))


class Methods:
    """`HEAD` is answered as `GET` without its body, `OPTIONS` with the methods a path has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope.get("method")
        if scope["type"] == "http" and method == "HEAD":
            await self._head({**scope, "method": "GET", "asgi": _LISTENING}, send)
        elif scope["type"] == "http" and method == "OPTIONS":
            await self._options(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _head(self, scope: Scope, send: Send) -> None:
        answered = asyncio.Event()
        asked = False

        async def receive() -> Message:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await answered.wait()
            return {"type": "http.disconnect"}

        async def head_only(message: Message) -> None:
            if answered.is_set():
                return
            await send(message if message["type"] == "http.response.start" else {"type": "http.response.body", "body": b""})
            if message["type"] != "http.response.start":
                answered.set()

        await self._app(scope, receive, head_only)

    async def _options(self, scope: Scope, receive: Receive, send: Send) -> None:
        replaced = False

        async def allow(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and message["status"] == 405:
                replaced = True
                await Response(status_code=204, headers={"Allow": MutableHeaders(scope=message).get("allow", "")})(scope, receive, send)
            elif not replaced:
                await send(message)

        await self._app(scope, receive, allow)


class UploadLimit:
    """Uploads stream past the body's limit, up to their own; one that is larger or too slow gets its surface's answer."""

    def __init__(self, app: ASGIApp, problems: Problems, limit: int) -> None:
        self._app = app
        self._problems = problems
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_upload(scope):
            await self._app(scope, receive, send)
            return
        taken, late = 0, False
        end = asyncio.get_running_loop().time() + _UPLOAD_S

        async def counted() -> Message:
            nonlocal taken, late
            try:
                async with asyncio.timeout_at(end):
                    message = await receive()
            except TimeoutError:
                late = True
                return {"type": "http.disconnect"}
            taken += len(message.get("body", b""))
            return message if taken <= self._limit else {"type": "http.disconnect"}

        answered = False

        async def instead(message: Message) -> None:
            nonlocal answered
            if not late and taken <= self._limit:
                await send(message)
            elif not answered:
                answered = True
                path = scope["path"]
                answer = self._problems.too_slow(path, _UPLOAD_S) if late else self._problems.too_large(path, self._limit)
                await answer(scope, receive, send)

        await self._app(scope, counted, instead)


def is_upload(scope: Scope) -> bool:
    """Whether a request hands files in."""
    return scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in _UPLOADS


class BodyLimit:
    """A body over the limit gets its surface's answer instead of a route. Uploads have a limit of their own."""

    def __init__(self, app: ASGIApp, problems: Problems, limit: int, read_s: float) -> None:
        self._app = app
        self._read_s = read_s
        self._problems = problems
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"} or is_upload(scope):
            await self._app(scope, receive, send)
            return
        body, rest = bytearray(), True
        try:
            async with asyncio.timeout(self._read_s):
                while rest and len(body) <= self._limit:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return
                    body += message.get("body", b"")
                    rest = message.get("more_body", False)
                if len(body) > self._limit:
                    await self._drain(receive, rest=rest)
        except TimeoutError:
            await self._problems.too_slow(scope["path"], self._read_s)(scope, receive, send)
            return
        if len(body) > self._limit:
            await self._problems.too_large(scope["path"], self._limit)(scope, receive, send)
            return
        given = False

        async def whole() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self._app(scope, whole, send)

    async def _drain(self, receive: Receive, *, rest: bool) -> None:
        dropped = 0
        while rest and dropped <= _DRAINED * self._limit:
            message = await receive()
            dropped += len(message.get("body", b""))
            rest = message["type"] == "http.request" and message.get("more_body", False)


class Guard:
    """Whatever nobody foresaw is logged and gets its surface's answer; never a stack trace."""

    def __init__(self, app: ASGIApp, problems: Problems) -> None:
        self._app = app
        self._problems = problems

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            route = getattr(scope.get("route"), "path", "unknown")
            logs.logger(__name__).exception("request failed", route=route, ids=scope.get("path_params", {}))
            if not started:
                await self._problems.unforeseen(scope["path"])(scope, receive, send)
            else:
                raise
