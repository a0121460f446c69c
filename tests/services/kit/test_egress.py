"""Going out: only to addresses that may be called, whichever way leads there, and never without a bound."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.kit.outside.egress import Egress, EgressRefused
from services.kit.outside.outward import CallFailed, Outward, Sending
from services.kit.settings import LOOPBACK, Settings
from tests.support.fixtures.tool_server import tools
from tests.support.tool_server import Sse, ToolServer

__all__ = ["tools"]


def sending(url: str, **changes: Any) -> Sending:
    return Sending(**{"what": "the tool", "method": "GET", "url": url, "seconds": 5, **changes})


@pytest.fixture
async def outward() -> AsyncIterator[Outward]:
    made = Outward(Settings(egress_networks=LOOPBACK, egress_max_mb=1))
    yield made
    await made.aclose()


@pytest.fixture
async def guarded() -> AsyncIterator[Outward]:
    made = Outward(Settings(egress_max_mb=1))
    yield made
    await made.aclose()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.9", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
     "::1", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::"],
)  # fmt: skip
async def test_addresses_that_are_not_public_are_refused(host: str):
    with pytest.raises(EgressRefused, match="egress_networks"):
        await Egress().addresses(host, 80)


async def test_public_addresses_and_named_networks_may_be_called():
    assert await Egress().addresses("8.8.8.8", 443) == ["8.8.8.8"]
    assert await Egress(["10.0.0.0/8"]).addresses("10.1.2.3", 80) == ["10.1.2.3"]


async def test_an_answer_comes_back_whole(outward: Outward, tools: ToolServer):
    asked = sending(f"{tools.url}/echo/a?x=1", method="POST", query=(("y", "2 3"),), headers={"X-A": "b"}, json={"n": 1})
    told = await outward.ask(asked)
    assert isinstance(told, dict)
    assert (told["method"], told["query"], told["body"]) == ("POST", [["x", "1"], ["y", "2 3"]], '{"n": 1}')
    assert tools.asked[0].headers["content-type"] == "application/json"


async def test_the_guard_stands_in_every_way(guarded: Outward, tools: ToolServer):
    for url in (f"{tools.url}/echo", f"http://localhost:{tools.port}/echo", f"http://[::ffff:127.0.0.1]:{tools.port}/echo"):
        with pytest.raises(CallFailed, match="egress_networks") as failed:
            await guarded.call(sending(url))
        assert failed.value.kind == "refused"
    assert tools.asked == []


async def test_an_operators_address_is_trusted(guarded: Outward, tools: ToolServer):
    assert (await guarded.call(sending(f"{tools.url}/echo", trusted=True))).status == 200


async def test_a_name_that_changes_its_address_is_checked_at_each_connection(tools: ToolServer, monkeypatch: pytest.MonkeyPatch):
    outward = Outward(Settings(egress_networks=("127.0.0.1/32",)))
    answers = ["127.0.0.1", "127.0.0.2"]
    loop = asyncio.get_running_loop()
    asked: list[str] = []

    async def resolve(host: str, port: int, **_: Any) -> Any:
        asked.append(host)
        return [(2, 1, 6, "", (answers[min(len(asked), 2) - 1] if host == "moving.example" else host, port))]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    url = f"http://moving.example:{tools.port}/echo"
    try:
        assert (await outward.call(sending(url, headers={"Connection": "close"}))).status == 200
        with pytest.raises(CallFailed, match="egress_networks"):
            await outward.call(sending(url))
    finally:
        await outward.aclose()
    assert len(tools.asked) == 1
    assert tools.asked[0].headers["host"] == f"moving.example:{tools.port}"


async def test_redirections_stay_with_their_host(outward: Outward, tools: ToolServer):
    inside = await outward.call(sending(f"{tools.url}/redirect?to=/echo/there"))
    assert (inside.status, tools.paths()) == (200, ["/redirect", "/echo/there"])
    for to in (f"http://localhost:{tools.port}/echo", "http://127.0.0.1:9/", "//169.254.169.254/"):
        with pytest.raises(CallFailed, match="redirects to another host"):
            await outward.call(sending(f"{tools.url}/redirect", query=(("to", to),)))


async def test_redirections_end(outward: Outward, tools: ToolServer):
    with pytest.raises(CallFailed, match="redirects too often"):
        await outward.call(sending(f"{tools.url}/round"))
    assert len(tools.asked) == 6


async def test_answers_are_bounded_in_bytes_and_in_time(outward: Outward, tools: ToolServer):
    assert len((await outward.call(sending(f"{tools.url}/big?bytes=1048576"))).body) == 1_048_576
    with pytest.raises(CallFailed, match="larger than 1048576 bytes"):
        await outward.call(sending(f"{tools.url}/big?bytes=1048577"))
    with pytest.raises(CallFailed, match=r"did not answer within 0\.05 s") as failed:
        await outward.call(sending(f"{tools.url}/silent", seconds=0.05))
    assert (failed.value.kind, failed.value.temporary) == ("timeout", True)
    with pytest.raises(CallFailed, match="compressed"):
        await outward.call(sending(f"{tools.url}/zipped"))


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://host/x", "http://", "http://[::1", "file:///etc/passwd", "http://ho st/"])
async def test_what_is_no_address_is_said(outward: Outward, url: str):
    with pytest.raises(CallFailed) as failed:
        await outward.call(sending(url))
    assert failed.value.kind in {"url", "connection", "request"}


async def test_failures_are_sentences_without_the_address(outward: Outward, tools: ToolServer):
    with pytest.raises(CallFailed, match="the tool answered 503") as failed:
        await outward.ask(sending(f"{tools.url}/status/503?key=secret"))
    assert failed.value.temporary
    with pytest.raises(CallFailed, match="the tool answered 404") as failed:
        await outward.ask(sending(f"{tools.url}/status/404"))
    assert not failed.value.temporary
    with pytest.raises(CallFailed, match="no JSON"):
        await outward.ask(sending(f"{tools.url}/big?bytes=3"))
    with pytest.raises(CallFailed, match="cannot be reached"):
        await outward.ask(sending("http://127.0.0.1:1/"))


async def test_events_come_one_by_one(outward: Outward, tools: ToolServer):
    tools.answers["/stream"] = Sse(["one", '{"line": "\u2028"}'])
    assert [one async for one in outward.events(sending(f"{tools.url}/stream"))] == ["one", '{"line": "\u2028"}']
    with pytest.raises(CallFailed, match="answered 500"):
        _ = [one async for one in outward.events(sending(f"{tools.url}/status/500"))]
