"""The tenant service of the running system as a provider of apps: asked as the original asks, and believed for a while."""

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from services.api.answers.problems import Refusal
from services.api.api import Api
from services.api.gate import known_apps
from services.kit.outside.tenants import TenantService, signed
from services.kit.settings import Settings
from tests.services.api.conftest import House, W, running, serving
from tests.services.api.test_chat import standard
from tests.support.tool_server import Asked, ToolServer, tool_server
from tests.support.worlds import HandClock

LIST, DETAILS = "/v2/app/list", "/v2/app/details"
KEY, SECRET = "platform-key", "platform-secret"
NAME = "x-consumer-username"


class Apps:
    """What the service knows, by app; a test changes it."""

    def __init__(self, server: ToolServer) -> None:
        self.server = server
        self.known: dict[str, dict[str, Any]] = {}
        server.answers.update({LIST: self._list, DETAILS: self._details})

    def add(self, app: str, source: str = "open", **more: Any) -> None:
        self.known[app] = {"name": f"App {app}", "source": source, "secret": f"{app}-secret", "is_disable": False, **more}

    def asked(self, app: str) -> int:
        return sum(one.path == LIST and ("app_ids", app) in one.query for one in self.server.asked)

    def _found(self, asked: Asked) -> tuple[str, dict[str, Any]] | None:
        app = dict(asked.query)["app_ids"]
        return (app, self.known[app]) if app in self.known else None

    def _list(self, asked: Asked) -> Any:
        found = self._found(asked)
        if found is None:
            return {"sid": "app1", "code": 0, "message": "success"}
        app, one = found
        told = {"appid": app, "name": one["name"], "source": one["source"], "desc": "", "is_disable": one["is_disable"]}
        return {"sid": "app1", "code": 0, "message": "success", "data": [told]}

    def _details(self, asked: Asked) -> Any:
        found = self._found(asked)
        assert found is not None
        app, one = found
        pairs = [{"api_key": f"{app}-pair", "api_secret": one["secret"]}, {"api_key": "second", "api_secret": "not looked at"}]
        return {"code": 0, "data": [{"appid": app, "name": one["name"], "desc": "", "auth_list": pairs}]}


@pytest.fixture(scope="module")
def apps() -> Iterator[Apps]:
    with tool_server() as server:
        yield Apps(server)


def addresses(apps: Apps) -> dict[str, Any]:
    url = apps.server.url
    keys = {"app_lookup_key": KEY, "app_lookup_secret": SECRET}
    return {"app_list_url": url + LIST, "app_details_url": url + DETAILS, "app_sources": {"open": 2}, "app_lookup_s": 20, **keys}


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str, apps: Apps) -> AsyncIterator[House]:
    async with running(tmp_path_factory.mktemp("tenants"), **addresses(apps)) as world:
        async for house in serving(world):
            yield house


async def code(house: House, app: str) -> int:
    """What a flow that is not there is answered with when this app is named."""
    async with httpx.AsyncClient(base_url=house.http.base_url, trust_env=False, timeout=20) as http:
        answer = await http.post(f"{W}/protocol/get", json={"flow_id": "7654321"}, headers={NAME: app})
    return int(answer.json()["code"])


async def test_an_app_that_only_the_service_knows_is_on_the_record_and_its_pair_opens(house: House, apps: Apps):
    apps.add("00aa11bb")
    assert [await code(house, "00aa11bb") for _ in range(3)] == [20201] * 3
    assert apps.asked("00aa11bb") == 1
    shown = (await house.http.get("/v1/apps/00aa11bb")).json()
    assert (shown["name"], shown["source"], shown["is_tenant"], shown["origin"]) == ("App 00aa11bb", 2, False, "tenant service")
    async with httpx.AsyncClient(base_url=house.http.base_url, trust_env=False) as http:
        own = await http.get("/v1/apps", headers={"Authorization": "Bearer 00aa11bb-pair:00aa11bb-secret"})
    assert [one["app"] for one in own.json()["apps"]] == ["00aa11bb"]
    trail = await house.http.get("/v1/audit/events", params={"type": "app.registered"})
    assert "00aa11bb-secret" not in shown["name"] + trail.text


