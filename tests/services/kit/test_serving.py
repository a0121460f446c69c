"""A taken port is a sentence; a stop lets open answers end."""

import asyncio
import socket

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.kit.errors import Refused
from services.kit.program.serving import listen, serve


def test_a_taken_port_is_refused_with_what_to_do():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(Refused, match=f"^port {port} on 127.0.0.1 is in use; give another with --port"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "not an address"])
def test_a_foreign_address_is_refused(host: str):
    with pytest.raises(Refused, match="is not an address of this machine"):
        listen(host, 0)


def test_port_0_takes_a_free_one():
    with listen("127.0.0.1", 0) as bound:
        assert bound.getsockname()[1] > 0


async def test_an_answer_under_way_ends_after_the_stop():
    asked, go_on, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(_request: Request) -> Response:
        asked.set()
        await go_on.wait()
        return PlainTextResponse("whole")

    bound = listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{bound.getsockname()[1]}"
    serving = asyncio.create_task(serve(Starlette(routes=[Route("/", slow)]), bound, stop))
    async with httpx.AsyncClient(trust_env=False) as client:
        asking = asyncio.create_task(client.get(address))
        await asked.wait()
        stop.set()
        go_on.set()
        assert (await asking).text == "whole"
    await serving
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1]))):
        pass
