"""What another app owns: with its ids every route answers as it does for ids that nobody has.

Each route of the api stands here, with a request that names something, or with nothing where a request cannot name anything.
What says more than "there is none" is a decision of the specification and stands in `TOLD`.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.services.api.bots import CONFIG, configuration, made
from tests.services.api.conftest import House, W, bearer
from tests.services.api.test_chat import standard
from tests.services.api.test_questions import asked
from tests.services.api.test_sockets import url
from tests.services.api.test_tools import openapi
from tests.support.asking import direct
from tests.support.flows import at, end, flow, llm, start
from tests.support.openapi import weather
from tests.support.routes import Door, kept

Ids = Mapping[str, str]
NOBODYS = {
    "flow": "7654321", "version": "v9", "run": "7529724272403132416", "chat": "nobody's", "bot": "nobody's", "tool": "nobodys",
    "app": "nobody", "key": "nobodys-key", "secret": "secret:" + "0f" * 16, "provider": "acme-2",
}  # fmt: skip
SAID = {"AGENT_USER_INPUT": "x"}
ACCOUNT = {"model": "m", "domain": "m", "url": "http://127.0.0.1:9/v1", "apiKey": "SECRET"}
WITH_SECRET = flow(
    start(AGENT_USER_INPUT="string"),
    llm("ask", "{{q}}", param=ACCOUNT, q=at("start.AGENT_USER_INPUT")),
    end("{{out}}", out=at("ask.output")),
    edges="start > ask > end",
)


def with_secret(ids: Ids) -> dict[str, Any]:
    return json.loads(json.dumps(WITH_SECRET).replace("SECRET", ids["secret"]))


def node_with_secret(ids: Ids) -> dict[str, Any]:
    document = with_secret(ids)
    node = next(one for one in document["data"]["nodes"] if one["id"].startswith("spark-llm"))
    node["data"]["inputs"][0]["schema"]["value"] = {"type": "literal", "content": "x"}
    return {"id": ids["flow"], "name": "n", "data": {"nodes": [node], "edges": []}}


def custom(ids: Ids) -> dict[str, Any]:
    model = {"domain": "m", "api": "http://127.0.0.1:9/v1", "api_key": ids["secret"]}
    said = [{"role": "user", "content": "x"}]
    return {"uid": "u", "messages": said, "model_config": model, "max_loop_count": 1}


def bot(ids: Ids) -> dict[str, Any]:
    return {**configuration(ids["bot"]), "app_id": ids["app"]}


REQUESTS: dict[str, list[dict[str, Any] | Any]] = {
    "GET /agent/v1/bot-config": [{"params": {"app_id": "{app}", "bot_id": "{bot}"}}, {"params": {"app_id": "other", "bot_id": "{bot}"}}],
    "DELETE /agent/v1/bot-config": [{"params": {"app_id": "{app}", "bot_id": "{bot}"}}, {"params": {"app_id": "other", "bot_id": "{bot}"}}],
    "POST /agent/v1/bot-config": [lambda ids: {"json": bot(ids)}],
    "PUT /agent/v1/bot-config": [lambda ids: {"json": bot(ids)}, lambda ids: {"json": {**bot(ids), "app_id": "other"}}],
    "GET /agent/v1/chat/completions": [{"params": {"event_id": "{run}"}}],
    "POST /agent/v1/chat/completions": [
        {"json": {"bot_id": "{bot}", "uid": "u", "messages": [{"role": "user", "content": "x"}], "stream": False}}
    ],
    "POST /agent/v1/custom/chat/completions": [lambda ids: {"json": custom(ids)}],
    "GET /v1/apps/{app}": [{}],
    "PATCH /v1/apps/{app}": [{"json": {"enabled": False}}],
    "POST /v1/apps": [{"json": {"app": "{app}"}}],
    "POST /v1/apps/{app}/keys": [{"json": {}}],
    "POST /v1/apps/{app}/keys/{key}/rotate": [{}],
    "DELETE /v1/apps/{app}/keys/{key}": [{}],
    "GET /v1/audit/events": [{"params": {"app": "{app}"}}, {"params": {"flow": "{flow}"}}, {"params": {"event_id": "{run}"}}],
    "POST /v1/chat/completions": [
        {"json": {"model": name, "messages": [{"role": "user", "content": "x"}]}} for name in ("{flow}", "{bot}")
    ],
    "GET /v1/models/{model:path}": [{"path": "/v1/models/{flow}"}, {"path": "/v1/models/{bot}"}],
    "GET /v1/chats/{chat_id:path}/messages": [
        {"path": "/v1/chats/{chat}/messages"},
        {"path": "/v1/chats/c/messages", "params": {"min_position": "{run}:1"}},
    ],
    "GET /v1/chats/{chat_id:path}/pending": [{"path": "/v1/chats/{chat}/pending"}],
    "GET /v1/flows/{flow_id}": [{"path": "/v1/flows/{flow}"}],
    "GET /v1/flows/{flow_id}/changes": [{"path": "/v1/flows/{flow}/changes"}],
    "GET /v1/flows/{flow_id}/document": [{"path": "/v1/flows/{flow}/document", "params": {"version": "{version}"}}],
    "GET /v1/flows/{flow_id}/diff": [{"path": "/v1/flows/{flow}/diff", "params": {"from": "{version}", "to": "draft"}}],
    "GET /v1/runs": [{"params": {"flow": "{flow}"}}, {"params": {"chat": "{chat}"}}, {"params": {"min_position": "{run}:1"}}],
    "GET /v1/runs/{event_id}": [{"path": "/v1/runs/{run}"}, {"path": "/v1/runs/{run}", "params": {"min_position": "1"}}],
    "GET /v1/runs/{event_id}/events": [{"path": "/v1/runs/{run}/events"}],
    "GET /v1/runs/{event_id}/text": [{"path": "/v1/runs/{run}/text"}, {"path": "/v1/runs/{run}/text", "params": {"from": "0"}}],
    "POST /v1/runs/{event_id}/answer": [{"path": "/v1/runs/{run}/answer", "json": {"content": "x"}}],
    "POST /v1/runs/{event_id}/cancel": [{"path": "/v1/runs/{run}/cancel"}],
    "GET /v1/providers": [{"params": {"app": "{app}"}}],
    "POST /v1/providers": [{"params": {"app": "{app}"}, "json": {"id": "{provider}", "url": "http://127.0.0.1:9/v1"}}],
    "GET /v1/providers/{provider}": [{}, {"params": {"app": "{app}"}}],
    "PATCH /v1/providers/{provider}": [{"json": {"name": "mine"}}],
    "DELETE /v1/providers/{provider}": [{}],
    "POST /v1/providers/{provider}/test": [{}],
    "GET /v1/tools/{tool}": [{}],
    "PUT /v1/tools/{tool}": [{"json": openapi(auth={}, document=weather("https://api.example.org"))}],
    "DELETE /v1/tools/{tool}": [{}],
    "GET /workflow/v1/chat/completions/{event_id}": [{"path": f"{W}/chat/completions/{{run}}"}],
    "POST /workflow/v1/resume": [{"json": {"event_id": "{run}", "content": "x"}}],
    "POST /workflow/v1/debug/resume": [{"json": {"event_id": "{run}", "content": "x"}}],
    "POST /workflow/v1/chat/completions": [{"json": {"flow_id": "{flow}", "parameters": SAID, "stream": False}}],
    "POST /workflow/v1/debug/chat/completions": [
        {"json": {"flow_id": "{flow}", "parameters": SAID, "stream": False}},
        {"json": {"flow_id": "{flow}", "parameters": SAID, "version": "compared"}},
    ],
    "GET /workflow/v1/get_flow_info/{flow}": [{}],
    "POST /workflow/v1/protocol/add": [
        {"json": {"name": "n", "app_id": "{app}"}},
        lambda ids: {"json": {"name": "n", "app_id": "other", "data": with_secret(ids)}},
    ],
    "POST /workflow/v1/protocol/get": [{"json": {"flow_id": "{flow}"}}],
    "POST /workflow/v1/protocol/update/{flow}": [{"json": {"name": "mine"}}, {"json": {"app_id": "other"}}],
    "POST /workflow/v1/protocol/delete": [
        {"json": {"flow_id": "{flow}", "app_id": one}} for one in ("{app}", "other")
    ],
    "POST /workflow/v1/protocol/build/{flow}": [{}],
    "POST /workflow/v1/protocol/compare/save": [{"json": {"flow_id": "{flow}", "version": "c", "data": standard()}}],
    "POST /workflow/v1/protocol/compare/get": [{"json": {"flow_id": "{flow}", "version": "compared"}}],
    "DELETE /workflow/v1/protocol/compare/delete": [{"json": {"flow_id": "{flow}", "version": "compared"}}],
    "POST /workflow/v1/publish": [{"json": {"flow_id": "{flow}", "release_status": 3, "plat": 1}}],
    "POST /workflow/v1/auth": [{"json": {"flow_id": "{flow}", "app_id": "{app}"}}],
    "DELETE /workflow/v1/auth": [{"json": {"flow_id": "{flow}", "app_id": "{app}"}}],
    "POST /workflow/v1/node/debug": [lambda ids: {"json": node_with_secret(ids)}],
    "POST /workflow/v1/node/debug/{node_id}": [lambda ids: {"path": f"{W}/node/debug/x", "json": node_with_secret(ids)}],
}  # fmt: skip
LISTS = {"GET /v1/apps", "GET /v1/models", "GET /v1/flows", "GET /v1/tools", "GET /v1/runs", "GET /v1/audit/events", "GET /api/v1/models"}
"""They show the caller's own things."""
NAME_NOTHING = {
    "POST /api/chat/stream": "a repository", "POST /chat/completions/stream": "a repository",
    "POST /api/v1/chat": "a session, which belongs to its app", "POST /api/v1/chat/stream": "a session, which belongs to its app",
    "POST /workflow/v1/code/run": "ids that are only noted", "POST /workflow/v1/run": "ids that are only noted",
    "POST /workflow/v1/upload_file": "nothing", "POST /workflow/v1/upload_files": "nothing",
}  # fmt: skip
TOLD = {
    "POST /workflow/v1/chat/completions": (20004, 20201),
    "GET /workflow/v1/get_flow_info/{flow}": (20004, 20201),
    "POST /workflow/v1/resume": (20005, 23900),
    "POST /workflow/v1/debug/resume": (20005, 23900),
    "GET /workflow/v1/chat/completions/{event_id}": (20005, 23900),
}
"""Codes for another app's id and for nobody's: the licence (astron.md 1.5), a run of another app (spec/README)."""


