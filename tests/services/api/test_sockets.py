"""The WebSocket of document 001: signed in, one chat, picked up again, closed with a code that says why."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from services.api.gate.signing import signature
from tests.services.api.bots import asked, content, made
from tests.services.api.conftest import BODY_LIMIT, House, serving
from tests.support.model_server import ModelServer

_AGO = iter(range(10_000))


def url(house: House, app: str = "demo", secret: str = "demo-secret", ts: str = "", escaped: bool = True) -> str:
    """The address with a signature that nobody has used."""
    ts = ts or str(int(time.time() * 1000) - next(_AGO))
    signa = signature(secret, app, ts)
    base = str(house.http.base_url).replace("http", "ws").rstrip("/")
    return f"{base}/api/rpa-openapi/ws?appid={app}&ts={ts}&signa={quote(signa, safe='') if escaped else signa}"


@asynccontextmanager
async def opened(house: House, **more: Any) -> AsyncIterator[ClientConnection]:
    async with connect(url(house, **more), max_size=None, proxy=None) as socket:
        yield socket


async def send(socket: ClientConnection, **frame: Any) -> None:
    await socket.send(json.dumps(frame))


async def read(socket: ClientConnection) -> dict[str, Any]:
    return json.loads(await asyncio.wait_for(socket.recv(), 10))


async def rest(socket: ClientConnection) -> list[dict[str, Any]]:
    """Everything until the socket is closed."""
    return [json.loads(text) async for text in socket]


async def closed(socket: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(socket.recv(), 10)
    return socket.close_code or 0


async def test_a_chat_gets_the_chunks_of_the_stream_and_is_closed_with_1000(house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="one two")
    async with opened(house) as socket:
        await send(socket, type="chat", **asked(bot, stream=False))
        found = await rest(socket)
    assert socket.close_code == 1000
    assert content(found) == "one two"
    assert found[-1]["usage"]["completion_tokens"] == 2
    assert len({one["event_id"] for one in found}) == 1
    over_http = await house.http.get(
        f"/v1/runs/{found[0]['event_id']}/events", params={"frames": "agent"}, headers={"Accept": "application/json"}
    )
    assert [{name: value for name, value in one.items() if name not in {"event_id", "position"}} for one in found] == over_http.json()[
        "frames"
    ]


async def test_the_documents_form_works_and_its_signature_need_not_be_escaped(house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="hi")
    plus = next(ts for ts in map(str, range(int(time.time()) - 200, int(time.time()))) if "+" in signature("demo-secret", "demo", ts))
    async with opened(house, ts=plus, escaped=False) as socket:
        await send(socket, type="chat", bot_id=bot, uid="u", parameters={"messages": [{"role": "user", "content": "x"}]})
        found = await rest(socket)
    assert [one["choices"][0]["message"]["content"] for one in found] == ["hi", ""]


async def test_ping_is_answered_before_and_during_a_chat(house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="one", hold=1, key="ws-ping")
    async with opened(house) as socket:
        await send(socket, type="ping")
        assert await read(socket) == {"type": "pong"}
        await send(socket, type="chat", **asked(bot))
        await send(socket, type="ping")
        assert await read(socket) == {"type": "pong"}
        model_server.release("ws-ping")
        assert content(await rest(socket)) == "one"


async def test_signs_of_life_come_only_when_asked_for(house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="one", hold=1, key="ws-alive")
    async with opened(house) as socket:
        await send(socket, type="chat", **asked(bot, meta_data={"ping": True}))
        assert await read(socket) == {"ping": "pong"}
        model_server.release("ws-alive")


async def test_cancel_ends_the_run_and_the_models_call(house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="one two", hold=1, key="ws-cancel")
    model_server.release("ws-cancel")
    async with opened(house) as socket:
        await send(socket, type="chat", **asked(bot))
        first = await read(socket)
        await send(socket, type="cancel")
        found = await rest(socket)
    assert (content([first, *found]), found[-1]["code"], socket.close_code) == ("one ", 40500, 1000)
    await asyncio.to_thread(model_server.wait_aborted, "ws-cancel")
    run = (await house.http.get(f"/v1/runs/{first['event_id']}", params={"min_position": found[-1]["position"]})).json()
    assert run["status"] == "cancelled"


async def test_a_lost_socket_goes_on_after_its_last_position_with_nothing_twice(house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="one two three", hold=1, key="ws-lost")
    model_server.release("ws-lost", 2)
    async with opened(house) as socket:
        await send(socket, type="chat", **asked(bot))
        found = [await read(socket), await read(socket)]
    model_server.release("ws-lost", 1)
    async with opened(house) as socket:
        await send(socket, type="resume", event_id=found[0]["event_id"], after=found[-1]["position"])
        found += await rest(socket)
    assert (content(found), socket.close_code) == ("one two three", 1000)


NOT_UNDERSTOOD = (
    "",
    "no json",
    "[1]",
    '"chat"',
    "{}",
    '{"a":NaN}',
    "[" * 5000,
    '{"type":"dance"}',
    '{"type":"chat"}',
    '{"type":"chat","bot_id":"b","messages":[]}',
    '{"type":"cancel"}',
    '{"type":"resume"}',
    '{"type":"resume","event_id":"7529724272403132416"}',
    '{"type":"resume","event_id":"x","after":-1}',
)


@pytest.mark.parametrize("text", NOT_UNDERSTOOD)
async def test_what_was_not_understood_is_said_and_the_socket_stays_open(house: House, text: str):
    async with opened(house) as socket:
        await socket.send(text)
        said = await read(socket)
        assert (said["code"], said["choices"]) == (40002, [])
        await send(socket, type="ping")
        assert await read(socket) == {"type": "pong"}


async def test_bytes_are_not_understood_either(house: House):
    async with opened(house) as socket:
        await socket.send(b"\xff\x00")
        assert (await read(socket))["code"] == 40002


async def test_a_second_chat_at_once_is_refused_and_the_first_goes_on(house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="one", hold=1, key="ws-second")
    async with opened(house) as socket:
        await send(socket, type="chat", **asked(bot))
        await send(socket, type="chat", **asked(bot))
        assert "one chat at a time" in (await read(socket))["message"]
        model_server.release("ws-second")
        assert content(await rest(socket)) == "one"


async def test_a_chat_that_cannot_begin_is_a_stop_chunk_and_1000(house: House):
    async with opened(house) as socket:
        await send(socket, type="chat", **asked("no such bot"))
        (stop,) = await rest(socket)
    assert (stop["code"], stop["choices"][0]["finish_reason"], socket.close_code) == (40001, "stop", 1000)


@pytest.mark.parametrize("more", [{"secret": "no"}, {"app": "nobody"}, {"app": ""}, {"ts": "1000000000"}, {"ts": "soon"}])
async def test_a_signature_that_does_not_fit_is_4401(house: House, more: dict[str, str]):
    async with opened(house, **more) as socket:
        assert await closed(socket) == 4401


async def test_a_signature_opens_one_socket_and_none_is_4401(house: House):
    used = url(house)
    async with connect(used, proxy=None) as socket:
        await send(socket, type="ping")
        await read(socket)
    for address in (used, used.partition("?")[0]):
        async with connect(address, proxy=None) as socket:
            assert await closed(socket) == 4401


async def test_an_open_socket_begins_nothing_once_its_app_is_disabled(house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="never said")
    async with opened(house, app="other", secret="other-secret") as socket:
        await send(socket, type="ping")
        await read(socket)
        assert (await house.http.patch("/v1/apps/other", json={"enabled": False})).status_code == 200
        await send(socket, type="chat", **asked(bot))
        assert await closed(socket) == 4401
    assert (await house.http.patch("/v1/apps/other", json={"enabled": True})).status_code == 200


async def test_a_frame_that_is_too_large_is_1009(house: House):
    async with opened(house) as socket:
        await socket.send("x" * (BODY_LIMIT + 1))
        assert await closed(socket) == 1009


async def test_one_socket_too_many_is_4429_and_room_is_made_when_one_leaves(house: House):
    world = replace(house.world, settings=house.world.settings.model_copy(update={"sockets": 1}))
    async for small in serving(world):
        async with opened(small) as first:
            await send(first, type="ping")
            await read(first)
            async with opened(small) as second:
                assert await closed(second) == 4429
            assert len(small.api.sockets) == 1
        await left(small)
        async with opened(small) as again:
            await send(again, type="ping")
            assert await read(again) == {"type": "pong"}


async def left(house: House) -> None:
    """Until nobody is connected: the service learns of it from its own loop."""
    async with asyncio.timeout(10):
        while house.api.sockets:
            await asyncio.wait_for(house.http.get("/health/live"), 5)


async def test_a_client_that_leaves_stops_nothing_and_leaves_nothing_behind(house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="one two", hold=1, key="ws-leaves")
    model_server.release("ws-leaves")
    async with opened(house) as socket:
        await send(socket, type="chat", **asked(bot))
        run = (await read(socket))["event_id"]
    model_server.release("ws-leaves")
    whole = await house.http.get("/agent/v1/chat/completions", params={"event_id": run})
    assert '"content":"two"' in whole.text
    await left(house)


async def test_nothing_asked_for_a_while_is_1000_and_a_stopping_service_1001(
    house: House, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(house.world.settings.__dict__, "idle_close_s", 0.05)
    async with opened(house) as socket:
        assert await closed(socket) == 1000
    bot = await made(house, model_server, text="one two", hold=1, key="ws-stops")
    model_server.release("ws-stops")
    async for other in serving(house.world):
        async with opened(other) as socket:
            await send(socket, type="chat", **asked(bot))
            await read(socket)
            await other.api.close()
            assert await closed(socket) == 1001
    model_server.release("ws-stops")
