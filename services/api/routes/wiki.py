"""The wiki's doors (004): questions about a repository over HTTP and a socket, answered as raw text.

In come conversations; out goes what the model says and nothing else: no frames, no signs of life, the end of the body is the
end of the answer. `format=sse` asks for events with ids instead. Nobody without a key comes in, but for callers on this
machine where the setting `anonymous_app` names whom they act for.
"""

import asyncio
import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from events.json_text import read_json
from projections import providers
from services.api.answers.problems import Json, Native, Refusal, path_of, wrong_of
from services.api.api import Api, StrictRoute, TheApi
from services.api.asking.wiki_asking import Begun, begin
from services.api.dialects import deepwiki
from services.api.following.streams import answer, from_position, in_deepwiki, in_raw, timed
from services.api.following.tail import Closed
from services.api.gate.identity import Caller
from services.api.requests.wiki import Question
from services.core.words.wiki_words import DEFAULT, LANGUAGES
from services.kit.errors import ProzessError
from services.kit.models.accounts import UNSPOKEN, accounts

router = APIRouter(route_class=StrictRoute, tags=["wiki"])
PROXY = "/api/chat/stream"
_NAME = "deepwiki"
_FIRST_S = 60.0
_NO_KEY, _TOO_MANY, _TOO_LARGE, _RESTART = 4401, 4429, 1009, 1012


async def _visitor(request: Request, api: TheApi) -> Caller:
    return await api.identity.visitor(request)


_Visitor = Annotated[Caller, Depends(_visitor)]
_Key = Annotated[str, Header(alias="Idempotency-Key", max_length=255)]
_Format = Annotated[Literal["raw", "sse"], Query(alias="format", description="`sse` for events with ids instead of raw text.")]
_Wanted = Annotated[str, Header(alias="X-Stream-Format", max_length=16, description="`sse`, the same as `format=sse`.")]


@router.post("/chat/completions/stream")
@router.post(PROXY)
async def stream(
    body: Question, request: Request, api: TheApi, caller: _Visitor, key: _Key = "", format_: _Format = "raw", wanted: _Wanted = ""
) -> Response:
    """Answer a question as raw text, or as events."""
    is_sse = format_ == "sse" or wanted.strip().lower() == "sse"
    first = api.world.metrics.first_token_seconds.labels(_NAME).observe
    rendering = timed(from_position(in_deepwiki(), 0) if is_sse else in_raw(), first)
    begun = await begin(api, caller, body, key, request.is_disconnected)
    if begun is None:
        return Response(status_code=204)
    gauge = api.world.metrics.open_streams.labels(_NAME)
    given = answer(begun.follower, rendering, api.world.settings.ping_s, begun.run, gauge, before=begun.held)
    if path_of(request) == PROXY:
        given.headers["Cache-Control"] = "no-cache, no-transform"
    return given


@router.options(PROXY, status_code=204)
async def allowed() -> Response:
    """What a browser may send. Whose pages may call is the setting `cors_origins`."""
    headers = {"Access-Control-Allow-Methods": "POST, OPTIONS", "Access-Control-Allow-Headers": "Content-Type, Authorization"}
    return Response(status_code=204, headers=headers)


@router.get("/lang/config")
async def languages() -> Response:
    """The languages of answers."""
    return Json({"supported_languages": dict(LANGUAGES), "default": DEFAULT})


@router.get("/models/config")
async def models(api: TheApi) -> Response:
    """The providers and their default models. Every provider takes other names of models too."""
    settings = api.world.settings
    listed: list[dict[str, Any]] = [
        {"id": one.name, "name": one.label, "supportsCustomModel": True, "models": [{"id": one.model, "name": one.model}]}
        for one in accounts(settings).values()
    ]
    async with api.world.database.connect() as connection:
        for_all = await providers.of_app(connection, providers.FOR_ALL)
    known = {one["id"]: one for one in listed} | {one.provider: _listed(one) for one in for_all}
    listed = [*known.values()]
    listed += [{"id": name, "name": label, "supportsCustomModel": False, "models": []} for name, label in UNSPOKEN.items()]
    return Json({"providers": listed, "defaultProvider": settings.wiki_provider})