@pytest.fixture(scope="module")
async def theirs(house: House) -> AsyncIterator[Ids]:
    """One of everything, of the app `demo`; at the end nothing of it was touched."""
    run, _ = await asked(house, direct(), chat_id="their chat")
    flow_id = await house.deploy(standard(), version="v1")
    await house.good(f"{W}/protocol/compare/save", {"flow_id": flow_id, "version": "compared", "data": standard()})
    assert (await house.http.put("/v1/tools/theirs", json=openapi())).status_code == 200
    provider = {"id": "acme-1", "url": "http://127.0.0.1:9/v1", "key": "sk-theirs"}
    assert (await house.http.post("/v1/providers", json=provider)).status_code == 201
    secret, bot_id = await house.world.secrets.put("demo", "sk-theirs"), await made(house)
    yield {
        "flow": flow_id, "version": "v1", "run": run, "chat": "their chat", "bot": bot_id, "tool": "theirs",
        "app": "demo", "key": "demo-key", "secret": secret, "provider": "acme-1",
    }  # fmt: skip
    assert (await house.http.get(f"/v1/runs/{run}")).json()["status"] == "waiting"
    of_flow = (await house.http.get(f"/v1/flows/{flow_id}")).json()
    assert (of_flow["name"], of_flow["is_callable"], list(of_flow["compared"])) == ("a flow", True, ["compared"])
    assert (await house.http.get("/v1/tools/theirs")).status_code == 200
    assert (await house.http.get("/v1/providers/acme-1")).json()["name"] == "acme-1"
    assert (await house.http.get("/v1/apps/demo")).json()["enabled"]
    assert (await house.http.get(CONFIG, params={"app_id": "demo", "bot_id": bot_id})).json()["code"] == 0


