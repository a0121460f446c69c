"""Who calls: keys, names from trusted hops, and nobody."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from services.kit.secrets import passwords
from tests.services.api.conftest import House, W, bearer, serving

CHAT, GET = f"{W}/chat/completions", f"{W}/protocol/get"
NAME = "x-consumer-username"
BODY = {"flow_id": "1234567", "parameters": {}}


async def ask(http: httpx.AsyncClient, headers: dict[str, str], path: str = CHAT) -> httpx.Response:
    http.headers.pop("authorization", None)
    return await http.post(path, json=BODY, headers=headers)


@pytest.fixture
async def wary(house: House) -> AsyncIterator[House]:
    """The same house for a caller whose address nobody trusts."""
    world = replace(house.world, settings=house.world.settings.model_copy(update={"trusted_proxies": ()}))
    async for one in serving(world):
        yield one


@pytest.mark.parametrize("path", [CHAT, f"{W}/debug/chat/completions", f"{W}/resume", f"{W}/debug/resume"])
async def test_nobody_is_460_in_shape_e2_on_chats(house: House, path: str):
    answer = await ask(house.http, {}, path)
    said = answer.json()
    assert (answer.status_code, said["code"]) == (200, 460)
    assert NAME in said["message"]
    assert isinstance(said["created"], float)
    assert isinstance(said["id"], str)
    assert not {"choices", "data"} & set(said)


async def test_nobody_is_460_in_shape_e3_elsewhere_and_401_on_native_routes(house: House):
    said = (await ask(house.http, {}, GET)).json()
    assert said["code"] == 460
    assert said["sid"]
    house.http.headers.pop("authorization", None)
    native = await house.http.get("/v1/runs")
    assert native.status_code == 401
    assert native.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("name", [NAME, "X-CONSUMER-USERNAME", "x_consumer_username"])
async def test_a_trusted_hop_may_name_the_app(house: House, name: str):
    assert (await ask(house.http, {name: "demo"})).json()["code"] == 20201


@pytest.mark.parametrize("name", [NAME, "x_consumer_username"])
async def test_from_anywhere_else_a_name_is_as_good_as_none(wary: House, name: str):
    assert (await ask(wary.http, {name: "demo"})).json()["code"] == 460
    assert (await ask(wary.http, {name: "demo", **bearer("demo")})).json()["code"] == 20201


async def test_an_unknown_app_of_a_trusted_hop_gets_the_surfaces_code(house: House):
    assert (await ask(house.http, {NAME: "nobody"}, GET)).json()["code"] == 20001
    assert (await house.http.get("/v1/runs", headers={NAME: "nobody"})).status_code == 401


@pytest.mark.parametrize(
    "authorization",
    ["Bearer demo-key:wrong", "Bearer nobody:demo-secret", "Bearer demo-key", "Bearer :", "Basic abc", "Bearer", "x" * 5000],
)
@pytest.mark.parametrize("path", [CHAT, GET])
async def test_a_wrong_key_is_a_real_401_with_the_surfaces_body(house: House, authorization: str, path: str):
    answer = await ask(house.http, {"Authorization": authorization}, path)
    assert (answer.status_code, answer.json()["code"]) == (401, 20000)
    assert "wrong:" not in answer.text
    assert "demo-secret" not in answer.text


async def test_key_and_name_must_be_of_the_same_app(house: House):
    assert (await ask(house.http, {NAME: "other", **bearer("demo")})).status_code == 401
    assert (await ask(house.http, {NAME: "demo", **bearer("demo")})).json()["code"] == 20201


async def test_contradicting_names_and_endless_ones_are_460(house: House):
    twice = await ask(house.http, {NAME: "demo", "x_consumer_username": "other"})
    long = await ask(house.http, {NAME: "a" * 5000})
    assert [one.json()["code"] for one in (twice, long)] == [460, 460]


async def test_the_slow_hash_runs_once_for_a_pair_and_again_for_a_wrong_one(house: House, monkeypatch: pytest.MonkeyPatch):
    hashed: list[str] = []
    verify = passwords.verify

    def counted(secret: str, stored: str) -> bool:
        hashed.append(secret)
        return verify(secret, stored)

    monkeypatch.setattr(passwords, "verify", counted)
    pair: dict[str, Any] = bearer("other")
    for _ in range(3):
        assert (await house.http.get("/v1/runs", headers=pair)).status_code == 200
    for _ in range(2):
        assert (await house.http.get("/v1/runs", headers={"Authorization": "Bearer other-key:no"})).status_code == 401
    assert hashed.count("other-secret") <= 1
    assert hashed.count("no") == 2


SMUGGLED = [
    [(NAME, "demo")],
    [(NAME, "demo"), (NAME, "demo")],
    [("X-Consumer-Username", "demo"), ("X_CONSUMER_USERNAME", "demo"), ("x-consumer_username", "demo")],
    [("x-consumer-id", "demo"), ("x-consumer-custom-id", "demo"), ("x-credential-identifier", "demo-key")],
    [("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1"), ("Forwarded", "for=127.0.0.1"), (NAME, "demo")],
    [("X-Forwarded-User", "demo"), ("X-Authenticated-Userid", "demo"), ("Remote-User", "demo")],
    [("Connection", f"{NAME}, close"), (NAME, "demo")],
    [("Proxy-Authorization", "Bearer demo-key:demo-secret")],
    [("Cookie", "authorization=Bearer demo-key:demo-secret")],
]


@pytest.mark.parametrize("headers", SMUGGLED, ids=lambda headers: " ".join(name for name, _ in headers))
async def test_no_header_of_an_untrusted_caller_is_an_identity(wary: House, headers: list[tuple[str, str]]):
    async with httpx.AsyncClient(base_url=wary.http.base_url, trust_env=False) as http:
        chat = await http.post(CHAT, json=BODY, headers=headers)
        native = await http.get("/v1/runs", headers=headers)
    assert (chat.json()["code"], native.status_code) == (460, 401)


@pytest.mark.parametrize("headers", SMUGGLED[:-2], ids=lambda headers: " ".join(name for name, _ in headers))
async def test_no_header_changes_whose_key_it_is(wary: House, headers: list[tuple[str, str]]):
    async with httpx.AsyncClient(base_url=wary.http.base_url, trust_env=False) as http:
        seen = await http.get("/v1/apps", headers=[*headers, *bearer("other").items()])
    assert [one["app"] for one in seen.json()["apps"]] == ["other"]


@pytest.mark.parametrize("first", ["demo", "other"])
async def test_two_keys_in_one_request_are_none(house: House, first: str):
    second = {"demo": "other", "other": "demo"}[first]
    headers = [("Authorization", bearer(one)["Authorization"]) for one in (first, second)]
    async with httpx.AsyncClient(base_url=house.http.base_url, trust_env=False) as http:
        answer = await http.get("/v1/runs", headers=headers)
    assert answer.status_code == 401
    assert "more than once" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["demo, other", "demo,demo", "demo\tother", "../demo", "Demo", "d\u00e9mo"])
async def test_a_name_of_a_trusted_hop_is_taken_whole_and_exactly(house: House, name: str):
    async with httpx.AsyncClient(base_url=house.http.base_url, trust_env=False) as http:
        answer = await http.get("/v1/runs", headers={NAME: name.encode()})
    assert answer.status_code == 401


@pytest.mark.parametrize("headers", [{"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-For": "127.0.0.1, 203.0.113.7"}])
async def test_who_is_trusted_is_the_peer_and_not_what_it_says_of_others(house: House, headers: dict[str, str]):
    async with httpx.AsyncClient(base_url=house.http.base_url, trust_env=False) as http:
        answer = await http.get("/v1/runs", headers={**headers, NAME: "demo"})
    assert answer.status_code == 200


async def test_a_name_that_a_trusted_hop_repeats_is_one_name(house: House):
    async with httpx.AsyncClient(base_url=house.http.base_url, trust_env=False) as http:
        same = await http.get("/v1/runs", headers=[(NAME, "demo"), ("x_consumer_username", "demo")])
        other = await http.get("/v1/runs", headers=[(NAME, "demo"), (NAME, "other")])
    assert (same.status_code, other.status_code) == (200, 422)
