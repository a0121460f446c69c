"""The clients of document 001, call by call: Python, the browser's EventSource and WebSocket, the React hook's loop, curl."""

import base64
import hashlib
import hmac
import json
import shutil
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from services.dev import demo
from tests.support.doors import BEARER, dev
from tests.support.npm import Modules
from tests.support.programs import Programs

BOT = "bot-001"
CHAT = "/agent/v1/chat/completions"
NAMED = {"x_consumer_username": demo.APP, "Content-Type": "application/json"}
TOLD = "No model is connected."


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    with dev(tmp_path_factory.mktemp("clients")) as programs:
        models = {"instruct": "", "plan": {"api": "", "domain": "offline-demo"}}
        bot = {"app_id": demo.APP, "bot_id": BOT, "model_config": models, "regular_config": {}}
        assert httpx.post(f"{programs.url}/agent/v1/bot-config", json=bot, headers=BEARER).json()["code"] == 0
        yield programs


def asked(*, stream: bool) -> dict[str, object]:
    return {"bot_id": BOT, "uid": "default_user", "stream": stream, "parameters": {"messages": [{"role": "user", "content": "你好"}]}}


def test_the_python_client_prints_a_stream(service: Programs) -> None:
    printed, unread = "", 0
    with httpx.stream("POST", service.url + CHAT, headers=NAMED, json=asked(stream=True), timeout=(30)) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            if line.startswith("data: "):
                try:
                    chunk = json.loads(line[6:])
                except json.JSONDecodeError:
                    unread += 1
                    continue
                if chunk.get("choices"):
                    printed += chunk["choices"][0]["delta"].get("content", "")
    assert printed.startswith(TOLD)
    assert "你好" in printed
    assert unread == 1, "only [DONE] is no JSON"


def test_the_python_client_gets_one_answer(service: Programs) -> None:
    response = httpx.post(service.url + CHAT, headers=NAMED, json=asked(stream=False), timeout=30)
    response.raise_for_status()
    said = response.json()
    assert said["object"] == "chat.completion"
    assert said["choices"][0]["message"]["content"].startswith(TOLD)
    assert said["usage"]["total_tokens"] == said["usage"]["prompt_tokens"] + said["usage"]["completion_tokens"]