def _listed(one: providers.Provider) -> dict[str, Any]:
    models = [{"id": model, "name": model} for model in one.models]
    return {"id": one.provider, "name": one.name or one.provider, "supportsCustomModel": True, "models": models}


@router.websocket("/ws/chat")
async def socket(websocket: WebSocket) -> None:
    """One question per connection: raw text frames, then close 1000. Every refusal is a text frame, too."""
    api: Api = websocket.app.state.api
    await websocket.accept()
    if not api.has_room_for_a_socket():
        await websocket.close(_TOO_MANY, "too many sockets are open; try again")
        return
    api.sockets.add(websocket)
    try:
        await _ask(api, websocket)
    finally:
        api.sockets.discard(websocket)


async def _ask(api: Api, websocket: WebSocket) -> None:
    try:
        await api.identity.visitor(websocket)
        first = await _first(websocket, api.world.settings.max_body_bytes)
        caller = await api.identity.visitor(websocket, again=True)
    except Refusal as no:
        await websocket.close(_TOO_MANY if no.status == 429 else _NO_KEY, no.message[:100])
        return
    except WebSocketDisconnect:
        return
    if first is None:
        await websocket.close(_TOO_LARGE)
        return
    leaving = asyncio.create_task(_left(websocket))
    answering = asyncio.create_task(_answer(websocket, api, caller, first, leaving))
    try:
        await asyncio.wait({leaving, answering}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (leaving, answering):
            task.cancel()
        await asyncio.wait({leaving, answering})
    if answering.cancelled() or isinstance(answering.exception(), WebSocketDisconnect):
        return
    answering.result()


async def _first(websocket: WebSocket, limit: int) -> str | None:
    """The first frame; None for one over the limit."""
    try:
        async with asyncio.timeout(_FIRST_S):
            message = await websocket.receive()
    except TimeoutError:
        return ""
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect
    content: bytes = message.get("bytes") or (message.get("text") or "").encode("utf-8", "replace")
    return None if len(content) > limit else content.decode("utf-8", "replace")


async def _left(websocket: WebSocket) -> None:
    """Until the client has left; further frames are ignored."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def _answer(websocket: WebSocket, api: Api, caller: Caller, first: str, leaving: asyncio.Task[None]) -> None:
    async def left() -> bool:
        return leaving.done()

    try:
        begun = await begin(api, caller, _read(first), "", left)
    except (Native, Refusal, ProzessError, RequestValidationError) as wrong:
        await websocket.send_text(deepwiki.told(wrong_of("/ws/chat", wrong).message))
        begun = None
    code = 1000 if begun is None else await _send(websocket, api, begun)
    await websocket.close(code)


async def _send(websocket: WebSocket, api: Api, begun: Begun) -> int:
    """The text as it comes; the code to close with."""
    raw, follower = deepwiki.Raw(), begun.follower
    gauge = api.world.metrics.open_streams.labels(_NAME)
    gauge.inc()
    try:
        events = list(begun.held)
        while events or not follower.ended:
            for event in events:
                text = raw.feed(event)
                if text:
                    await websocket.send_text(text.encode("utf-8", "replace").decode())
            events = [] if follower.ended else await follower.next()
    except Closed:
        return _RESTART
    finally:
        gauge.dec()
        follower.close()
    return 1000


def _read(text: str) -> Question:
    """The question in a frame. Raises `Native` with the words of the document's own reader."""
    try:
        json.loads(text)
        return Question.model_validate(read_json(text))
    except ValidationError as wrong:
        raise RequestValidationError(wrong.errors(include_url=False, include_input=False)) from None
    except RecursionError:
        raise _Unread("the JSON is nested too deep") from None
    except ValueError as wrong:
        raise _Unread(str(wrong)) from None


class _Unread(Native):
    """A frame that is no JSON."""

    status = 422
