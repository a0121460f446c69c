"""Two apis of one service, on the real broker and database: what one has answered holds at the other with the very next request.

Every request goes to the other api than the one before, and nothing waits in between. What is published, bound, taken off, rotated
or disabled is so everywhere when the answer is there.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from infra.bench.fleet import Fleet
from services.api.gate.signing import WINDOW_MS, signature
from services.dev import demo
from tests.support import postgres
from tests.support.asking import direct
from tests.support.fleets import HEADERS, on_kafka
from tests.support.flows import at, end, flow, start

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]
ROUNDS = 5
W = "/workflow/v1"


@pytest.fixture(scope="module")
def fleet(kafka: str, postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder: Path = tmp_path_factory.mktemp("two-apis")
    names = ("projector-1", "processor-1", "api-1", "api-2")
    with postgres.database(postgres_server) as database, on_kafka(names, kafka, database, folder, partitions=4) as fleet:
        yield fleet


class Turns:
    """A caller whose every request goes to the other api."""

    def __init__(self, fleet: Fleet, http: httpx.AsyncClient) -> None:
        self.http = http
        self.urls = cycle(fleet.urls)

    async def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
        return await self.http.request(method, next(self.urls) + path, json=body, headers=headers or HEADERS)

    async def good(self, method: str, path: str, body: Any = None) -> Any:
        answer = (await self.ask(method, path, body)).json()
        assert answer["code"] == 0, answer
        return answer.get("data")

    async def add(self, document: dict[str, Any]) -> str:
        added = await self.good("POST", f"{W}/protocol/add", {"name": "two", "app_id": demo.APP, "status": 0, "data": document})
        return str(added["flow_id"])

    async def save(self, flow_id: str, document: dict[str, Any]) -> None:
        await self.good("POST", f"{W}/protocol/update/{flow_id}", {"data": document})

    async def publish(self, flow_id: str, version: str = "") -> None:
        await self.good("POST", f"{W}/publish", {"flow_id": flow_id, "release_status": 1, "plat": 1, "version": version})

    async def take_off(self, flow_id: str) -> None:
        await self.good("POST", f"{W}/publish", {"flow_id": flow_id, "release_status": 3, "plat": 1})

    async def bind(self, flow_id: str, app: str = demo.APP, method: str = "POST") -> None:
        await self.good(method, f"{W}/auth", {"flow_id": flow_id, "app_id": app})

    async def call(self, flow_id: str, version: str = "", headers: dict[str, str] | None = None) -> dict[str, Any]:
        """The one frame of an answer that is not streamed."""
        body = {"flow_id": flow_id, "uid": "u", "parameters": {"AGENT_USER_INPUT": "Lin"}, "stream": False, "version": version}
        return (await self.ask("POST", f"{W}/chat/completions", body, headers)).json()


def saying(text: str) -> dict[str, Any]:
    return flow(start(AGENT_USER_INPUT="string"), end(text, x=at("start.AGENT_USER_INPUT")), edges="start > end")


def said(frame: dict[str, Any]) -> str:
    assert frame["code"] == 0, frame
    return str(frame["choices"][0]["delta"]["content"])


@pytest.fixture
async def turns(fleet: Fleet) -> Any:
    await asyncio.to_thread(fleet.wait_ready)
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        yield Turns(fleet, http)


async def test_publish_bind_call_take_off_call_publish_anew_with_a_question_pending_and_call_a_pinned_version(turns: Turns) -> None:
    flow_id = await turns.add(saying("one"))
    await turns.publish(flow_id, "v1")
    assert (await turns.call(flow_id))["code"] == 20004
    await turns.bind(flow_id)
    assert said(await turns.call(flow_id)) == "one"
    await turns.take_off(flow_id)
    assert [(await turns.call(flow_id))["code"] for _ in range(2)] == [20204, 20204]
    await turns.save(flow_id, direct(timeout=60))
    assert (await turns.call(flow_id))["code"] == 20204
    await turns.publish(flow_id, "v2")
    asked = await turns.call(flow_id)
    assert asked["choices"][0]["finish_reason"] == "interrupt"
    await turns.save(flow_id, saying("three"))
    await turns.publish(flow_id, "v3")
    assert [said(await turns.call(flow_id)) for _ in range(2)] == ["three", "three"]
    assert [said(await turns.call(flow_id, "v1")) for _ in range(2)] == ["one", "one"]
    await turns.take_off(flow_id)
    assert (await turns.call(flow_id, "v1"))["code"] == 20204
    answered = await turns.ask("POST", f"{W}/resume", {"event_id": asked["event_data"]["event_id"], "content": "Bo"})
    assert said(answered.json()) == "Hi Bo", "the question belongs to the version that asked it"


async def test_what_is_taken_off_or_unbound_at_one_is_so_with_the_next_request_at_the_other(turns: Turns) -> None:
    flow_id = await turns.add(saying("0"))
    await turns.publish(flow_id)
    await turns.bind(flow_id)
    for number in range(1, ROUNDS + 1):
        await turns.save(flow_id, saying(str(number)))
        await turns.publish(flow_id)
        assert said(await turns.call(flow_id)) == str(number)
        await turns.take_off(flow_id)
        assert (await turns.call(flow_id))["code"] == 20204
        await turns.publish(flow_id)
        await turns.bind(flow_id, method="DELETE")
        assert (await turns.call(flow_id))["code"] == 20005
        await turns.bind(flow_id)
        assert said(await turns.call(flow_id)) == str(number)


async def test_keys_and_apps_open_and_close_everywhere_at_once(turns: Turns) -> None:
    flow_id = await turns.add(saying("yes"))
    await turns.publish(flow_id)
    guest = (await turns.ask("POST", "/v1/apps", {"app": "guest"})).json()
    await turns.bind(flow_id, "guest")

    def pair(told: dict[str, str]) -> dict[str, str]:
        return {"Authorization": f"Bearer {told['key']}:{told['secret']}"}

    for _ in range(ROUNDS):
        made = (await turns.ask("POST", "/v1/apps/guest/keys", {"scopes": ["run"]})).json()
        assert said(await turns.call(flow_id, headers=pair(made))) == "yes"
        rotated = (await turns.ask("POST", f"/v1/apps/guest/keys/{made['key']}/rotate")).json()
        assert (await turns.call(flow_id, headers=pair(made)))["code"] == 20000
        assert said(await turns.call(flow_id, headers=pair(rotated))) == "yes"
        assert (await turns.ask("DELETE", f"/v1/apps/guest/keys/{made['key']}")).status_code == 200
        assert (await turns.call(flow_id, headers=pair(rotated)))["code"] == 20000
        assert (await turns.ask("PATCH", "/v1/apps/guest", {"enabled": False})).status_code == 200
        assert (await turns.call(flow_id, headers=pair(guest)))["code"] == 20000
        assert (await turns.ask("PATCH", "/v1/apps/guest", {"enabled": True})).status_code == 200
        assert said(await turns.call(flow_id, headers=pair(guest))) == "yes"


async def opens(url: str, ts: str) -> bool:
    """Whether the demo app's signature of this time opens a socket."""
    query = httpx.QueryParams({"appid": demo.APP, "ts": ts, "signa": signature(demo.SECRET, demo.APP, ts)})
    async with connect(f"{url.replace('http', 'ws')}/api/rpa-openapi/ws?{query}", proxy=None) as socket:
        try:
            await socket.send('{"type":"ping"}')
            return json.loads(await socket.recv()) == {"type": "pong"}
        except ConnectionClosed:
            assert socket.close_code == 4401
            return False


async def test_a_signature_opens_one_socket_of_all_apis_and_none_of_one_that_was_started_again(turns: Turns, fleet: Fleet) -> None:
    now = int(time.time() * 1000)
    assert not await opens(fleet.url("api-1"), str(now - WINDOW_MS - 1000)), "expired"
    assert [await opens(url, str(now)) for url in fleet.urls] == [True, False]
    raced = await asyncio.gather(*(opens(url, str(now - 1)) for url in fleet.urls * 3))
    assert sum(raced) == 1
    await asyncio.to_thread(fleet.stop, "api-2")
    fleet.start("api-2")
    await asyncio.to_thread(fleet.wait_ready, "api-2")
    assert not await opens(fleet.url("api-2"), str(now))
    assert (await turns.ask("GET", "/v1/runs")).status_code == 200
