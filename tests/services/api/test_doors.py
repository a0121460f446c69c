"""What surrounds the routes: spellings of paths, HEAD and OPTIONS, browsers, limits, errors nobody foresaw, health."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from fastapi.routing import APIRoute
from structlog.testing import capture_logs

from services.api import app as api
from services.api.gate.surfaces import Surface, current, surface_of
from services.kit.telling.health import missing
from tests.services.api.conftest import BODY_LIMIT, House, W
from tests.services.api.test_chat import standard


@pytest.mark.parametrize(
    ("asked", "path", "deprecated"),
    [
        ("/workflow/v1/chat/completions", "/workflow/v1/chat/completions", False),
        ("/sparkflow/v1/protocol/get", "/workflow/v1/protocol/get", True),
        ("/sparkflow/v1/chat/completions", "/workflow/v1/chat/completions", True),
        ("/v1/publish", "/workflow/v1/publish", True),
        ("/v1/auth", "/workflow/v1/auth", True),
        ("/workflow/v1/v1/publish", "/workflow/v1/publish", False),
        ("/open/chat/completions", "/workflow/v1/chat/completions", False),
        ("/open/resume", "/workflow/v1/resume", False),
        ("/debug/chat/completions", "/workflow/v1/debug/chat/completions", False),
        ("/debug/resume", "/workflow/v1/debug/resume", False),
        ("/workflow/v1/open/chat/completions", "/workflow/v1/chat/completions", False),
        ("/sparkflow/v1/open/resume", "/workflow/v1/resume", True),
        ("/workflow/v1/layout/get", "/workflow/v1/protocol/get", False),
        ("/workflow/v1/protocolcompare/save", "/workflow/v1/protocol/compare/save", False),
        ("/v1/runs", "/v1/runs", False),
        ("/v1/chat/completions", "/v1/chat/completions", False),
        ("/open/door", "/open/door", False),
        ("/chat/completions", "/chat/completions", False),
    ],
)
def test_every_spelling_has_one_current_path(asked: str, path: str, deprecated: bool):
    assert current(asked) == (path, deprecated)


@pytest.mark.parametrize(
    ("path", "surface"),
    [
        ("/workflow/v1/chat/completions", Surface.CHAT),
        ("/workflow/v1/chat/completions/7", Surface.CHAT),
        ("/workflow/v1/debug/resume", Surface.CHAT),
        ("/workflow/v1/protocol/get", Surface.WORKFLOW),
        ("/workflow/v1/resumes", Surface.WORKFLOW),
        ("/v1/runs", Surface.NATIVE),
        ("/health", Surface.NATIVE),
        ("/agent/v1/chat/completions", Surface.AGENT),
        ("/agent/v1/bot-config", Surface.BOTS),
        ("/v1/chat/completions", Surface.OPENAI),
        ("/v1/models/a", Surface.OPENAI),
        ("/v1/modelsx", Surface.NATIVE),
    ],
)
def test_every_path_has_one_surface(path: str, surface: Surface):
    assert surface_of(path) is surface


@pytest.mark.parametrize("path", ["/v1/publish", "/sparkflow/v1/publish"])
async def test_legacy_paths_work_and_say_what_is_current(house: House, path: str):
    flow = await house.add(standard())
    answer = await house.http.post(path, json={"flow_id": flow, "release_status": 1, "plat": 1})
    assert answer.json()["code"] == 0
    assert answer.headers["deprecation"].startswith("@")
    assert answer.headers["link"] == '</workflow/v1/publish>; rel="successor-version"'
    current_one = await house.http.post(f"{W}/publish", json={"flow_id": flow, "release_status": 1, "plat": 1})
    assert "deprecation" not in current_one.headers


async def test_unknown_paths_are_404_and_wrong_methods_405(house: House):
    assert (await house.http.get(f"{W}/no/such/route")).json() == {"detail": "Not Found"}
    assert (await house.http.get(f"{W}/chat/completions")).status_code == 405
    assert (await house.http.put("/v1/runs")).status_code == 405


async def test_head_is_get_without_a_body_also_for_streams(house: House):
    flow = await house.deploy(standard())
    async with house.chat(flow) as answer:
        await answer.aread()
    run = answer.headers["x-event-id"]
    for path in ("/health", "/v1/runs", f"/v1/runs/{run}/events", f"{W}/chat/completions/{run}"):
        head = await house.http.head(path)
        assert (head.status_code, head.content) == (200, b""), path
    assert (await house.http.head("/v1/runs/1")).status_code == 404


async def test_options_names_the_methods_of_a_path(house: House):
    answer = await house.http.options("/v1/runs")
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    assert (await house.http.options(f"{W}/protocol/get")).headers["allow"] == "OPTIONS, POST"
    assert (await house.http.options("/no/such/path")).status_code == 404


async def test_browsers_may_call_and_read_the_runs_id(house: House):
    origin = {"Origin": "https://page.example"}
    wish = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, last-event-id, x_consumer_username"}
    asked = await house.http.options(f"{W}/chat/completions", headers={**origin, **wish})
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == origin["Origin"]
    given = await house.http.get("/health", headers=origin)
    assert (given.headers["access-control-allow-origin"], given.headers["access-control-allow-credentials"]) == (origin["Origin"], "true")
    assert "X-Event-Id" in given.headers["access-control-expose-headers"]


@pytest.mark.parametrize(("path", "status"), [(f"{W}/chat/completions", 200), (f"{W}/protocol/add", 200), ("/v1/runs/1/cancel", 413)])
async def test_a_body_over_the_limit_is_refused_in_the_words_of_the_surface(house: House, path: str, status: int):
    answer = await house.http.post(path, content=b'{"x": "' + b"x" * (4 * BODY_LIMIT) + b'"}', headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert str(BODY_LIMIT) in answer.text
    if status == 200:
        assert answer.json()["code"] == 460


async def test_what_nobody_foresaw_is_said_without_a_trace(house: House, monkeypatch: pytest.MonkeyPatch):
    async def broken(_request: Any) -> None:
        raise RuntimeError("sk-secret in a stack trace")

    monkeypatch.setattr(house.api.identity, "caller", broken)
    with capture_logs() as said:
        chat = await house.http.post(f"{W}/chat/completions", json={"flow_id": "1", "parameters": {}})
        get = await house.http.post(f"{W}/protocol/get", json={"flow_id": "1"})
        native = await house.http.get("/v1/runs")
    assert [one["route"] for one in said if one["event"] == "request failed"] == [f"{W}/chat/completions", f"{W}/protocol/get", "/v1/runs"]
    assert (chat.status_code, chat.json()["code"], chat.json()["message"]) == (200, 20805, "internal error")
    assert (get.status_code, get.json()["code"]) == (200, 20209)
    assert (native.status_code, native.json()) == (500, {"detail": "internal error"})
    assert "sk-secret" not in chat.text + get.text + native.text


async def test_a_processor_that_does_not_answer_is_said_in_time(house: House, monkeypatch: pytest.MonkeyPatch):
    async def never(*_: Any) -> int:
        return await asyncio.get_running_loop().create_future()

    flow = await house.deploy(standard())
    monkeypatch.setattr(house.world.log, "append", never)
    monkeypatch.setattr(house.api.commander, "_world", quick(house))
    async with house.chat(flow, stream=False) as answer:
        await answer.aread()
    assert (answer.status_code, answer.json()["code"]) == (200, 20805)
    assert "run.start" in answer.json()["message"]


def quick(house: House) -> Any:
    return replace(house.world, settings=house.world.settings.model_copy(update={"write_wait_s": 0.05}))


async def test_health_names_the_state_in_both_styles(house: House):
    said = (await house.http.get("/health")).json()
    assert (said["status"], said["database"], said["workflow_engine"], said["missing"]) == ("UP", "connected", "running", [])
    assert said["checks"] == {"log": "UP", "database": "UP", "schema": "UP", "projector": "UP"}
    assert (await house.http.get("/health?style=001")).json()["status"] == "healthy"
    assert (await house.http.get("/health/live")).json()["status"] == "UP"
    assert (await house.http.get("/health/ready")).status_code == 200


async def test_readiness_names_what_is_missing(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("services.api.routes.health.health.missing", lambda _world: gone())
    for path in ("/health", "/health/ready"):
        answer = await house.http.get(path)
        assert (answer.status_code, answer.json()["missing"], answer.json()["status"]) == (503, ["log"], "DOWN")
    assert (await house.http.get("/health?style=001")).json()["status"] == "unhealthy"
    assert (await house.http.get("/health/live")).status_code == 200


async def gone() -> list[str]:
    return ["log"]


async def test_metrics_count_requests_by_template_and_never_by_id(house: House):
    await house.http.get("/v1/runs/123456")
    text = (await house.http.get("/metrics")).text
    assert 'prozess_http_requests_total{route="/v1/runs/{event_id}",status="4xx",surface="native"}' in text
    assert "123456" not in text


async def test_every_route_is_in_the_open_api_document(house: House):
    described = (await house.http.get("/openapi.json")).json()["paths"]
    served = {route.path for route in api.create_app(house.world).routes if isinstance(route, APIRoute)}
    assert served <= {path.replace("{chat_id}", "{chat_id:path}") for path in described} | set(described)
    assert (await house.http.get("/docs")).status_code == 200


async def test_the_world_itself_is_well(house: House):
    assert await missing(house.world) == []
