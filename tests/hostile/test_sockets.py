"""WebSockets that break their protocol: closed with the code that says so, at once, and nobody else notices."""

import asyncio
import base64
import os
import struct

import pytest

from tests.services.api.conftest import BODY_LIMIT, House

TEXT, BINARY, CLOSE, PING, CONTINUE = 1, 2, 8, 9, 0
WIKI, AGENT = "/ws/chat", "/api/rpa-openapi/ws"


def frame(
    opcode: int, content: bytes = b"", *, final: bool = True, masked: bool = True, reserved: int = 0, length: int | None = None
) -> bytes:
    said = len(content) if length is None else length
    head = bytes([opcode | reserved << 4 | (0x80 if final else 0)])
    mask = 0x80 if masked else 0
    if said < 126:
        head += bytes([mask | said])
    elif said < 1 << 16:
        head += bytes([mask | 126]) + struct.pack("!H", said)
    else:
        head += bytes([mask | 127]) + struct.pack("!Q", said)
    return head + (bytes(4) if masked else b"") + content


async def closing(house: House, path: str, *frames: bytes) -> int | None:
    """The code with which the service closes; None where it only hangs up."""
    url = house.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\nAuthorization: Bearer demo-key:demo-secret\r\n\r\n".encode()
    )
    async with asyncio.timeout(5):
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        try:
            for one in frames:
                writer.write(one)
            await writer.drain()
            while True:
                first, second = await reader.readexactly(2)
                size = second & 0x7F
                content = await reader.readexactly(size if size < 126 else struct.unpack("!H", await reader.readexactly(2))[0])
                if first & 0x0F == CLOSE:
                    return struct.unpack("!H", content[:2])[0]
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        finally:
            writer.close()


BROKEN = {
    "not masked": (frame(TEXT, b"{}", masked=False), 1002),
    "an opcode that there is not": (frame(3, b"{}"), 1002),
    "a reserved bit": (frame(TEXT, b"{}", reserved=2), 1002),
    "a continuation of nothing": (frame(CONTINUE, b"{}"), 1002),
    "a ping in pieces": (frame(PING, b"x", final=False), 1002),
    "a ping that is too long": (frame(PING, b"x" * 126), 1002),
    "text that is no UTF-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "a close without a code": (frame(CLOSE, b"\x00"), 1002),
    "a close with a code that there is not": (frame(CLOSE, struct.pack("!H", 999)), 1002),
    "a length over the bound": (frame(TEXT, length=BODY_LIMIT + 1), 1009),
    "a length over everything": (frame(TEXT, length=(1 << 63) - 1), 1009),
    "too much in pieces": (frame(TEXT, b"x" * BODY_LIMIT, final=False) + frame(CONTINUE, b"x"), 1009),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_frame_closes_its_socket_and_says_why(house: House, kind: str):
    broken, code = BROKEN[kind]
    assert await closing(house, WIKI, broken) in {code, None}
    assert (await house.http.get("/health/live")).status_code == 200


@pytest.mark.parametrize("content", [b"", b"[" * 10_000, b"null", b"{}", b'{"messages": 7}', b'{"repo_url": "\\ud83d"}', b"9" * 10_000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_message_that_is_not_understood_is_said_and_ends_the_socket_well(house: House, content: bytes, opcode: int):
    assert await closing(house, WIKI, frame(opcode, content)) == 1000


async def test_a_socket_without_a_signature_is_closed_whatever_it_sends(house: House):
    assert await closing(house, AGENT, frame(TEXT, b"{}")) == 4401
    assert await closing(house, f"{AGENT}?appid=demo&ts=1&signa=" + "a" * 5_000, frame(TEXT, b"{}")) == 4401
    assert await closing(house, f"{AGENT}?appid=%00%27&ts=%ff&signa=%0d%0a", frame(TEXT, b"{}")) == 4401
