"""The assistant and the wiki on the record: three programs, the processor killed while they answer, the streams taken up again.

What must hold: nothing is missing and nothing is twice, the raw text by its bytes as well as the blocks by their positions,
and a look-up that was cut off is done again.
"""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_first_light import assert_every_door_shows
from tests.support.fixtures.doors import MODEL, teapot
from tests.support.fixtures.three_programs import client, programs
from tests.support.model_server import ModelServer, model
from tests.support.programs import Programs

__all__ = ["client", "programs"]

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(180)]
WORDS = [f"wörd{index} " for index in range(1, 31)]
TEXT = "".join(WORDS)


@pytest.fixture
def environment(kafka: str, postgres_url: str, model_server: ModelServer, tmp_path: Path) -> dict[str, str]:
    teapot(tmp_path / "repositories")
    return {
        "PROZESS_KAFKA": kafka,
        "PROZESS_DATABASE": postgres_url,
        "PROZESS_TOPIC_PREFIX": f"{tmp_path.name}.",
        "PROZESS_PARTITIONS": "2",
        "PROZESS_DURABILITY": "single",
        "PROZESS_DATA": str(tmp_path / "data"),
        "PROZESS_MODEL_CONTINUES": json.dumps({"*": "prefill"}),
        "PROZESS_WIKI_ROOT": str(tmp_path / "repositories"),
        "OPENAI_BASE_URL": model_server.base,
        "OPENAI_API_KEY": "any",
        "OPENAI_MODEL": MODEL,
    }


def scripted(key: str) -> str:
    return model("say", text=TEXT, hold=1, prefill=1, key=key)


async def events_of(client: httpx.AsyncClient, run: str) -> list[dict[str, Any]]:
    path = f"/v1/runs/{run}/events"
    answer = await client.get(path, params={"follow": "false"}, headers={"Accept": "application/json"})
    found: list[dict[str, Any]] = answer.json()["events"]
    assert [event["position"] for event in found] == list(range(1, len(found) + 1))
    return found


async def test_the_wikis_raw_text_is_taken_up_at_a_byte_after_the_processor_was_killed(
    client: httpx.AsyncClient, programs: Programs, model_server: ModelServer
) -> None:
    body = {"repo_url": "teapot", "messages": [{"role": "user", "content": "go"}], "provider": "openai", "model": scripted("wiki")}
    model_server.release("wiki", 4)
    got = b""
    async with client.stream("POST", "/chat/completions/stream", json=body) as answer:
        assert answer.status_code == httpx.codes.OK
        run = answer.headers["x-event-id"]
        async for piece in answer.aiter_bytes():
            got += piece
            if len(got) >= len("".join(WORDS[:4]).encode()):
                break
    programs.kill("processor")
    model_server.wait_aborted("wiki")
    programs.start("processor")
    model_server.release("wiki", len(WORDS))
    whole = len(TEXT.encode())
    while len(got) < whole:
        try:
            async with client.stream("GET", f"/v1/runs/{run}/text", params={"from": len(got)}) as again:
                assert again.status_code == httpx.codes.OK
                async for piece in again.aiter_bytes():
                    got += piece
        except httpx.TransportError:
            continue
    assert got.decode() == TEXT
    await assert_every_door_shows(client, run, TEXT)
    types = [event["type"] for event in await events_of(client, run)]
    assert types.count("run.completed") == types.count("context.retrieved") == 1


async def test_the_assistants_blocks_are_taken_up_after_the_processor_was_killed_and_remembered(
    client: httpx.AsyncClient, programs: Programs, model_server: ModelServer
) -> None:
    body = {"message": scripted("assistant"), "session_id": "s-1", "model_type": "cloud_large"}
    model_server.release("assistant", 4)
    async with client.stream("POST", "/api/v1/chat/stream", json=body) as answer:
        run = answer.headers["x-event-id"]
        async for line in answer.aiter_lines():
            if line.startswith("data: {") and WORDS[3] in line:
                break
    programs.kill("processor")
    model_server.wait_aborted("assistant")
    programs.start("processor")
    position, said, done = "0", "", False
    while not done:
        try:
            headers = {"Last-Event-ID": position}
            async with client.stream("GET", f"/v1/runs/{run}/events", params={"frames": "assistant"}, headers=headers) as again:
                model_server.release("assistant", len(WORDS))
                block = ""
                async for line in again.aiter_lines():
                    if line.startswith("id: "):
                        position = line[4:]
                    elif line == "data: [DONE]":
                        done = True
                    elif line.startswith("data: "):
                        block = json.loads(line[6:])["content"]
                        said += block
        except httpx.TransportError:
            continue
    assert said == TEXT
    await assert_every_door_shows(client, run, TEXT)
    await client.get(f"/v1/runs/{run}", params={"min_position": position})
    history = (await client.get("/v1/chats/s-1/messages")).json()["messages"]
    assert [one["content"] for one in history if one["role"] == "assistant"] == [TEXT]
    echoed = await client.post("/api/v1/chat", json={"message": "echo", "session_id": "s-1", "model_type": "cloud_large"})
    assert [one["content"] for one in json.loads(echoed.json()["content"])] == [body["message"], TEXT, "echo"]
    assert [event["type"] for event in await events_of(client, run)].count("run.completed") == 1
