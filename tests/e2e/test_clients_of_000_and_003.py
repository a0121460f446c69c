"""The clients of documents 000 and 003, call by call: aiohttp line by line, fetch split at blank lines, the underscore header.

What must hold: each reads the whole answer of a real service, with nothing changed but host, credentials and ids.
"""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import httpx
import pytest

from services.dev import demo
from tests.e2e.test_fan_out import known, patiently
from tests.e2e.test_first_light import published
from tests.support.flows import at, end, flow, llm, start
from tests.support.model_server import ModelServer, model
from tests.support.programs import Programs

pytestmark = pytest.mark.timeout(180)
KEY = f"{demo.KEY}:{demo.SECRET}"
TEXT = "one two three"
FETCH = """
const [base, key, flow] = process.argv.slice(2);
const response = await fetch(`${base}/open/chat/completions`, {
  method: "POST",
  headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}`, "x-consumer-username": "demo" },
  body: JSON.stringify({ flow_id: flow, parameters: { input: "go" }, stream: true, uid: "user123", ext: {} }),
});
const reader = response.body.getReader(), decoder = new TextDecoder();
let buffer = "", text = "";
const take = (block) => { if (block.trim()) text += JSON.parse(block.replace(/^data: /, "")).choices[0].delta.content ?? ""; };
for (;;) {
  const { done, value } = await reader.read();
  if (done) break;
  buffer += decoder.decode(value, { stream: true });
  const blocks = buffer.split("\\n\\n");
  buffer = blocks.pop();
  blocks.forEach(take);
}
take(buffer);
console.log(JSON.stringify({ status: response.status, text }));
"""


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    with Programs({"OPENAI_BASE_URL": "", "OPENAI_API_KEY": ""}, tmp_path) as programs:
        programs.start("dev", options=("--data", str(tmp_path / "data")))
        programs.wait_ready()
        yield programs


@pytest.fixture
async def client(programs: Programs) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=programs.url, headers=headers, timeout=60, trust_env=False) as client:
        await patiently(lambda: known(client))
        yield client


@pytest.fixture
async def flow_id(client: httpx.AsyncClient, model_server: ModelServer) -> str:
    name = model("say", text=TEXT)
    param = {"model": name, "domain": name, "url": model_server.url, "apiKey": "any"}
    document = flow(
        start(input="string"),
        llm("say", "{{q}}", param=param, q=at("start.input")),
        end("{{a}}", a=at("say.output")),
        edges="start > say > end",
    )
    return await published(client, document)


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


async def test_the_python_client_of_000_reads_line_by_line(programs: Programs, flow_id: str) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}", "x-consumer-username": demo.APP}
    body = {"flow_id": flow_id, "parameters": {"input": "go"}, "stream": True, "uid": "user123", "ext": {}}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{programs.url}/open/chat/completions", headers=headers, json=body) as response,
    ):
        assert response.status == httpx.codes.OK
        chunks = [json.loads(line[6:]) async for line in response.content if line.startswith(b"data: ")]
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == TEXT
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_the_javascript_client_of_000_splits_at_blank_lines(programs: Programs, flow_id: str, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node on this machine")
    script = tmp_path / "client.mjs"
    script.write_text(FETCH)
    done = await asyncio.to_thread(run, [node, str(script), programs.url, KEY, flow_id])
    assert json.loads(done.stdout) == {"status": 200, "text": TEXT}, done.stderr


@pytest.mark.parametrize("stream", [True, False])
async def test_the_python_client_of_003_names_its_app_with_underscores(programs: Programs, flow_id: str, stream: bool) -> None:
    headers = {"x_consumer_username": demo.APP, "Content-Type": "application/json"}
    history = [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "你好！有什么可以帮助你的吗？"}]
    body = {"flow_id": flow_id, "uid": "user_67890", "stream": stream, "ext": {}, "parameters": {"input": "go"}, "chat_id": "chat_001"}
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        answer = await client.post(f"{programs.url}/workflow/v1/chat/completions", json={**body, "history": history}, headers=headers)
    assert answer.status_code == httpx.codes.OK
    if not stream:
        assert answer.json()["choices"][0]["delta"]["content"] == TEXT
        return
    told = [json.loads(line[5:].strip()) for line in answer.text.splitlines() if line.startswith("data:")]
    assert "".join(frame["choices"][0]["delta"]["content"] for frame in told) == TEXT
