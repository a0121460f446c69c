"""What is counted and logged of requests: how they end, never what somebody wrote."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from services.kit.settings import Settings
from services.kit.telling import logs
from tests.services.api.conftest import House, W, bearer, running, serving
from tests.services.api.test_chat import standard
from tests.support.flows import at, end, flow, start

MARK = "zq7"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
async def own(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[House]:
    """A house whose counts nobody else touches."""
    async with running(tmp_path_factory.mktemp("own")) as world:
        async for house in serving(world):
            yield house


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Path]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("api", Settings(log_folder=tmp_path / "lines"))
    yield tmp_path / "lines" / "api.log"
    root.handlers[0].give_up()
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(house: House) -> Samples:
    families = text_string_to_metric_families(house.world.metrics.render().decode())
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


class Counts:
    """What was counted since it was made."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._before = samples(house)

    def of(self, name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return samples(self._house).get(key, 0.0) - self._before.get(key, 0.0)


async def test_what_callers_write_is_never_a_label(own: House):
    odd = f'{MARK}"\n{{x="1"}}'
    echo = await own.deploy(flow(start(AGENT_USER_INPUT="string"), end("{{a}}", a=at("start.AGENT_USER_INPUT")), edges="start > end"))
    async with own.chat(echo, odd, uid=MARK, chat_id=MARK, ext={MARK: odd}) as answer:
        assert MARK in (await answer.aread()).decode()
    asked = [
        ("POST", f"/{MARK}", {MARK: MARK}),
        ("POST", f"{W}/protocol/get", {"flow_id": MARK, "app_id": MARK}),
        ("POST", f"{W}/{MARK}/chat/completions", {}),
        ("GET", f"/v1/runs/{MARK}", None),
        ("GET", f"/v1/runs?flow={MARK}&uid={MARK}", None),
        ("GET", f"/v1/chats/{MARK}/messages", None),
        ("PUT", f"/v1/tools/{MARK}", {"kind": MARK}),
        ("POST", "/agent/v1/chat/completions", {"bot_id": MARK, "uid": MARK, "messages": [{"role": "user", "content": odd}]}),
        ("POST", "/v1/chat/completions", {"model": MARK, "messages": [{"role": "user", "content": odd}]}),
        ("POST", "/api/v1/chat/stream", {"message": odd, "model": MARK, "session_id": MARK}),
        ("POST", "/chat/completions/stream", {"repo_url": f"https://{MARK}/x", "messages": [], "provider": MARK}),
        (MARK.upper(), "/v1/runs", None),
    ]
    for method, path, body in asked:
        for headers in ({"X-Stream-Format": MARK, "User-Agent": MARK}, bearer(MARK)):
            await own.http.request(method, path, json=body, headers=headers)
    assert MARK not in own.world.metrics.render().decode().lower()
    routes = {dict(labels)["route"].replace(":path}", "}") for name, labels in samples(own) if name == "prozess_http_requests_total"}
    described = set((await own.http.get("/openapi.json")).json()["paths"])
    assert routes <= described | {"unknown"}


async def test_a_request_is_a_success_or_an_error_and_errors_are_told_apart(own: House):
    flow_id = await own.deploy(standard())
    counts = Counts(own)
    async with own.chat(flow_id) as answer:
        await answer.aread()
    async with own.chat("12345") as answer:
        await answer.aread()
    assert counts.of("prozess_requests_total", surface="chat", outcome="success") == 1
    assert counts.of("prozess_requests_total", surface="chat", outcome="error") == 1
    assert counts.of("prozess_errors_total", surface="chat", code="20201") == 1


async def test_a_stream_whose_run_fails_is_an_error_and_reading_its_record_is_none(own: House):
    failing = await own.deploy(standard())
    counts = Counts(own)
    async with own.http.stream("POST", f"{W}/chat/completions", json={"flow_id": failing, "uid": "u", "parameters": {}}) as answer:
        run = answer.headers["X-Event-Id"]
        await answer.aread()
    assert counts.of("prozess_errors_total", surface="chat", code="22500") == 1
    assert counts.of("prozess_runs_finished_total", surface="astron", status="failed") == 1
    await own.http.get(f"/v1/runs/{run}/events", params={"follow": "false"})
    assert counts.of("prozess_requests_total", surface="native", outcome="error") == 0


async def test_runs_that_end_are_counted_with_their_time(own: House):
    flow_id = await own.deploy(standard())
    counts = Counts(own)
    async with own.chat(flow_id) as answer:
        await answer.aread()
    assert counts.of("prozess_runs_finished_total", surface="astron", status="completed") == 1
    assert counts.of("prozess_run_seconds_count", surface="astron", status="completed") == 1


async def test_limits_show_how_full_they_are(own: House):
    found = samples(own)
    assert found["prozess_limit_most", (("limit", "instance_requests"),)] == own.world.settings.max_concurrent_requests
    counts = Counts(own)
    with own.api.limits.reading():
        assert counts.of("prozess_limit_used", limit="instance_history") == 1
    assert counts.of("prozess_limit_used", limit="instance_history") == 0


async def test_a_request_leaves_one_line_with_its_run_and_its_trace_and_nothing_that_was_said(own: House, lines: Path):
    flow_id = await own.deploy(standard())
    async with own.chat(flow_id, "hush-said", headers={"traceparent": TRACEPARENT}) as answer:
        run = answer.headers["X-Event-Id"]
        await answer.aread()
    await own.http.get(f"/v1/runs/{run}%0Aforged")
    text = await asyncio.to_thread(lines.read_text)
    said = [json.loads(line) for line in text.splitlines()]
    requests = [line for line in said if line["event"] == "request"]
    (chat,) = [line for line in requests if line.get("run") == run]
    assert {name: chat[name] for name in ("method", "route", "surface", "status", "app", "trace_id", "level")} == {
        "method": "POST",
        "route": f"{W}/chat/completions",
        "surface": "chat",
        "status": 200,
        "app": "demo",
        "trace_id": TRACEPARENT[3:35],
        "level": "info",
    }
    assert chat["duration_ms"] > 0
    assert (requests[-1]["route"], requests[-1]["status"]) == ("/v1/runs/{event_id}", 404)
    assert "hush-said" not in text
    assert "forged" not in text
