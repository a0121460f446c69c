"""Three hundred streams over all doors at once on one api process, with readers that are slow, gone, or half there.

What must hold: everybody who reads gets the whole text, nobody is disturbed by the others, and nothing is left behind.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tenacity import AsyncRetrying, retry_if_result, stop_after_delay, wait_fixed

from services.dev import demo
from tests.e2e.test_first_light import deploy
from tests.support.fixtures.doors import MODEL, teapot
from tests.support.model_server import ModelServer, model
from tests.support.programs import Programs

pytestmark = pytest.mark.timeout(240)
HEADERS = {"Authorization": f"Bearer {demo.KEY}:{demo.SECRET}"}
WORDS = [f"w{index} " for index in range(20)]
TEXT = "".join(WORDS)
EACH = 60
KEY = "fan-out"
NAME = model("say", text=TEXT, hold=1, key=KEY)
Read = Callable[[str], str]


@pytest.fixture
def programs(model_server: ModelServer, tmp_path: Path) -> Iterator[Programs]:
    teapot(tmp_path / "repositories")
    environment = {"OPENAI_BASE_URL": model_server.base, "OPENAI_API_KEY": "any", "OPENAI_MODEL": MODEL}
    with Programs(environment, tmp_path) as programs:
        options = ("--data", str(tmp_path / "data"), "--wiki-root", str(tmp_path / "repositories"))
        programs.start("dev", options=options)
        programs.wait_ready()
        yield programs


@pytest.fixture
async def client(programs: Programs) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=1_000)
    async with httpx.AsyncClient(base_url=programs.url, headers=HEADERS, timeout=120, limits=limits, trust_env=False) as client:
        await patiently(lambda: known(client))
        yield client


async def known(client: httpx.AsyncClient) -> bool:
    return (await client.get("/v1/runs")).status_code == httpx.codes.OK


async def patiently(true: Callable[[], Any]) -> None:
    async def asked() -> bool:
        return bool(await true())

    await AsyncRetrying(retry=retry_if_result(lambda said: not said), stop=stop_after_delay(60), wait=wait_fixed(0.05))(asked)


def blocks(line: str) -> str:
    """The text of one line of any door that speaks SSE."""
    if not line.startswith("data: {"):
        return ""
    block = json.loads(line[6:])
    if "choices" not in block:
        return "" if block.get("done") else block.get("content") or ""
    return "".join(choice["delta"].get("content") or "" for choice in block["choices"])


async def read(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> str:
    async with client.stream("POST", path, json=body) as answer:
        assert answer.status_code == httpx.codes.OK, path
        if path == "/chat/completions/stream":
            return "".join([text async for text in answer.aiter_text()])
        return "".join([blocks(line) async for line in answer.aiter_lines()])


async def leave(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    """Asks, and goes away before a word came."""
    async with client.stream("POST", path, json=body) as answer:
        assert answer.status_code == httpx.codes.OK


async def hang(programs: Programs, path: str, body: dict[str, Any]) -> asyncio.StreamWriter:
    """Asks, and never reads: a socket that is half there."""
    _, writer = await asyncio.open_connection("127.0.0.1", programs.port, limit=1)
    payload = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nAuthorization: {HEADERS['Authorization']}\r\nContent-Type: application/json\r\n"
    writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(payload) + payload)
    await writer.drain()
    return writer


async def bot(client: httpx.AsyncClient, server: ModelServer) -> str:
    plan = {"api": server.base, "domain": NAME, "sk": "any"}
    body = {"app_id": demo.APP, "bot_id": "fan-out", "model_config": {"plan": plan}, "regular_config": {}}
    answer = (await client.post("/agent/v1/bot-config", json=body)).json()
    assert answer["code"] == 0, answer
    return "fan-out"


async def open_streams(client: httpx.AsyncClient) -> float:
    lines = (await client.get("/metrics")).text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("prozess_open_streams{"))


async def test_three_hundred_streams_over_all_doors_are_whole_and_leave_nothing_behind(
    client: httpx.AsyncClient, programs: Programs, model_server: ModelServer
) -> None:
    flow = await deploy(client, model_server, NAME)
    asked = [{"role": "user", "content": "go"}]
    doors: list[tuple[str, dict[str, Any]]] = [
        ("/workflow/v1/chat/completions", {"flow_id": flow, "parameters": {"AGENT_USER_INPUT": "go"}}),
        ("/agent/v1/chat/completions", {"bot_id": await bot(client, model_server), "stream": True, "messages": asked}),
        ("/v1/chat/completions", {"model": NAME, "stream": True, "messages": asked}),
        ("/api/v1/chat/stream", {"message": NAME, "model_type": "cloud_large"}),
        ("/chat/completions/stream", {"repo_url": "teapot", "messages": asked, "provider": "openai", "model": NAME}),
    ]
    readers = [asyncio.create_task(read(client, path, body), name=path) for path, body in doors for _ in range(EACH)]
    half_there = [await hang(programs, path, body) for path, body in doors[:4]]
    try:
        await gathered(client, model_server, doors, readers)
    finally:
        for writer in half_there:
            writer.transport.abort()


async def gathered(
    client: httpx.AsyncClient, model_server: ModelServer, doors: list[tuple[str, dict[str, Any]]], readers: list[asyncio.Task[str]]
) -> None:
    await asyncio.gather(*(leave(client, path, body) for path, body in doors[:4]))
    everybody = len(readers) + 2 * len(doors[:4])

    async def all_have_asked() -> bool:
        return len(model_server.calls(KEY)) >= everybody

    await patiently(all_have_asked)

    model_server.release(KEY, everybody * (len(WORDS) + 1))
    told = await asyncio.gather(*readers)
    assert {task.get_name() for task, text in zip(readers, told, strict=True) if text != TEXT} == set()

    async def nobody_is_left() -> bool:
        return await open_streams(client) == 0

    await patiently(nobody_is_left)
    again = await client.post("/v1/chat/completions", json={**doors[2][1], "model": model("say", text="still here"), "stream": False})
    assert again.json()["choices"][0]["message"]["content"] == "still here"
