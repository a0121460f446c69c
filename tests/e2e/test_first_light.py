"""One chat on the record: three programs on a real broker and a real database, killed while the answer streams.

What must hold: the client that comes back with its last position ends up with exactly the text of the run, and history
and audit show the same run.
"""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.dev import demo
from tests.support.fixtures.three_programs import client, programs
from tests.support.flows import at, end, flow, llm, start
from tests.support.model_server import ModelServer, model
from tests.support.programs import Programs

__all__ = ["client", "programs"]

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(180)]
WORDS = [f"w{index} " for index in range(1, 41)]
TEXT = "".join(WORDS)


@pytest.fixture
def environment(kafka: str, postgres_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "PROZESS_KAFKA": kafka,
        "PROZESS_DATABASE": postgres_url,
        "PROZESS_TOPIC_PREFIX": f"{tmp_path.name}.",
        "PROZESS_PARTITIONS": "2",
        "PROZESS_DURABILITY": "single",
        "PROZESS_DATA": str(tmp_path / "data"),
        "PROZESS_MODEL_CONTINUES": json.dumps({"*": "prefill"}),
        "PROZESS_EGRESS_NETWORKS": "127.0.0.0/8",
    }


class Reader:
    """A client that reads frames one by one, and can lose its connection."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.run = ""
        self.seq = 0
        self.words: list[str] = []
        self.ended: dict[str, Any] | None = None

    async def chat(self, flow_id: str, until: int, **more: Any) -> None:
        body = {"flow_id": flow_id, "uid": "u-1", "chat_id": "c-1", "parameters": {"AGENT_USER_INPUT": "go"}, **more}
        async with self._client.stream("POST", "/workflow/v1/chat/completions", json=body) as answer:
            assert answer.status_code == httpx.codes.OK
            self.run = answer.headers["x-event-id"]
            await self._read(answer, until)

    async def come_back(self, until: int | None = None) -> None:
        """Again and again, as a client does while the service is not all there."""
        while self.ended is None and (until is None or len(self.words) < until):
            path = f"/workflow/v1/chat/completions/{self.run}"
            try:
                async with self._client.stream("GET", path, params={"after_seq": self.seq}) as answer:
                    assert answer.status_code == httpx.codes.OK, answer.status_code
                    await self._read(answer, until)
            except httpx.TransportError:
                continue

    async def _read(self, answer: httpx.Response, until: int | None) -> None:
        async for line in answer.aiter_lines():
            if not line:
                continue
            frame = json.loads(line.removeprefix("data: "))
            choice = frame["choices"][0]
            if choice.get("finish_reason") == "ping":
                continue
            self.seq = frame["workflow_step"]["seq"]
            if choice.get("finish_reason") == "stop":
                self.ended = frame
                return
            self.words.append(choice["delta"]["content"])
            if len(self.words) == until:
                return


def answering(url: str, name: str) -> dict[str, Any]:
    """What was asked goes to the model, what it says goes out as it comes."""
    return flow(
        start(required=("AGENT_USER_INPUT",), AGENT_USER_INPUT="string"),
        llm("say", "{{q}}", param={"model": name, "domain": name, "url": url, "apiKey": "any"}, q=at("start.AGENT_USER_INPUT")),
        end("{{said}}", said=at("say.output")),
        edges="start > say > end",
    )


async def deploy(client: httpx.AsyncClient, server: ModelServer, name: str) -> str:
    return await published(client, answering(server.url, name))


async def published(client: httpx.AsyncClient, document: dict[str, Any]) -> str:
    """A flow of the demo app that the demo app may run; its id."""

    async def call(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = (await client.post(path, json=body)).json()
        assert answer["code"] == 0, answer
        return answer

    added = await call("/workflow/v1/protocol/add", {"name": "first light", "app_id": demo.APP, "status": 0, "data": document})
    flow_id: str = added["data"]["flow_id"]
    await call("/workflow/v1/publish", {"flow_id": flow_id, "release_status": 1, "plat": 1})
    await call("/workflow/v1/auth", {"flow_id": flow_id, "app_id": demo.APP})
    return flow_id


async def assert_every_door_shows(client: httpx.AsyncClient, run: str, text: str) -> None:
    for frames in ("agent", "astron", "openai"):
        answer = await client.get(f"/v1/runs/{run}/events", params={"frames": frames}, headers={"Accept": "application/json"})
        said = [frame["choices"][0]["delta"].get("content") or "" for frame in answer.json()["frames"] if frame["choices"]]
        assert "".join(said) == text, frames


async def assert_the_record_shows_the_run(client: httpx.AsyncClient, run: str) -> list[str]:
    """History and audit; the types of the run's events in order."""
    answer = await client.get(f"/v1/runs/{run}/events", params={"follow": "false"}, headers={"Accept": "application/json"})
    events = answer.json()["events"]
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))
    deltas = "".join(event["data"]["text"]["words"] for event in events if event["type"] == "node.delta")
    assert deltas == TEXT
    await assert_every_door_shows(client, run, TEXT)
    row = (await client.get(f"/v1/runs/{run}", params={"min_position": len(events)})).json()
    assert row["status"] == "completed"
    messages = (await client.get("/v1/chats/c-1/messages")).json()
    told = [(one["role"], one["content"]) for one in messages["messages"]]
    assert told == [("user", "go"), ("assistant", TEXT)]
    audit = (await client.get("/v1/audit/events", params={"type": "run.completed", "app": demo.APP})).json()["events"]
    assert run in {event["run"] for event in audit}
    return [event["type"] for event in events if event["type"] != "node.delta"]