def filled(value: Any, ids: Ids) -> Any:
    """With the ids in place of their names."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {name: filled(one, ids) for name, one in value.items()}
    return [filled(one, ids) for one in value] if isinstance(value, list) else value


async def ask(house: House, door: Door, wanted: Any, ids: Ids) -> httpx.Response:
    request = wanted if isinstance(wanted, dict) else wanted(ids)
    path = filled(request.get("path", door.template), {name: quote(one, safe="") for name, one in ids.items()})
    body = {name: filled(one, ids) for name, one in request.items() if name != "path"}
    return await house.http.request(door.method, path, headers=bearer("other"), **body)


def plain(answer: httpx.Response, ids: Ids) -> tuple[int, str, str]:
    """What an answer says, without what differs from answer to answer."""
    text = answer.text
    for name, one in ids.items():
        text = text.replace(one, name)
    text = re.sub(r'"(sid|id|created|updated|event_id)": ?("[^"]*"|[0-9.]+)|(agt|spf)[0-9a-f.]+@hf', r'"\1"', text)
    return answer.status_code, answer.headers.get("content-type", ""), text


CASES = [(door, number) for door in kept() for number in range(len(REQUESTS.get(str(door), [])))]


def test_every_route_is_asked_or_names_nothing():
    assert {str(door) for door in kept()} == set(REQUESTS) | LISTS | set(NAME_NOTHING)


@pytest.mark.parametrize(("door", "number"), CASES, ids=lambda one: str(one))
async def test_another_apps_id_is_as_good_as_nobodys(house: House, theirs: Ids, door: Door, number: int):
    wanted = REQUESTS[str(door)][number]
    found, missing = [await ask(house, door, wanted, ids) for ids in (theirs, NOBODYS)]
    assert "sk-theirs" not in found.text
    if str(door) in TOLD:
        assert [one.json()["code"] for one in (found, missing)] == list(TOLD[str(door)])
    else:
        assert plain(found, theirs) == plain(missing, NOBODYS)


@pytest.mark.parametrize("path", sorted(one.partition(" ")[2] for one in LISTS))
async def test_lists_show_nothing_of_another_app(house: House, theirs: Ids, path: str):
    answer = await house.http.get(path, headers=bearer("other"))
    assert answer.status_code == 200
    assert not [name for name, one in theirs.items() if name not in {"app", "version", "tool"} and json.dumps(one)[1:-1] in answer.text]


async def test_a_bots_name_is_taken_for_everybody_and_the_bot_stays_its_apps(house: House, theirs: Ids):
    taken = await house.http.post(CONFIG, json={**bot(theirs), "app_id": "other"}, headers=bearer("other"))
    assert taken.json()["code"] == 40053
    assert not taken.json()["data"]


async def test_a_socket_does_not_follow_another_apps_run(house: House, theirs: Ids):
    said: list[str] = []
    for run in (theirs["run"], NOBODYS["run"]):
        async with connect(url(house, app="other", secret="other-secret"), proxy=None) as socket:
            await socket.send(json.dumps({"type": "resume", "event_id": run}))
            answer = json.loads(await socket.recv())
            said.append(f"{answer['code']} {answer['message']}")
    assert said[0] == said[1]
