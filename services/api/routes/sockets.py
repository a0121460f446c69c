"""The WebSocket of document 001: one chat with a bot over one socket, closed with 1000 at its end.

In come JSON texts: `{"type":"chat", …agent request}`, `ping`, `cancel`, `resume {event_id, after}`; out go the chunks of
the agent, each with `event_id` and `position`. A client that leaves stops nothing. Closed with 4401 for a signature
that does not fit (or a key that is disabled meanwhile), 4429 over the limit, 1009 for a frame that is too large, 1001 when
the service stops, 1013 where the signature could not be checked now.
"""

import asyncio
from typing import Any

from fastapi import APIRouter, WebSocket
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.types import Message

from events.commands import CancelRun
from events.json_text import read_json
from events.topics import run_stream, slot_of_id
from services.api.answers.compact import compact
from services.api.answers.problems import Refusal, wrong_of
from services.api.api import Api
from services.api.dialects import agent
from services.api.following.follow import Follower
from services.api.following.tail import Closed
from services.api.gate.identity import Caller
from services.api.gate.signing import Signer
from services.api.requests.agent import BotChat
from services.api.routes.agent import PATH, begin, found, model_of
from services.kit.errors import NotReady
from services.kit.ids import new_id
from services.kit.telling import logs

router = APIRouter()
_END, _LEAVING, _BROKEN, _LATER, _SIGNATURE, _TOO_MANY = 1000, 1001, 1011, 1013, 4401, 4429


class Resume(BaseModel):
    """Come back to a run after a position."""

    event_id: str = Field(min_length=1, max_length=64)
    after: int = Field(0, ge=0, lt=1 << 53)


@router.websocket("/api/rpa-openapi/ws")
async def socket(websocket: WebSocket) -> None:
    """See the module."""
    api: Api = websocket.app.state.api
    await websocket.accept()
    gauge = api.world.metrics.open_streams.labels("socket")
    if not api.has_room_for_a_socket():
        await websocket.close(_TOO_MANY, "too many sockets are open; try again")
        return
    api.sockets.add(websocket)
    gauge.inc()
    try:
        await _serve(api, websocket)
    except Closed:
        await websocket.close(_LEAVING, "the service is stopping; resume with event_id and the last position")
    except Exception as wrong:  # noqa: BLE001 (whatever it is, it is logged and said without a trace)
        logs.logger(__name__).error("socket failed", error=type(wrong).__name__)
        await _close_broken(websocket)
    finally:
        gauge.dec()
        api.sockets.discard(websocket)


async def _close_broken(websocket: WebSocket) -> None:
    try:
        await websocket.close(_BROKEN, "internal error")
    except RuntimeError:
        return  # it is closed already


async def _serve(api: Api, websocket: WebSocket) -> None:
    query = websocket.query_params
    try:
        # an unescaped + of the signature arrives as a space
        signer = await api.signatures.signer(query.get("appid", ""), query.get("ts", ""), query.get("signa", "").replace(" ", "+"))
    except Refusal as no:
        await websocket.close(_TOO_MANY, no.message)
        return
    except NotReady:
        await websocket.close(_LATER, "the signature could not be checked now; try again with a new one")
        return
    if signer is None:
        await websocket.close(_SIGNATURE, "appid, ts and signa: expected a fresh signature of this app, used once")
        return
    await _Session(api, websocket, signer).serve()


