"""The shortest way to the routes that are asked most: a workflow chat without routing, dependencies or an exit stack.

In comes a request whose body has arrived; what is as it must be goes straight to what the route would call. Everything
else (a wrong body, a strange header) is left to the route, which says what is wrong: so there is one place for each word,
and the interface's description is the route's.
"""

from collections.abc import Awaitable, Callable, Mapping

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from events.json_text import read_json
from events.run import Mode
from services.api.api import Api
from services.api.requests.chat import Chat
from services.api.routes import chat

_MODES: Mapping[str, Mode] = {"/workflow/v1/chat/completions": "open", "/workflow/v1/debug/chat/completions": "debug"}


class _Route:
    """What is known of a route that was not looked for: its template."""

    def __init__(self, path: str) -> None:
        self.path = path


_ROUTES = {path: _Route(path) for path in _MODES}
Render = Callable[[Request, Exception], Awaitable[Response]]


class Quick:
    """Plain ASGI, the innermost of what surrounds the routes. `foreseen` are the errors that `render` makes answers of."""

    def __init__(self, app: ASGIApp, api: Api, foreseen: tuple[type[Exception], ...], render: Render) -> None:
        self._app = app
        self._api = api
        self._foreseen = foreseen
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in _MODES:
            await self._app(scope, receive, send)
            return
        message = await receive()
        body = None if message.get("more_body") else _checked(message.get("body", b""))
        request = Request(scope, receive)
        if body is None or not _is_plain(request):
            await self._app(scope, _again(message, receive), send)
            return
        path: str = scope["path"]
        scope["route"] = _ROUTES[path]
        try:
            response = await self._answer(request, body, _MODES[path])
        except self._foreseen as wrong:
            response = await self._render(request, wrong)
        await response(scope, receive, send)

    async def _answer(self, request: Request, body: Chat, mode: Mode) -> Response:
        caller = await self._api.identity.caller(request)
        headers = request.headers
        return await chat.run_chat(
            self._api, caller, request, body, mode, headers.get("idempotency-key", ""), headers.get("x-stream-ids", "")
        )


def _is_plain(request: Request) -> bool:
    """Whether the headers are those that the route would take without a word."""
    headers = request.headers
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return False
    return len(headers.get("idempotency-key", "")) <= chat.LONGEST_KEY and len(headers.get("x-stream-ids", "")) <= chat.LONGEST_FLAG


def _checked(body: bytes) -> Chat | None:
    try:
        return Chat.model_validate(read_json(body))
    except (ValueError, ValidationError):
        return None


def _again(message: Message, receive: Receive) -> Receive:
    given = False

    async def first() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return message

    return first