async def test_it_owns_flows_and_is_bound_to_them(house: House, apps: Apps):
    apps.add("owner")
    apps.add("bound")
    flow = await house.good(f"{W}/protocol/add", {"name": "n", "app_id": "owner", "data": standard()})
    await house.good(f"{W}/publish", {"flow_id": flow["flow_id"], "release_status": 1, "plat": 1})
    await house.good(f"{W}/auth", {"flow_id": flow["flow_id"], "app_id": "bound"})
    refused = await house.http.post(f"{W}/auth", json={"flow_id": flow["flow_id"], "app_id": "strange"})
    assert refused.json()["code"] == 20001


async def test_calls_are_signed_as_the_original_signs_them(house: House, apps: Apps):
    apps.add("signed")
    assert await code(house, "signed") == 20201
    asked = [one for one in apps.server.asked if ("app_ids", "signed") in one.query]
    assert [(one.method, one.path, one.query) for one in asked] == [("GET", path, [("app_ids", "signed")]) for path in (LIST, DETAILS)]
    for one in asked:
        date, digest = one.headers["date"], one.headers["digest"]
        assert digest == "SHA256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        text = f"host: 127.0.0.1\ndate: {date}\nGET {one.path} HTTP/1.1\ndigest: {digest}"
        expected = base64.b64encode(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()).decode()
        said = dict(re.findall(r'(\w+)="([^"]*)"', one.headers["authorization"]))
        assert said == {"api_key": KEY, "algorithm": "hmac-sha256", "headers": "host date request-line digest", "signature": expected}
        assert (one.headers["method"], one.headers["host"]) == ("GET", "127.0.0.1")


async def test_unknown_apps_and_sources_have_their_codes_and_are_not_asked_about_again_at_once(house: House, apps: Apps):
    apps.add("elsewhere", source="a source of theirs")
    apps.add("off", is_disable=True)
    assert [await code(house, name) for name in ("nobody", "elsewhere", "off") for _ in range(2)] == [
        20001,
        20001,
        20002,
        20002,
        20001,
        20001,
    ]
    assert [apps.asked(name) for name in ("nobody", "elsewhere", "off")] == [1, 1, 1]
    assert (await house.http.get("/v1/apps/elsewhere")).status_code == 404


@pytest.mark.parametrize("name", ["a,b", "a b", "../a", "a" * 65, "%2e"])
async def test_a_name_that_no_app_can_have_is_not_asked_about(house: House, apps: Apps, name: str):
    before = len(apps.server.asked)
    assert await code(house, name) == 20001
    assert len(apps.server.asked) == before


async def test_apps_that_are_registered_here_are_never_asked_about(house: House, apps: Apps):
    apps.add("other", secret="stolen")
    assert (await house.http.get("/v1/runs")).status_code == 200
    assert await code(house, "other") == 20201
    assert (apps.asked("demo"), apps.asked("other")) == (0, 0)


