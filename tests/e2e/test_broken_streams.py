"""Streams of three doors at once, broken in the middle while the processor is killed, and taken up again.

What must hold: nothing is missing and nothing is there twice, and each run looks the same through every other door.
"""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from services.api.gate.signing import signature
from services.dev import demo
from tests.e2e import test_first_light as first_light
from tests.support.model_server import ModelServer, model
from tests.support.programs import Programs

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(180)]
environment, programs, client = first_light.environment, first_light.programs, first_light.client
WORDS, TEXT = first_light.WORDS, first_light.TEXT
AGENT, OPENAI = "/agent/v1/chat/completions", "/v1/chat/completions"
ASKED = [{"role": "user", "content": "go"}]
SEEN = 5
_AGO = iter(range(100))


class Lost:
    """A reader of one door: what it read, and the last position it knows."""

    def __init__(self) -> None:
        self.run = ""
        self.last = 0
        self.words: list[str] = []
        self.stopped: dict[str, Any] | None = None

    def take(self, chunk: dict[str, Any]) -> None:
        choice = chunk["choices"][0]
        if choice["finish_reason"]:
            self.stopped = chunk
        elif choice["delta"].get("content"):
            self.words.append(choice["delta"]["content"])

    async def read(self, lines: AsyncIterator[str], until: int | None = None) -> None:
        async for line in lines:
            if line.startswith("id: "):
                self.last = int(line[4:])
            elif line.startswith("data: {"):
                self.take(json.loads(line[6:]))
                if len(self.words) == until:
                    return


async def bot(client: httpx.AsyncClient, server: ModelServer, key: str) -> str:
    plan = {"api": server.base, "domain": model("say", text=TEXT, hold=1, prefill=1, key=key), "sk": "any"}
    body = {"app_id": demo.APP, "bot_id": key, "model_config": {"plan": plan}, "regular_config": {}}
    answer = (await client.post("/agent/v1/bot-config", json=body)).json()
    assert answer["code"] == 0, answer
    return key


def socket(programs: Programs) -> Any:
    ts = str(int(time.time() * 1000) - next(_AGO))
    query = str(httpx.QueryParams({"appid": demo.APP, "ts": ts, "signa": signature(demo.SECRET, demo.APP, ts)}))
    return connect(f"{programs.url.replace('http', 'ws')}/api/rpa-openapi/ws?{query}", proxy=None)


async def begun(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> Lost:
    lost = Lost()
    async with client.stream("POST", path, json=body, headers={"X-Stream-Ids": "1"}) as answer:
        lost.run = answer.headers["x-event-id"]
        await lost.read(answer.aiter_lines(), SEEN)
    return lost


async def test_three_doors_lose_their_streams_and_the_processor_and_nothing_is_missing_or_twice(
    client: httpx.AsyncClient, programs: Programs, model_server: ModelServer
) -> None:
    keys = ["broken-agent", "broken-socket", "broken-openai"]
    for key in keys:
        await bot(client, model_server, key)
        model_server.release(key, SEEN)
    agent = await begun(client, AGENT, {"bot_id": keys[0], "uid": "u", "stream": True, "messages": ASKED})
    openai = await begun(client, OPENAI, {"model": keys[2], "messages": ASKED, "stream": True, "chat_id": "c-1"})
    signed = Lost()
    async with socket(programs) as one:
        await one.send(json.dumps({"type": "chat", "bot_id": keys[1], "messages": ASKED}))
        while len(signed.words) < SEEN:
            chunk = json.loads(await one.recv())
            signed.take(chunk)
            signed.run, signed.last = chunk["event_id"], chunk["position"]

    programs.kill("processor")
    for key in keys:
        model_server.wait_aborted(key)
    programs.start("processor")
    for key in keys:
        model_server.release(key, len(WORDS))

    async with client.stream("GET", AGENT, params={"event_id": agent.run}, headers={"Last-Event-ID": str(agent.last)}) as answer:
        await agent.read(answer.aiter_lines())
    path = f"/v1/runs/{openai.run}/events"
    async with client.stream("GET", path, params={"frames": "openai"}, headers={"Last-Event-ID": str(openai.last)}) as answer:
        await openai.read(answer.aiter_lines())
    async with socket(programs) as one:
        await one.send(json.dumps({"type": "resume", "event_id": signed.run, "after": signed.last}))
        async for text in one:
            signed.take(json.loads(text))
    assert one.close_code == 1000

    for reader in (agent, signed, openai):
        assert "".join(reader.words) == TEXT
        assert reader.stopped is not None
        assert reader.stopped.get("code", 0) == 0
        await assert_every_view_shows_it(client, reader.run)
    messages = (await client.get("/v1/chats/c-1/messages", params={"limit": 100})).json()
    assert ("assistant", TEXT) in [(message["role"], message["content"]) for message in messages["messages"]]
    audit = (await client.get("/v1/audit/events", params={"type": "run.completed"})).json()["events"]
    assert {agent.run, signed.run, openai.run} <= {event["run"] for event in audit}


async def assert_every_view_shows_it(client: httpx.AsyncClient, run: str) -> None:
    await first_light.assert_every_door_shows(client, run, TEXT)
    text = (await client.get(f"/v1/runs/{run}/text")).json()
    assert (text["content"], text["ended"]) == (TEXT, True)
    wait = {"min_position": text["position"]}
    assert (await client.get(f"/v1/runs/{run}", params=wait)).json()["status"] == "completed"
