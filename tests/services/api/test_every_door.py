"""All routes of the api, from its own list: nobody without a key comes in, and no key is used for what it is not for."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from events.app import ALL_SCOPES
from services.api.gate.scopes import scope_of
from services.api.gate.surfaces import SPEAK_HTTP, Surface, surface_of
from tests.services.api.conftest import House
from tests.support.routes import SOCKET, Door, doors, kept

KEPT = kept()
NOBODY = {Surface.CHAT: 460, Surface.WORKFLOW: 460, Surface.AGENT: 40002, Surface.BOTS: 40002}
"""What surfaces say to nobody whose errors are codes at 200."""


@pytest.fixture(scope="module")
async def nobody(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=house.http.base_url, timeout=10, trust_env=False) as http:
        yield http


@pytest.fixture(scope="module")
async def keys(house: House) -> dict[str, dict[str, str]]:
    """For each scope a key of the tenant's that is for nothing else."""
    made: dict[str, dict[str, str]] = {}
    for scope in ALL_SCOPES:
        told = (await house.http.post("/v1/apps/demo/keys", json={"scopes": [scope]})).json()
        made[scope] = {"Authorization": f"Bearer {told['token']}"}
    return made


async def knock(http: httpx.AsyncClient, door: Door, headers: dict[str, str] | None = None) -> httpx.Response:
    body: Any = None if door.method == "GET" else {}
    return await http.request(door.method, door.path(), json=body, headers=headers)


def code(answer: httpx.Response) -> int:
    text = answer.text.removeprefix("data: ").partition("\n\n")[0]
    return int(json.loads(text)["code"])


@pytest.mark.parametrize("door", KEPT, ids=str)
async def test_nobody_gets_401_or_the_surfaces_own_refusal(nobody: httpx.AsyncClient, door: Door):
    answer = await knock(nobody, door)
    surface = surface_of(door.path())
    if surface in SPEAK_HTTP:
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    else:
        assert (answer.status_code, code(answer)) == (200, NOBODY[surface])


@pytest.mark.parametrize("door", KEPT, ids=str)
async def test_a_wrong_key_is_a_real_401_everywhere(nobody: httpx.AsyncClient, door: Door):
    answer = await knock(nobody, door, {"Authorization": "Bearer demo-key:wrong-secret"})
    assert answer.status_code == 401
    assert "wrong-secret" not in answer.text


@pytest.mark.parametrize("door", KEPT, ids=str)
async def test_a_key_opens_a_door_that_it_is_for_and_no_other(nobody: httpx.AsyncClient, keys: dict[str, dict[str, str]], door: Door):
    needed = scope_of(door.method, door.template)
    for scope, headers in keys.items():
        answer = await knock(nobody, door, headers)
        assert (f"the key is not for `{needed}`" in answer.text) is (scope != needed), scope
        assert (answer.status_code == 403) is (scope != needed), scope


@pytest.mark.parametrize("path", ["/v1/chats/a%0Ab/messages", "/v1/chats/a%2Fb%0A/pending", "/v1//runs", "/v1/runs%0A", "/V1/RUNS"])
async def test_a_strange_spelling_of_a_path_changes_nothing(nobody: httpx.AsyncClient, keys: dict[str, dict[str, str]], path: str):
    refused = await nobody.get(path, headers=keys["run"])
    assert refused.status_code in {403, 404}


@pytest.mark.parametrize("door", [door for door in doors() if door.method == SOCKET], ids=str)
@pytest.mark.parametrize("query", [{}, {"appid": "demo", "ts": "1", "signa": "x"}])
async def test_a_socket_closes_with_4401_for_nobody(house: House, door: Door, query: dict[str, str]):
    base = str(house.http.base_url).replace("http", "ws").rstrip("/")
    async with connect(f"{base}{door.path()}?{urlencode(query)}", proxy=None) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 4401


async def test_a_key_that_may_not_run_opens_no_socket(house: House, keys: dict[str, dict[str, str]]):
    base = str(house.http.base_url).replace("http", "ws").rstrip("/")
    async with connect(f"{base}/ws/chat", proxy=None, additional_headers=keys["read"]) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 4401
