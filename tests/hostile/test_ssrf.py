"""Addresses of ours in other clothes, at every place that calls out to an address which somebody else gave: none is called.

Files of runs go the same way as tools (`tests/services/api/test_file_variables.py`), models' addresses too (their own tests).
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.kit.outside.egress import Egress, EgressRefused
from services.kit.outside.outward import CallFailed, Outward, Sending
from services.kit.retrieval.git import Git, Remote
from services.kit.retrieval.port import RetrievalFailed
from services.kit.settings import Settings
from tests.support.fixtures.tool_server import tools
from tests.support.tool_server import ToolServer

__all__ = ["tools"]
CLOTHES = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "0", "0.0.0.0",
    "127.255.255.254", "localhost", "LOCALHOST", "localhost.", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[fe80::1]", "[fe80::1%25lo]",
    "[fc00::1]", "[fec0::1]", "[ff02::1]", "169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "192.0.0.192", "10.0.0.1",
    "172.31.255.255", "192.168.1.1", "198.18.0.1", "224.0.0.1", "255.255.255.255",
]  # fmt: skip
TWO_WAYS = ["8.8.8.8\\@127.0.0.1", "8.8.8.8 @127.0.0.1", "127.0.0.1%23@8.8.8.8%5c", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "%31%32%37.0.0.1"]


@pytest.fixture
async def outward() -> AsyncIterator[Outward]:
    made = Outward(Settings(egress_max_mb=1))
    yield made
    await made.aclose()


@pytest.mark.parametrize("host", [*CLOTHES, *TWO_WAYS])
async def test_no_tool_is_called_there(outward: Outward, tools: ToolServer, monkeypatch: pytest.MonkeyPatch, host: str):
    refuse_the_world(monkeypatch)
    with pytest.raises(CallFailed):
        await outward.call(Sending(what="the tool", method="GET", url=f"http://{host}:{tools.port}/echo", seconds=5))
    assert tools.asked == []


@pytest.mark.parametrize("host", [*CLOTHES, *TWO_WAYS, "127.0.0.1\\@8.8.8.8"])
async def test_no_repository_is_cloned_from_there(tools: ToolServer, monkeypatch: pytest.MonkeyPatch, host: str):
    refuse_the_world(monkeypatch)
    with pytest.raises(RetrievalFailed, match="repo_url"):
        await Git((), 5, 1024).newest(Remote(f"http://{host}:{tools.port}/a/b"))
    assert tools.asked == []


@pytest.mark.parametrize("host", CLOTHES)
async def test_no_database_is_opened_there(host: str):
    with pytest.raises((EgressRefused, OSError)):
        await Egress().addresses(host.strip("[]").replace("%25", "%"), 5432)


async def test_a_name_with_one_address_of_ours_among_others_is_refused(monkeypatch: pytest.MonkeyPatch):
    async def resolve(host: str, port: int, **_: Any) -> Any:
        return [(socket.AF_INET, 1, 6, "", (address, port)) for address in ("8.8.8.8", "127.0.0.1", host)[:2]]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(EgressRefused):
        await Egress().addresses("two.example", 80)
    with pytest.raises(RetrievalFailed, match="wiki_networks"):
        await Git((), 5, 1024).newest(Remote("http://two.example/a/b"))


LEADS = ("http://127.0.0.2:{port}/echo", "http://localhost:{port}/echo", "//[::1]:{port}/echo", "http://127.0.0.1:1/", "file:///etc/passwd")


@pytest.mark.parametrize("to", LEADS)
async def test_a_redirection_leads_nowhere_else(tools: ToolServer, to: str):
    outward = Outward(Settings(egress_networks=("127.0.0.1/32",)))
    query = (("to", to.format(port=tools.port)),)
    try:
        with pytest.raises(CallFailed):
            await outward.call(Sending(what="the tool", method="GET", url=f"{tools.url}/redirect", query=query, seconds=5))
    finally:
        await outward.aclose()
    assert tools.paths() == ["/redirect"]


def refuse_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that are no addresses and not this machine's are known to nobody here."""
    real = asyncio.get_running_loop().getaddrinfo

    async def resolve(host: str, port: int, **more: Any) -> Any:
        if host.isascii() and (not any(sign.isalpha() for sign in host.replace("x", "")) or ":" in host or "localhost" in host.lower()):
            return await real(host, port, **more)
        raise OSError("nobody knows")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