BROKEN: dict[str, Any] = {
    "nothing": (200, "application/json", b""),
    "no JSON": (200, "text/html", b"<html>"),
    "a list": [1, 2],
    "an error": {"code": 10001, "message": "sesame is wrong"},
    "no list": {"code": 0, "data": {"appid": "x"}},
    "no objects": {"code": 0, "data": ["x"]},
    "500": (500, "text/plain", b"sesame"),
    "404": (404, "text/plain", b"sesame"),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("path", [LIST, DETAILS])
async def test_whatever_the_service_answers_is_20001_and_no_word_of_it_is_repeated(house: House, apps: Apps, broken: str, path: str):
    name = re.sub(r"\W", "-", f"{broken}{path}")
    apps.add(name)
    known = apps.server.answers[path]
    apps.server.answers[path] = BROKEN[broken]
    try:
        answer = await house.http.post(f"{W}/protocol/add", json={"name": "n", "app_id": name})
    finally:
        apps.server.answers[path] = known
    assert answer.json()["code"] == 20001
    assert "sesame" not in answer.text
    assert "tenant service" in answer.json()["message"]


@pytest.mark.parametrize("url", ["/silent", "closed"])
async def test_a_service_that_does_not_answer_costs_a_bounded_time(house: House, apps: Apps, url: str):
    where = "http://127.0.0.1:9/v2/app/list" if url == "closed" else apps.server.url + url
    settings = house.world.settings.model_copy(update={"app_list_url": where, "app_lookup_s": 0.2})
    async for one in serving(replace(house.world, settings=settings)):
        answer = await one.http.post(f"{W}/protocol/add", json={"name": "n", "app_id": "slow"})
    assert answer.json()["code"] == 20001
    assert any(words in answer.json()["message"] for words in ("did not answer within 0.2 s", "cannot be reached"))


@pytest.fixture
async def later(house: House) -> AsyncIterator[Api]:
    """An api whose clock is moved by hand."""
    made = Api.of(replace(house.world, clock=HandClock(house.world.clock.now())))
    yield made
    await made.close()


def pass_time(api: Api, seconds: float) -> None:
    assert isinstance(api.world.clock, HandClock)
    api.world.clock.move(seconds)


async def refused(api: Api, name: str) -> str:
    with pytest.raises(Exception, match="app_id") as no:
        await api.known_apps.find(name)
    return str(no.value)


async def test_an_answer_is_believed_for_so_long_and_what_changed_there_changes_here(later: Api, apps: Apps):
    apps.add("changing")
    found = await later.known_apps.find("changing")
    assert found is not None
    apps.add("changing", name="Renamed", secret="rotated")
    assert await later.known_apps.find("changing") == found
    pass_time(later, later.world.settings.app_lookup_ttl_s + 1)
    renewed = await later.known_apps.find("changing")
    assert renewed is not None
    assert renewed.name == "Renamed"
    apps.add("changing", is_disable=True)
    assert await later.known_apps.find("changing") == renewed
    pass_time(later, later.world.settings.app_lookup_ttl_s + 1)
    assert "is disabled" in await refused(later, "changing")
    del apps.known["changing"]
    pass_time(later, 11)
    assert "knows no such app" in await refused(later, "changing")
    apps.add("changing", name="Renamed", secret="rotated")
    pass_time(later, 11)
    assert await later.known_apps.find("changing") == renewed


async def test_an_app_on_the_record_is_believed_while_the_service_does_not_answer(later: Api, apps: Apps):
    apps.add("standing")
    assert await later.known_apps.find("standing") is not None
    pass_time(later, later.world.settings.app_lookup_ttl_s + 1)
    known = apps.server.answers.pop(LIST)
    try:
        assert await later.known_apps.find("standing") is not None
    finally:
        apps.server.answers[LIST] = known


async def test_many_who_ask_for_one_app_ask_the_service_once(later: Api, apps: Apps):
    apps.add("crowd")
    found = await asyncio.gather(*(later.known_apps.find("crowd") for _ in range(20)))
    assert all(one is not None and one.app == "crowd" for one in found)
    assert apps.asked("crowd") == 1


async def test_of_too_many_unknown_apps_at_once_the_rest_is_to_come_back(house: House, apps: Apps, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(known_apps, "_WAITING", 2)
    settings = house.world.settings.model_copy(update={"app_list_url": f"{apps.server.url}/silent", "app_lookup_s": 0.2})
    made = Api.of(replace(house.world, settings=settings))
    said = await asyncio.gather(*(made.known_apps.find(f"flood-{one}") for one in range(3)), return_exceptions=True)
    await made.close()
    refusals = sorted((one.code, one.headers.get("Retry-After", "")) for one in said if isinstance(one, Refusal))
    assert refusals == [(20001, ""), (20001, ""), (20903, "1")]


async def test_without_addresses_nobody_is_asked(house: House):
    assert Settings().app_list_url == ""
    settings = house.world.settings.model_copy(update={"app_list_url": ""})
    made = Api.of(replace(house.world, settings=settings))
    assert await made.known_apps.find("00ffffff") is None
    await made.close()


async def test_without_a_key_calls_are_not_signed(house: House, apps: Apps):
    apps.add("plain")
    service = TenantService(house.world.settings.model_copy(update={"app_lookup_key": ""}), house.world.clock)
    assert await service.find("plain") is not None
    await service.aclose()
    assert "authorization" not in apps.server.asked[-1].headers


def test_the_signature_is_the_originals():
    headers = signed("k", "s", "tenant", "/v2/app/list", "Wed, 01 Jan 2025 00:00:00 GMT")
    text = "host: tenant\ndate: Wed, 01 Jan 2025 00:00:00 GMT\nGET /v2/app/list HTTP/1.1\ndigest: " + headers["Digest"]
    assert base64.b64encode(hmac.new(b"s", text.encode(), hashlib.sha256).digest()).decode() in headers["Authorization"]