def test_curl_times_a_request(service: Programs) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl on this machine")
    command = [curl, "-s", "-w", "%{http_code} %{time_total}", "-o", "/dev/null", service.url + CHAT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split()[0] == "200"
    assert httpx.get(f"{service.url}/health", params={"style": "001"}).json()["status"] == "healthy"


EVENT_SOURCE = """
import { EventSource } from "eventsource";
const source = new EventSource(process.argv[2], { withCredentials: true, fetch: (url, init) =>
  fetch(url, { ...init, headers: { ...init.headers, x_consumer_username: "demo" } }) });
let text = "", codes = [];
source.onmessage = (event) => {
  if (event.data === "[DONE]") { source.close(); console.log(JSON.stringify({ text, codes })); return; }
  const data = JSON.parse(event.data);
  codes.push(data.code);
  if (data.choices && data.choices[0]) text += data.choices[0].delta.content || "";
};
source.onerror = (error) => { console.error(error); process.exit(1); };
"""


@pytest.mark.npm
def test_an_event_source_without_a_run_reads_one_error_and_the_end(service: Programs, node_modules: Modules) -> None:
    told = json.loads(node_modules.run(EVENT_SOURCE, f"{service.url}{CHAT}?1700000000000"))
    assert told == {"text": "", "codes": [40002]}


@pytest.mark.npm
def test_an_event_source_reads_a_run_from_its_beginning(service: Programs, node_modules: Modules) -> None:
    with httpx.stream("POST", service.url + CHAT, headers=NAMED, json=asked(stream=True)) as response:
        run = response.headers["x-event-id"]
    told = json.loads(node_modules.run(EVENT_SOURCE, f"{service.url}{CHAT}?event_id={run}"))
    assert told["text"].startswith(TOLD)
    assert set(told["codes"]) == {0}


HOOK = """
const messages = [{ role: "user", content: "before" }, { role: "assistant", content: "answered" }], message = "hello";
const response = await fetch(process.argv[2], {
  method: "POST",
  headers: { x_consumer_username: "demo", "Content-Type": "application/json", Origin: "https://page.example" },
  body: JSON.stringify({ bot_id: "bot-001", uid: "user123", stream: true,
    parameters: { messages: [...messages, { role: "user", content: message }] } }),
});
if (!response.ok) throw new Error(`HTTP error! status: ${response.status}`);
const reader = response.body.getReader();
let text = "", rest = "", failed = 0;
while (true) {
  const { done, value } = await reader.read();
  if (done) break;
  rest += new TextDecoder().decode(value);
  const lines = rest.split("\\n");
  rest = lines.pop();
  for (const line of lines) {
    if (!line.startsWith("data: ")) continue;
    if (line.slice(6) === "[DONE]") break;
    try { text += JSON.parse(line.slice(6)).choices[0].message.content || ""; } catch { failed += 1; }
  }
}
console.log(JSON.stringify({ text, failed }));
"""


@pytest.mark.npm
def test_the_loop_of_the_react_hook_reads_messages_of_chunks(service: Programs, node_modules: Modules) -> None:
    told = json.loads(node_modules.run(HOOK, service.url + CHAT))
    assert told["failed"] == 0
    assert told["text"].startswith(TOLD)
    assert "“hello”" in told["text"]


SOCKET = """
import WebSocket from "ws";
const [url, appid, ts, signa] = process.argv.slice(2);
const ws = new WebSocket(`${url}?appid=${appid}&ts=${ts}&signa=${signa}`);
let text = "";
ws.onopen = () => ws.send(JSON.stringify({ type: "chat", bot_id: "bot-001", uid: "u", parameters: { query: "hello" } }));
ws.onmessage = (event) => { text += JSON.parse(event.data).choices[0].delta.content; };
ws.onerror = (error) => { console.error(error.message); process.exit(1); };
ws.onclose = (event) => console.log(JSON.stringify({ text, code: event.code }));
"""


@pytest.mark.npm
def test_the_web_socket_client_chats_with_a_time_in_milliseconds(service: Programs, node_modules: Modules) -> None:
    ts = str(int(time.time() * 1000))
    digest = hashlib.md5((demo.APP + ts).encode()).hexdigest()
    signa = base64.b64encode(hmac.digest(demo.SECRET.encode(), digest.encode(), "sha1")).decode()
    address = service.url.replace("http", "ws") + "/api/rpa-openapi/ws"
    told = json.loads(node_modules.run(SOCKET, address, demo.APP, ts, signa))
    assert told["text"].startswith(TOLD)
    assert told["code"] == 1000


OPENAI = """
import OpenAI from "openai";
const [baseURL, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "hello" }];
const whole = await client.chat.completions.create({ model, messages });
let text = "", usage = null;
const stream = await client.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } });
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}
const models = [];
for await (const one of client.models.list()) models.push(one.id);
let refused = null;
try { await client.chat.completions.create({ model: "1", messages }); }
catch (error) { refused = [error.constructor.name, error.status, error.code]; }
console.log(JSON.stringify({ text, whole: whole.choices[0].message.content, usage: usage.total_tokens, models, refused }));
"""


@pytest.mark.npm
@pytest.mark.parametrize("model", ["offline-demo", demo.FLOW, BOT])
def test_the_javascript_client_of_openai_works_unmodified(service: Programs, node_modules: Modules, model: str) -> None:
    told = json.loads(node_modules.run(OPENAI, f"{service.url}/v1", f"{demo.KEY}:{demo.SECRET}", model))
    assert told["text"] == told["whole"]
    assert told["text"].startswith(TOLD)
    assert told["usage"] > 0
    assert {"offline-demo", demo.FLOW, BOT} <= set(told["models"])
    assert told["refused"] == ["NotFoundError", 404, "model_not_found"]