async def test_the_processor_is_killed_while_the_answer_streams_and_nothing_is_missing_or_twice(
    client: httpx.AsyncClient, programs: Programs, model_server: ModelServer
) -> None:
    flow_id = await deploy(client, model_server, model("say", text=TEXT, hold=1, prefill=1, key="killed-processor"))
    reader = Reader(client)
    model_server.release("killed-processor", 5)
    await reader.chat(flow_id, until=5)
    programs.kill("processor")
    model_server.wait_aborted("killed-processor")
    programs.start("processor")
    model_server.release("killed-processor", len(WORDS))
    await reader.come_back()
    assert "".join(reader.words) == TEXT
    assert reader.ended is not None
    assert reader.ended["code"] == 0
    types = await assert_the_record_shows_the_run(client, reader.run)
    assert types.count("run.completed") == 1


async def test_the_api_is_killed_while_the_answer_streams_and_the_run_goes_on(
    client: httpx.AsyncClient, programs: Programs, model_server: ModelServer
) -> None:
    flow_id = await deploy(client, model_server, model("say", text=TEXT, hold=1, key="killed-api"))
    reader = Reader(client)
    model_server.release("killed-api", 5)
    await reader.chat(flow_id, until=5)
    programs.kill("api")
    model_server.release("killed-api", len(WORDS))
    programs.start("api")
    programs.wait_ready()
    await reader.come_back()
    assert "".join(reader.words) == TEXT
    await assert_the_record_shows_the_run(client, reader.run)


async def test_the_projector_is_killed_while_the_answer_streams_and_the_history_is_whole(
    client: httpx.AsyncClient, programs: Programs, model_server: ModelServer
) -> None:
    flow_id = await deploy(client, model_server, model("say", text=TEXT, hold=1, key="killed-projector"))
    reader = Reader(client)
    model_server.release("killed-projector", 5)
    await reader.chat(flow_id, until=5)
    programs.kill("projector")
    model_server.release("killed-projector", len(WORDS))
    await reader.come_back(until=20)
    programs.start("projector")
    await reader.come_back()
    assert "".join(reader.words) == TEXT
    await assert_the_record_shows_the_run(client, reader.run)


async def test_every_program_drains_and_exits_with_zero_when_it_is_asked_to(client: httpx.AsyncClient, programs: Programs) -> None:
    assert [programs.stop(name) for name in ("api", "processor", "projector")] == [0, 0, 0]