class _Session:
    """One socket: frames in, at most one stream out."""

    def __init__(self, api: Api, websocket: WebSocket, signer: Signer) -> None:
        self._api = api
        self._websocket = websocket
        self._signer = signer
        self._caller = Caller(signer.app.app, signer.app)
        self._run = ""
        self._streaming: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Until the stream or the client ends, or nothing was asked for a while."""
        receiving, idle_s = asyncio.create_task(self._websocket.receive()), self._api.world.settings.idle_close_s
        try:
            while True:
                tasks = {task for task in (receiving, self._streaming) if task is not None}
                done, _ = await asyncio.wait(tasks, timeout=None if self._streaming else idle_s, return_when=asyncio.FIRST_COMPLETED)
                if self._streaming in done:
                    self._streaming.result()
                if not done or self._streaming in done:
                    await self._websocket.close(_END, "" if done else f"nothing was asked for {idle_s:g} s")
                    return
                message = receiving.result()
                if message["type"] == "websocket.disconnect" or not await self._take(message):
                    return
                receiving = asyncio.create_task(self._websocket.receive())
        finally:
            left: list[asyncio.Task[Any]] = [task for task in (receiving, self._streaming) if task is not None]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _take(self, message: Message) -> bool:
        """One frame. False once the socket was closed."""
        try:
            frame = _object(message)
            if frame.get("type") != "ping" and not await self._api.signatures.still(self._signer):
                await self._websocket.close(_SIGNATURE, "the key that signed was disabled or changed")
                return False
            await self._act(frame)
        except ValidationError as wrong:
            errors = [{**error, "loc": ("body", *error["loc"])} for error in wrong.errors()]
            await self._say_wrong(RequestValidationError(errors))
        except Refusal as no:
            if self._run or no.code == agent.INVALID:
                await self._say_wrong(no)
                return True
            await self._send(agent.Chunks().refusal(wrong_of(PATH, no), self._api.world.clock.now(), new_id()))
            await self._websocket.close(_TOO_MANY if no.status == 429 else _END, "")
            return False
        except Closed:
            raise
        except NotReady as later:
            await self._say_wrong(later)
        return True

    async def _act(self, frame: dict[str, Any]) -> None:
        match frame.get("type"):
            case "ping":
                await self._send({"type": "pong"})
            case "chat" | "resume" if self._streaming is not None:
                raise Refusal(agent.INVALID, "type: one chat at a time; open another socket")
            case "chat":
                body = BotChat.model_validate({**frame, "stream": True})
                model, digest = await model_of(self._api, self._caller, body)
                self._run, follower = await begin(self._api, self._caller, body, model, body.bot_id, digest)
                self._begin(follower, 0, ping=body.meta_data.ping)
            case "resume":
                wanted = Resume.model_validate(frame)
                follower = await found(self._api, self._caller, wanted.event_id, wanted.after)
                self._run = wanted.event_id
                self._begin(follower, wanted.after, ping=False)
            case "cancel":
                await self._cancel()
            case _:
                raise Refusal(agent.INVALID, "type: expected chat, ping, cancel or resume")

    async def _cancel(self) -> None:
        if not self._run:
            raise Refusal(agent.INVALID, "cancel: no chat is going on here")
        run, app = self._run, self._caller.app
        await self._api.commander.submit(
            CancelRun(run=run, app=app, by=app), stream=run_stream(run), slot=slot_of_id(run), app=app, actor=app
        )

    def _begin(self, follower: Follower, after: int, *, ping: bool) -> None:
        self._streaming = asyncio.create_task(self._stream(follower, after, ping=ping))

    async def _stream(self, follower: Follower, after: int, *, ping: bool) -> None:
        chunks = agent.Chunks()
        try:
            while not follower.ended:
                events = await follower.next(self._api.world.settings.agent_ping_s)
                if not events and ping:
                    await self._send(agent.PONG)
                for event in events:
                    for chunk in chunks.feed(event):
                        if event.position > after:
                            await self._send({**chunk, "event_id": self._run, "position": event.position})
        finally:
            follower.close()

    async def _say_wrong(self, wrong: Exception) -> None:
        body, _ = agent.problem(wrong_of(PATH, wrong), self._api.world.clock.now(), new_id())
        await self._send(body)

    async def _send(self, frame: dict[str, Any]) -> None:
        await self._websocket.send_text(compact(frame).decode())


def _object(message: Message) -> dict[str, Any]:
    text: str | None = message.get("text")
    try:
        frame: Any = None if text is None else read_json(text)
    except ValueError:
        frame = None
    if not isinstance(frame, dict):
        raise Refusal(agent.INVALID, "expected a text frame with a JSON object")
    return frame  # pyright: ignore[reportUnknownVariableType] (any JSON)
