"""Bytes that are no HTTP as it should be: refused at once with words, or the connection ends; nothing is read twice."""

import asyncio

import pytest

from services.kit.program import bounded_http
from tests.services.api.conftest import House

HOST = b"Host: x\r\n"
KEY = HOST + b"Authorization: Bearer demo-key:demo-secret\r\n"
HIDDEN = b"0\r\n\r\nGET /health/live HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = {
    "a length and chunks": KEY + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n" + HIDDEN,
    "chunks and a length": KEY + CHUNKED + b"Content-Length: 40\r\n\r\n" + HIDDEN,
    "two lengths": KEY + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n{}xx",
    "chunks and something else": KEY + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + HIDDEN,
    "no encoding that there is": KEY + b"Transfer-Encoding: xchunked\r\n\r\n" + HIDDEN,
    "a blank before the colon": KEY + b"Transfer-Encoding : chunked\r\n\r\n" + HIDDEN,
    "a length below nothing": KEY + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": KEY + b"Content-Length: +4\r\n\r\n{}xx",
    "a chunk without a size": KEY + CHUNKED + b"\r\nzz\r\n{}\r\n0\r\n\r\n",
    "chunks with bare line feeds": KEY + CHUNKED + b"\r\n2\n{}\n0\n\n",
    "a folded header": KEY + b"X: a\r\n b\r\n\r\n",
    "a bare carriage return": KEY + b"X: a\rY: b\r\n\r\n",
    "a NUL in a header": KEY + b"X: a\0b\r\n\r\n",
    "two hosts": KEY + b"Host: y\r\n\r\n",
    "no host": b"\r\n",
}


async def said(house: House, *parts: bytes) -> bytes:
    """Everything the service says until it hangs up, which must be soon."""
    url = house.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        for part in parts:
            writer.write(part)
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("kind", SMUGGLED)
async def test_a_request_that_can_be_read_in_two_ways_is_refused_and_nothing_after_it_is_read(house: House, kind: str):
    answer = await said(house, b"POST /v1/apps HTTP/1.1\r\n" + SMUGGLED[kind])
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health/live HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 12_000 + b"\r\n",
        b"GET /health/live?" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /health/live HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 600_000,
    ],
    ids=["one large header", "many headers", "a long path", "a header without an end"],
)
async def test_a_head_over_64_kib_is_431_with_the_bound(house: House, head: bytes):
    answer = await said(house, head)
    assert answer.startswith(b"HTTP/1.1 431 ") or not answer
    assert b"65536 bytes" in answer or not answer


async def test_a_body_may_be_larger_than_a_head_and_come_with_it(house: House):
    body = b'{"flow_id": "1"' + b" " * 200_000 + b"}"
    head = b"POST /v1/apps HTTP/1.1\r\n" + KEY + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert (await said(house, head + body)).startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 422 "))


@pytest.mark.parametrize("begun", [b"", b"GET /health/live HTTP/1.1\r\n" + HOST, b"G"], ids=["nothing", "half a head", "one byte"])
async def test_a_head_that_does_not_come_ends_the_connection(house: House, monkeypatch: pytest.MonkeyPatch, begun: bytes):
    monkeypatch.setattr(bounded_http, "HEAD_S", 0.2)
    assert await said(house, begun) == b""


async def test_half_a_head_after_an_answer_ends_the_connection_too(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounded_http, "HEAD_S", 0.2)
    url = house.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n")
    await reader.readuntil(b'"prozess"}')
    writer.write(b"GET /hea")
    async with asyncio.timeout(3):
        assert await reader.read() == b""
    writer.close()


async def test_no_part_of_a_path_becomes_a_header(house: House):
    answer = await house.http.get("/sparkflow/v1/get_flow_info/%0d%0aSet-Cookie:%20a=b")
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert answer.headers["link"] == '</workflow/v1/get_flow_info/%0D%0ASet-Cookie%3A%20a%3Db>; rel="successor-version"'


async def test_an_upgrade_that_cannot_be_a_websocket_is_an_ordinary_request(house: House):
    head = b"POST /v1/apps HTTP/1.1\r\n" + KEY + b"Connection: Upgrade, close\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n{}"
    assert (await said(house, head)).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    "framing",
    [b"0\r\n" + b"X-Trailer: %s\r\n" % (b"a" * 1_000) * 300, b"0\r\nX-Trailer: " + b"a" * 300_000, b"1;" + b"a" * 300_000],
    ids=["many trailers", "a trailer without an end", "a chunk's size without an end"],
)
async def test_what_comes_around_a_body_has_the_bound_of_a_head(house: House, framing: bytes):
    head = b"POST /v1/apps HTTP/1.1\r\n" + KEY + CHUNKED + b"\r\n2\r\n{}\r\n"
    url = house.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        async with asyncio.timeout(5):
            writer.write(head)
            await writer.drain()
            while framing:
                part, framing = framing[:10_000], framing[10_000:]
                writer.write(part)
                await writer.drain()
            assert b"65536 bytes" in await reader.read()
    except ConnectionError:
        pass
    finally:
        writer.close()
