"""Secrets that were planted wherever people can put them, and where they must not come out: log, rows, files, metrics, logs, answers.

The real programs run on the embedded log at the level `debug`; flows succeed, and fail at a provider that repeats the key it was
given. What is told once, where it is made, is left out.
"""

import base64
import json
import re
import secrets
import sqlite3
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from tenacity import AsyncRetrying, retry_if_result, stop_after_delay, wait_fixed

from services.kit.secrets.keyring import derived
from tests.support.flows import Part, at, end, flow, llm, start
from tests.support.model_server import ModelServer, model
from tests.support.openapi import weather
from tests.support.programs import Programs
from tests.support.tool_server import ToolServer, tool_server

pytestmark = pytest.mark.timeout(180)
W = "/workflow/v1"
MASTER = secrets.token_bytes(32)


def secret(name: str) -> str:
    return f"sk-{name}-{secrets.token_hex(12)}"


@dataclass
class Planted:
    """The secrets by name, and everything that was answered."""

    http: httpx.AsyncClient
    models: ModelServer
    tools: ToolServer
    programs: Programs
    values: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)

    def plant(self, name: str) -> str:
        self.values[name] = secret(name)
        return self.values[name]

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """A request whose answer is looked through at the end."""
        answer = await self.http.request(method, path, json=body, **more)
        self.answers.append(f"{method} {path} {answer.status_code} {dict(answer.headers)} {answer.text}")
        return answer

    async def good(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.ask(method, path, body)
        assert answer.status_code in {200, 201, 204}, answer.text
        told = answer.json() if answer.content else {}
        assert told.get("code", 0) == 0, answer.text
        return told

    async def run(self, document: dict[str, Any], *, code: int = 0) -> str:
        """Deploy and call; what the frames say."""
        added = await self.good("POST", f"{W}/protocol/add", {"name": "f", "app_id": "demo", "status": 0, "data": document})
        flow_id = str(added["data"]["flow_id"])
        await self.good("POST", f"{W}/publish", {"flow_id": flow_id, "release_status": 1, "plat": 1})
        await self.good("POST", f"{W}/auth", {"flow_id": flow_id, "app_id": "demo"})
        await self.good("POST", f"{W}/protocol/get", {"flow_id": flow_id})
        body = {"flow_id": flow_id, "uid": "u", "parameters": {"AGENT_USER_INPUT": "tea"}, "stream": False}
        answer = await self.ask("POST", f"{W}/chat/completions", body)
        told = answer.json()
        assert (told["code"] == 0) == (code == 0), told
        run = answer.headers.get("x-event-id") or str(told.get("id", ""))
        for view in ("", "/events", "/text"):
            await self.ask("GET", f"/v1/runs/{run}{view}")
        return answer.text


@pytest.fixture
def environment(tmp_path: Path, model_server: ModelServer) -> dict[str, str]:
    return {
        "PROZESS_DATA": str(tmp_path / "data"),
        "PROZESS_PARTITIONS": "2",
        "PROZESS_LOG_LEVEL": "debug",
        "PROZESS_MASTER_KEY": MASTER.hex(),
        "PROZESS_WIKI_ROOT": str(tmp_path),
        "OPENAI_BASE_URL": model_server.base,
        "OPENAI_API_KEY": secret("environment"),
        "GOOGLE_API_KEY": secret("google"),
        "GOOGLE_BASE_URL": model_server.base,
    }


@pytest.fixture
def tools() -> Iterator[ToolServer]:
    with tool_server() as server:
        yield server


@pytest.fixture
async def planted(environment: dict[str, str], tmp_path: Path, model_server: ModelServer, tools: ToolServer) -> AsyncIterator[Planted]:
    with Programs(environment, tmp_path) as programs:
        programs.start("dev")
        programs.wait_ready()
        demo = {"Authorization": "Bearer demo-key:demo-secret"}
        async with httpx.AsyncClient(base_url=programs.url, headers=demo, timeout=60, trust_env=False) as http:
            wait = AsyncRetrying(stop=stop_after_delay(30), wait=wait_fixed(0.1), retry=retry_if_result(lambda status: status != 200))
            await wait(_status, http)
            made = Planted(http, model_server, tools, programs)
            made.values |= {name: environment[name] for name in ("OPENAI_API_KEY", "GOOGLE_API_KEY")}
            yield made


async def _status(http: httpx.AsyncClient) -> int:
    return (await http.get("/v1/apps")).status_code


def asking(name: str, **param: Any) -> dict[str, Any]:
    account = {"model": name, "domain": name, "appId": "demo", "apiKey": "", "apiSecret": "", **param}
    return flow(
        start(AGENT_USER_INPUT="string"),
        llm("ask", "{{q}}", param=account, q=at("start.AGENT_USER_INPUT")),
        end("{{out}}", out=at("ask.output")),
        edges="start > ask > end",
    )


def calling(part: Part, output: str = "result") -> dict[str, Any]:
    out = at(f"{part.name}.{output}")
    return flow(start(AGENT_USER_INPUT="string"), part, end("{{out}}", out=out), edges=f"start > {part.name} > end")


async def definitions_and_providers(planted: Planted) -> None:
    """Keys in documents and of providers; each once at a model that wants it, once at one that says no and repeats it."""
    server = planted.models
    for name, param in (("node", {"url": server.url}), ("own", {"provider": "own"}), ("all", {"provider": "all"})):
        key = planted.plant(name)
        if name == "node":
            param |= {
                "apiKey": key,
                "apiSecret": planted.plant("second"),
                "headers": {"X-Key": planted.plant("header")},
                "dsn": planted.plant("dsn"),
            }
        else:
            body = {"id": name, "scope": "all" if name == "all" else "app", "url": server.base, "key": planted.plant(f"{name}-before")}
            await planted.good("POST", "/v1/providers", body)
            await planted.good("PATCH", f"/v1/providers/{name}", {"key": key})
        fine = model("say", text="fine")
        assert "fine" in await planted.run(asking(fine, **param))
        assert key in json.dumps(server.requests[-1].headers)
        assert "401" in await planted.run(asking(model("say", need="another"), **param), code=1)
    await planted.good("POST", "/v1/providers/own/test", {"model": model("say", need="another")})
    for path in ("/v1/providers", "/v1/providers/own", "/v1/providers/all"):
        await planted.good("GET", path)
    assert "401" in await planted.run(asking(model("say", need="another")), code=1)


async def tools_and_databases(planted: Planted) -> None:
    """Keys of tools, of which one tells its key in its answer, one refuses it; an address of a database that is not there."""
    operation = {"operationId": "answer", "responses": {"200": {"description": "it"}}}
    document = weather(planted.tools.url, paths={"/answer": {"get": operation}})
    await planted.good("PUT", "/v1/tools/weather", {"kind": "openapi", "document": document, "auth": {"key": planted.plant("tool")}})
    for answer in ({"said": f"hello {planted.values['tool']}"}, (401, "text/plain", planted.values["tool"].encode())):
        planted.tools.answers["/answer"] = answer
        part = Part("tool", "plugin", {}, {"said": "string"}, {"pluginId": "weather", "operationId": "answer", "appId": "demo"})
        told = await planted.run(calling(part, "said"), code=0 if isinstance(answer, dict) else 1)
        assert ("hello" in told) == isinstance(answer, dict)
        assert planted.tools.asked[-1].headers["x-key"] == planted.values["tool"]
    dsn = f"postgresql://user:{planted.plant('password')}@127.0.0.1:9/rows"
    await planted.good("PUT", "/v1/tools/77", {"kind": "database", "dsn": dsn})
    part = Part(
        "db",
        "database",
        {},
        {"result": "object"},
        {"appId": "demo", "apiKey": planted.plant("database"), "dbId": 77, "mode": 0, "sql": "select 1"},
    )
    await planted.run(calling(part), code=1)
    mcp = {"kind": "mcp", "url": f"{planted.tools.url}/status/401", "headers": {"Authorization": f"Bearer {planted.plant('mcp')}"}}
    await planted.good("PUT", "/v1/tools/mcp", mcp)
    part = Part("mcp", "mcp", {}, {"result": "object"}, {"mcpServerId": "mcp", "toolName": "t", "mcpServerUrl": ""})
    await planted.ask("POST", f"{W}/protocol/add", {"name": "f", "app_id": "demo", "data": calling(part)})


async def doors(planted: Planted) -> None:
    """Keys that come with a chat, with a bot, with a repository."""
    bot = {
        "app_id": "demo",
        "bot_id": "planted",
        "regular_config": {},
        "model_config": {"plan": {"api": planted.models.base, "domain": model("say", need="another"), "sk": planted.plant("bot")}},
    }
    await planted.good("POST", "/agent/v1/bot-config", bot)
    await planted.ask("GET", "/agent/v1/bot-config", params={"app_id": "demo", "bot_id": "planted"})
    said = {"uid": "u", "messages": [{"role": "user", "content": "x"}]}
    await planted.ask("POST", "/agent/v1/chat/completions", {"bot_id": "planted", **said})
    own = {"domain": model("say", need="another"), "api": planted.models.base, "api_key": planted.plant("custom")}
    await planted.ask("POST", "/agent/v1/custom/chat/completions", {**said, "model_config": own, "max_loop_count": 1})
    asked = {"model": f"own/{model('say', need='another')}", "messages": [{"role": "user", "content": "x"}]}
    await planted.ask("POST", "/v1/chat/completions", asked)
    wiki = {
        "repo_url": f"https://u:{planted.plant('forge')}@127.0.0.1:9/a/b",
        "messages": [{"role": "user", "content": "x"}],
        "provider": "openai",
    }
    await planted.ask("POST", "/chat/completions/stream", wiki)
    await planted.ask("POST", "/chat/completions/stream", {**wiki, "repo_url": "https://127.0.0.1:9/a/b", "token": planted.plant("token")})


async def apps_and_mistakes(planted: Planted) -> None:
    """Keys of apps, which are told once; then everything in the wrong place."""
    told = (await planted.http.post("/v1/apps", json={"app": "planted"})).json()
    planted.values["app secret"] = told["secret"]
    turned = (await planted.http.post(f"/v1/apps/planted/keys/{told['key']}/rotate")).json()
    planted.values["rotated secret"] = turned["secret"]
    for pair in (f"{told['key']}:{told['secret']}", f"{turned['key']}:{turned['secret']}", turned["token"], f"x:{planted.plant('bearer')}"):
        for path in ("/v1/runs", "/v1/models", f"{W}/get_flow_info/1", "/agent/v1/chat/completions?event_id=1"):
            await planted.ask("GET", path, headers={"Authorization": f"Bearer {pair}"})
    for path in ("/v1/apps", "/v1/apps/planted", "/v1/audit/events?limit=500", "/v1/tools/weather", "/v1/tools/77", "/v1/flows"):
        await planted.ask("GET", path)
    broken = asking("m", apiKey=planted.plant("broken"), temperature="hot", url=5)
    await planted.ask("POST", f"{W}/protocol/add", {"name": "f", "app_id": "demo", "status": 0, "data": broken})
    wrong = planted.plant("wrong")
    plan = {"api": f"https://u:{wrong}@x", "domain": "m", "sk": wrong}
    for path, body in (
        ("/v1/providers", {"id": "x", "url": f"https://u:{wrong}@x/v1", "key": wrong, "more": wrong}),
        ("/v1/providers", {"id": "x", "url": f"https://x/v1?key={wrong}"}),
        ("/v1/tools/y", {"kind": "database", "dsn": f"gopher://u:{wrong}@x"}),
        (f"{W}/chat/completions", {"flow_id": wrong, "parameters": wrong}),
        (
            "/agent/v1/bot-config",
            {"app_id": "demo", "bot_id": "b", "model_config": {"plan": plan}},
        ),
    ):
        for method in ("POST", "PUT"):
            await planted.ask(method, path, body)


def forms(value: str) -> set[bytes]:
    """A secret as it may be written."""
    plain = value.encode()
    return {plain, base64.b64encode(plain).rstrip(b"="), plain.hex().encode(), quote(value, safe="").encode()}


def texts(folder: Path) -> dict[str, bytes]:
    """Every record of every table, and the bytes of every file."""
    found: dict[str, bytes] = {}
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        found[str(path.relative_to(folder))] = path.read_bytes()
        if path.suffix == ".sqlite":
            with sqlite3.connect(path) as rows:
                rows.text_factory = bytes
                for (table,) in rows.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                    cells = (cell for row in rows.execute(f'SELECT * FROM "{table.decode()}"') for cell in row)
                    found[f"{path.name} {table.decode()}"] = b"\0".join(
                        cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells
                    )
            rows.close()
    return found


async def test_planted_secrets_are_nowhere_but_sealed(planted: Planted, tmp_path: Path):
    await definitions_and_providers(planted)
    await tools_and_databases(planted)
    await doors(planted)
    await apps_and_mistakes(planted)
    metrics = (await planted.http.get("/metrics")).text
    assert planted.programs.stop("dev") == 0
    places = {
        **texts(tmp_path),
        "/metrics": metrics.encode(),
        **{f"answer {number} {told[:80]}": told.encode() for number, told in enumerate(planted.answers)},
    }
    assert {"rows.sqlite secrets", "dev.log"} <= places.keys()
    assert any("events" in name and text for name, text in places.items())
    wanted = {name: forms(value) for name, value in planted.values.items()}
    for purpose in (b"", b"prozess secrets: references", b"prozess secrets: values", b"prozess files: links"):
        key = derived(MASTER, purpose) if purpose else MASTER
        wanted[f"master key {purpose.decode()}"] = {key, key.hex().encode(), base64.b64encode(key).rstrip(b"=")}
    assert len(wanted) > 20
    found = ((name, place) for name, spellings in wanted.items() for place, text in places.items() if any(one in text for one in spellings))
    assert sorted({(name, re.sub(r"\d+", "N", place)) for name, place in found}) == []
