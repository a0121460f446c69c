"""One run in one trace: from the caller's span over the request, the run and its nodes to the model's server, through two processes."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from events.envelope import meta_of
from events.topics import EVENTS
from services.dev import demo
from services.kit.assemble import open_world
from services.kit.settings import Settings
from tests.support.collector import Collector, Seen
from tests.support.fixtures.three_programs import client, programs
from tests.support.flows import at, end, flow, llm, start
from tests.support.model_server import ModelServer, model

__all__ = ["client", "programs"]

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(180)]
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"
HUSH = "hush-nobody-may-collect-this"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def environment(kafka: str, postgres_url: str, collector: Collector, tmp_path: Path) -> dict[str, str]:
    return {
        "PROZESS_KAFKA": kafka,
        "PROZESS_DATABASE": postgres_url,
        "PROZESS_TOPIC_PREFIX": f"{tmp_path.name}.",
        "PROZESS_PARTITIONS": "1",
        "PROZESS_DURABILITY": "single",
        "PROZESS_DATA": str(tmp_path / "data"),
        "PROZESS_LOG_FOLDER": str(tmp_path / "lines"),
        "PROZESS_EGRESS_NETWORKS": "127.0.0.0/8",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-collector-key=abc",
    }


async def test_a_run_is_one_trace_from_its_caller_to_the_models_server_and_says_nothing_of_what_was_said(
    client: httpx.AsyncClient, collector: Collector, model_server: ModelServer, tmp_path: Path
):
    name = model("say", text="fine", key="traced")
    account = {"model": name, "domain": name, "url": model_server.url, "apiKey": "any-key"}
    document = flow(
        start(AGENT_USER_INPUT="string"),
        llm("ask", "{{q}}", param=account, q=at("start.AGENT_USER_INPUT")),
        end("{{out}}", out=at("ask.output")),
        edges="start > ask > end",
    )
    added = await client.post("/workflow/v1/protocol/add", json={"name": "t", "app_id": demo.APP, "status": 0, "data": document})
    body = {"flow_id": added.json()["data"]["flow_id"], "uid": "u", "stream": False, "parameters": {"AGENT_USER_INPUT": HUSH}}
    answer = await client.post("/workflow/v1/debug/chat/completions", json=body, headers={"traceparent": TRACEPARENT})
    run = answer.headers["X-Event-Id"]
    assert answer.json()["code"] == 0, answer.text

    def of_trace(spans: list[Seen]) -> dict[str, Seen]:
        return {one.name: one for one in spans if one.trace == TRACE}

    wanted = {"POST /workflow/v1/debug/chat/completions", "append command", "append events", "run", "node spark-llm", "model call"}
    spans = of_trace(collector.wait(lambda spans: wanted <= of_trace(spans).keys()))
    request, started, node, call = (spans[one] for one in (min(wanted), "run", "node spark-llm", "model call"))
    assert [one.parent for one in (request, started, node, call)] == [CALLER, request.id, started.id, node.id]
    assert spans["append command"].parent == request.id
    assert {one.service for one in (request, spans["append command"])} == {"prozess-api"}
    assert {one.service for one in (started, node, call, spans["append events"])} == {"prozess-processor"}
    assert {one.attributes.get("prozess.run") for one in (request, started, node, call)} == {run}
    assert call.attributes["gen_ai.request.model"] == name
    assert 0 < call.duration_ns <= node.duration_ns + 5_000_000

    (seen,) = model_server.calls("traced")
    assert seen.headers["traceparent"] == f"00-{TRACE}-{call.id}-01"

    assert all(HUSH.encode() not in body for body in collector.bodies)
    assert collector.headers["x-collector-key"] == "abc"

    said = (tmp_path / "lines" / "api.log").read_text()
    lines = [json.loads(line) for line in said.splitlines()]
    assert any(line.get("run") == run and line.get("trace_id") == TRACE for line in lines)
    async with open_world(Settings()) as world:
        stored = await world.log.read(EVENTS, 0, 0, 1_000)
    kept = [meta for one in stored if (meta := meta_of(one.record)).stream == f"run-{run}" and meta.type != "node.delta"]
    assert {meta.traceparent for meta in kept} == {f"00-{TRACE}-{request.id}-01"}
