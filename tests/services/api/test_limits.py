"""How much at once and how often: what is over a limit is refused at once, in the surface's words, and counted."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from services.api.answers.problems import Refusal
from services.api.gate.limits import Limits, Ticket
from services.kit.errors import Refused
from services.kit.settings import Settings, load
from services.kit.telling.metrics import Metrics
from tests.services.api.conftest import House, W, bearer, running, serving
from tests.services.api.test_chat import standard
from tests.support.worlds import HandClock


def limits(*, goes_on: Callable[[str], bool] = lambda _: True, clock: HandClock | None = None, **given: Any) -> Limits:
    return Limits(Settings(**given), Metrics(), clock or HandClock(), goes_on)


def refused(call: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call()
    assert caught.value.status == 429
    assert int(caught.value.headers["Retry-After"]) >= 1
    return caught.value


def test_one_request_too_many_is_refused_until_another_ends():
    some = limits(max_concurrent_requests=2)
    first, _ = some.enter(), some.enter()
    assert refused(some.enter).code == 20903
    some.leave(first)
    some.enter()


def test_a_request_that_became_a_stream_makes_room_for_requests_but_not_for_streams():
    some = limits(max_concurrent_requests=1, max_streaming_connections=1)
    ticket = some.enter()
    some.start("a")
    some.streams_now(ticket)
    some.enter()
    refused(lambda: some.start("a"))
    some.leave(ticket)
    some.start("a")


def test_an_app_over_its_requests_does_not_disturb_another():
    some = limits(app_requests=1)
    first = some.enter()
    some.of_app("a", first)
    refused(lambda: some.of_app("a", some.enter()))
    some.of_app("b", some.enter())
    some.leave(first)
    some.of_app("a", some.enter())


def test_an_app_over_its_rate_is_told_when_to_come_again():
    some = limits(app_rate="2/hour")
    for _ in range(2):
        some.of_app("a", None)
    no = refused(lambda: some.of_app("a", None))
    assert no.code == 20902
    some.of_app("b", None)


def test_runs_count_until_they_end_or_ask_a_person():
    working = {"1", "2"}
    some = limits(max_workflow_executions=2, goes_on=working.__contains__)
    for run in sorted(working):
        some.start("a")
        some.started(run, "a")
    refused(lambda: some.start("a"))
    working.discard("1")
    some.start("a")


def test_runs_of_one_app_are_limited_by_themselves():
    some = limits(app_executions=1)
    some.started("1", "a")
    refused(lambda: some.start("a"))
    some.start("b")


def test_a_run_that_nobody_saw_end_is_forgotten_after_its_time():
    clock = HandClock()
    some = limits(app_executions=1, run_limit_s=60, clock=clock)
    some.started("1", "a")
    refused(lambda: some.start("a"))
    clock.move(61)
    some.start("a")


def test_past_runs_are_read_a_few_at_a_time():
    some = limits(max_history_fetches=1)
    with some.reading():
        refused(lambda: some.reading().__enter__())
    with some.reading():
        pass


def test_a_rate_that_cannot_be_read_is_refused_in_one_sentence():
    with pytest.raises(Refused, match="PROZESS_APP_RATE"):
        limits(app_rate="often")


def test_the_documented_profile_gives_the_documents_values_where_nothing_else_is_said():
    documented = load(profile="documented", max_concurrent_requests=7)
    assert (documented.run_limit_s, documented.node_limit_s, documented.ping_s) == (30, 10, 10)
    assert (documented.max_streaming_connections, documented.max_workflow_executions, documented.max_history_fetches) == (50, 20, 10)
    assert (documented.max_concurrent_requests, documented.error_codes) == (7, "documented")


def test_a_ticket_belongs_to_nobody_at_first():
    assert (Ticket().app, Ticket().streams) == ("", False)


DOORS: tuple[tuple[str, str, str], ...] = (
    ("POST", f"{W}/chat/completions", "code"),
    ("POST", f"{W}/debug/chat/completions", "code"),
    ("POST", f"{W}/resume", "code"),
    ("POST", f"{W}/protocol/get", "code"),
    ("POST", f"{W}/publish", "code"),
    ("POST", f"{W}/upload_file", "code"),
    ("POST", f"{W}/code/run", "code"),
    ("POST", "/sparkflow/v1/chat/completions", "code"),
    ("POST", "/agent/v1/chat/completions", "code"),
    ("POST", "/agent/v1/bot-config", "code"),
    ("POST", "/v1/chat/completions", "error"),
    ("GET", "/v1/models", "error"),
    ("POST", "/api/v1/chat/stream", ""),
    ("POST", "/api/v1/chat", ""),
    ("POST", "/chat/completions/stream", ""),
    ("POST", "/api/chat/stream", ""),
    ("GET", "/v1/runs", "detail"),
    ("GET", "/v1/runs/7", "detail"),
    ("GET", "/v1/tools", "detail"),
    ("GET", "/v1/apps", "detail"),
)


async def test_every_surface_says_429_in_its_own_words_and_counts_it(tmp_path: Path):
    async with running(tmp_path, app_rate="4/hour") as world:
        async for house in serving(world):
            flow = await house.deploy(standard())
            said = await house.http.post(f"{W}/protocol/get", json={"flow_id": flow})
            assert said.json()["code"] == 0
            fits = {
                "flow_id": flow, "uid": "u", "event_id": "7", "content": "", "release_status": 1, "plat": 1, "parameters": {}, "model": "m",
                "messages": [{"role": "user", "content": "x"}], "message": "x", "bot_id": "b", "app_id": "demo", "repo_url": "https://x.example/r",
                "code": "def main(): pass", "variables": [],
            }  # fmt: skip
            for method, path, key in DOORS:
                body = {"files": {"file": ("a.txt", b"x")}} if "upload" in path else {"json": fits} if method == "POST" else {}
                answer = await house.http.request(method, path, **body)
                assert answer.status_code == 429, (path, answer.text)
                assert int(answer.headers["Retry-After"]) >= 1
                assert (key in answer.json()) if key else ("try again in" in answer.text), answer.text
            assert (await house.http.get("/v1/runs", headers=bearer("other"))).status_code == 200
            assert f'prozess_limited_total{{limit="app_rate"}} {float(len(DOORS))}'.encode() in world.metrics.render()
            assert (await house.http.get("/health/live")).status_code == 200


async def test_coming_back_to_a_stream_is_a_stream_too_and_reading_is_none(tmp_path: Path):
    async with running(tmp_path) as world:
        async for house in serving(world):
            flow = await house.deploy(standard())
            async with house.chat(flow) as answer:
                run = answer.headers["X-Event-Id"]
                await answer.aread()
            house.api.limits._most_streams = 0
            again = (
                await house.http.post(f"{W}/chat/completions", json={"flow_id": flow, "parameters": {"AGENT_USER_INPUT": "x"}}),
                await house.http.get(f"{W}/chat/completions/{run}"),
                await house.http.post(f"{W}/resume", json={"event_id": run, "content": ""}, headers={"Last-Event-ID": "1"}),
                await house.http.get(f"/v1/runs/{run}/events"),
                await house.http.get(f"/v1/runs/{run}/text", params={"from": 0}),
                await house.http.get("/agent/v1/chat/completions", params={"event_id": run}),
            )
            assert [(one.status_code, int(one.headers["Retry-After"])) for one in again] == [(429, 1)] * 6
            read = await house.http.get(f"/v1/runs/{run}/events", headers={"Accept": "application/json"})
            assert read.status_code == 200
            assert (await house.http.get(f"/v1/runs/{run}/text")).status_code == 200
            assert b'prozess_limited_total{limit="instance_streams"} 6.0' in world.metrics.render()


async def test_one_socket_too_many_is_4429_at_both_doors_and_counted(tmp_path: Path):
    async with running(tmp_path, sockets=1) as world:
        async for house in serving(world):
            house.api.sockets.update({object()})  # type: ignore[arg-type] (one that is open)
            address = str(house.http.base_url).replace("http", "ws").rstrip("/")
            for path in ("/ws/chat", "/api/rpa-openapi/ws?appid=demo&ts=1&signa=x"):
                async with connect(address + path, proxy=None) as socket:
                    with pytest.raises(ConnectionClosed):
                        await asyncio.wait_for(socket.recv(), 10)
                    assert socket.close_code == 4429
            house.api.sockets.clear()
            assert b'prozess_limited_total{limit="instance_sockets"} 2.0' in world.metrics.render()


async def test_open_requests_are_given_back(house: House):
    flow = await house.deploy(standard())
    for _ in range(3):
        async with house.chat(flow) as answer:
            await answer.aread()
    assert (house.api.limits.streams, house.api.limits.requests) == (0, 0)
