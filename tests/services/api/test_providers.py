"""Providers of models over HTTP: keys masked, named by flows, bots and doors, effective with the next call."""

import json
from typing import Any

import pytest

from tests.services.api.conftest import House, bearer
from tests.services.api.test_chat import content, frames
from tests.support.flows import at, end, flow, llm, start
from tests.support.model_server import ModelServer, model

PROVIDERS = "/v1/providers"
FIRST, SECOND, HIDDEN = "sk-sesame-first-0001", "sk-sesame-second-002", "sk-sesame-hidden-03"
OTHER = bearer("other")


async def stored(house: House, server: ModelServer, id_: str, key: str = FIRST, headers: Any = None, **more: Any) -> dict[str, Any]:
    body = {"id": id_, "url": server.base, "key": key, **more}
    answer = await house.http.post(PROVIDERS, json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def naming(provider: str, **script: Any) -> dict[str, Any]:
    """A flow whose model is at a provider."""
    name = model("say", **script)
    return flow(
        start(AGENT_USER_INPUT="string"),
        llm("ask", "{{q}}", param={"model": name, "domain": name, "provider": provider}, q=at("start.AGENT_USER_INPUT")),
        end("{{out}}", out=at("ask.output")),
        edges="start > ask > end",
    )


async def answered(house: House, flow_: str, **more: Any) -> tuple[int, str, str]:
    """The code, the text and the message of a chat's frames."""
    async with house.chat(flow_, **more) as answer:
        found = await frames(answer)
    return found[-1]["code"], "".join(content(found[:-1])), found[-1]["message"]


async def test_a_provider_lives_from_its_creation_to_its_end_and_its_key_is_never_told(house: House, model_server: ModelServer):
    made = await stored(house, model_server, "life", HIDDEN, name="Life", models=["a", "b"])
    assert (made["key"], made["scope"], made["models"], made["name"]) == ("********", "app", ["a", "b"], "Life")
    changed = await house.http.patch(f"{PROVIDERS}/life", json={"key": made["key"], "models": ["c"]})
    assert (changed.json()["models"], changed.json()["key"], changed.json()["url"]) == (["c"], "********", model_server.base)
    read = await house.http.get(f"{PROVIDERS}/life")
    listed = await house.http.get(PROVIDERS)
    trail = await house.http.get("/v1/audit/events", params={"type": "provider.configured"})
    assert [one["id"] for one in listed.json()["providers"] if one["scope"] == "app"].count("life") == 1
    assert trail.json()["events"]
    assert all(HIDDEN not in one.text for one in (changed, read, listed, trail))
    assert (await house.http.post(PROVIDERS, json={"id": "life", "url": model_server.base})).status_code == 409
    assert (await house.http.delete(f"{PROVIDERS}/life")).status_code == 204
    assert (await house.http.get(f"{PROVIDERS}/life")).status_code == 404


async def test_a_flow_names_a_provider_and_the_next_call_has_the_rotated_key(house: House, model_server: ModelServer):
    await stored(house, model_server, "rotating")
    first, second = [await house.deploy(naming("rotating", text="tea", need=key)) for key in (FIRST, SECOND)]
    assert (await answered(house, first))[:2] == (0, "tea")
    assert (await house.http.patch(f"{PROVIDERS}/rotating", json={"key": SECOND})).status_code == 200
    assert (await answered(house, second))[:2] == (0, "tea")
    code, _, message = await answered(house, first)
    assert code == 20380
    assert SECOND not in message


async def test_a_key_that_is_kept_goes_to_no_other_server(house: House, model_server: ModelServer):
    await stored(house, model_server, "moving", HIDDEN)
    for body in ({"url": "http://127.0.0.1:1/v1"}, {"url": "https://elsewhere.test/v1", "key": " ******** "}):
        refused = await house.http.patch(f"{PROVIDERS}/moving", json=body)
        assert (refused.status_code, "key: expected anew" in refused.text) == (400, True)
    for body in ({"url": f"{model_server.base}/more"}, {"url": "https://elsewhere.test/v1", "key": "another"}, {"key": ""}):
        assert (await house.http.patch(f"{PROVIDERS}/moving", json=body)).status_code == 200
    assert (await house.http.patch(f"{PROVIDERS}/moving", json={"url": model_server.base})).status_code == 200


async def test_an_unknown_provider_is_named_in_the_error(house: House):
    code, _, message = await answered(house, await house.deploy(naming("nowhere")))
    assert code == 20380
    assert "there is no provider nowhere for this app" in message


async def test_the_first_model_is_asked_where_none_is_named_and_the_record_tells_who_was_asked(house: House, model_server: ModelServer):
    await stored(house, model_server, "default", models=[model("say", text="first")])
    document = naming("default")
    param = next(node for node in document["data"]["nodes"] if node["id"].startswith("spark-llm"))["data"]["nodeParam"]
    param |= {"model": "", "domain": ""}
    async with house.chat(await house.deploy(document)) as answer:
        run = answer.headers["x-event-id"]
        assert "".join(content((await frames(answer))[:-1])) == "first"
    events = (await house.http.get(f"/v1/runs/{run}/events")).text
    assert '"prozess.provider":"default"' in events.replace('": "', '":"')


async def test_an_apps_own_comes_before_the_one_for_all_which_only_tenants_change(house: House, model_server: ModelServer):
    await stored(house, model_server, "shared", scope="all", models=[model("say", text="all", need=FIRST)])
    ask = {"model": f"shared/{model('say', text='for all', need=FIRST)}", "messages": [{"role": "user", "content": "x"}]}
    told = await house.http.post("/v1/chat/completions", json=ask, headers=OTHER)
    assert told.json()["choices"][0]["message"]["content"] == "for all"
    seen = (await house.http.get(f"{PROVIDERS}/shared", headers=OTHER)).json()
    assert ("url" in seen, seen["scope"], seen["key"]) == (False, "all", "********")
    for method, body in (("PATCH", {"url": "https://evil.example/v1"}), ("DELETE", None)):
        assert (await house.http.request(method, f"{PROVIDERS}/shared", json=body, headers=OTHER)).status_code == 403
    refused = await house.http.post(PROVIDERS, json={"id": "x", "url": model_server.base, "scope": "all"}, headers=OTHER)
    assert refused.status_code == 403
    await stored(house, model_server, "shared", key=SECOND, headers=OTHER)
    ask["model"] = f"shared/{model('say', text='my own', need=SECOND)}"
    told = await house.http.post("/v1/chat/completions", json=ask, headers=OTHER)
    assert told.json()["choices"][0]["message"]["content"] == "my own"
    await house.http.delete(f"{PROVIDERS}/shared", headers=OTHER)
    await house.http.delete(f"{PROVIDERS}/shared", params={"scope": "all"})


async def test_other_apps_providers_do_not_exist(house: House, model_server: ModelServer):
    await stored(house, model_server, "mine")
    assert (await house.http.get(f"{PROVIDERS}/mine", headers=OTHER)).status_code == 404
    assert (await house.http.get(PROVIDERS, params={"app": "demo"}, headers=OTHER)).status_code == 404
    asked = {"model": "provider:mine/m", "messages": [{"role": "user", "content": "x"}]}
    answer = await house.http.post("/v1/chat/completions", json=asked, headers=OTHER)
    assert (answer.status_code, "there is no provider mine" in answer.text) == (404, True)


async def test_a_tenant_keeps_the_providers_of_another_app(house: House, model_server: ModelServer):
    body = {"id": "kept", "url": model_server.base, "key": FIRST}
    assert (await house.http.post(PROVIDERS, params={"app": "other"}, json=body)).status_code == 201
    assert (await house.http.get(f"{PROVIDERS}/kept", headers=OTHER)).json()["scope"] == "app"
    assert (await house.http.get(f"{PROVIDERS}/kept")).status_code == 404
    assert (await house.http.post(PROVIDERS, params={"app": "nobody"}, json=body)).status_code == 404


async def test_a_bot_and_the_assistant_name_a_provider(house: House, model_server: ModelServer):
    said = model("say", text="from afar", need=FIRST)
    await stored(house, model_server, "afar", models=[said])
    bot = {
        "app_id": "demo",
        "bot_id": "far-bot",
        "regular_config": {},
        "model_config": {"plan": {"api": "", "provider": "afar", "domain": ""}},
    }
    assert (await house.http.post("/agent/v1/bot-config", json=bot)).json()["code"] == 0
    chat = {"bot_id": "far-bot", "uid": "u", "messages": [{"role": "user", "content": "x"}], "stream": False}
    told = (await house.http.post("/agent/v1/chat/completions", json=chat)).text
    assert "from afar" in told
    asked = {"message": "hello there", "preferred_model": f"afar/{said}"}
    assert (await house.http.post("/api/v1/chat", json=asked)).json()["content"] == "from afar"
    assert f"afar/{said}" in (await house.http.get("/api/v1/models")).json()["cloud_models"]
    assert f"afar/{said}" in [one["id"] for one in (await house.http.get("/v1/models")).json()["data"]]


async def test_a_test_says_whether_a_provider_can_be_used(house: House, model_server: ModelServer):
    await stored(house, model_server, "trial")
    fine = (await house.http.post(f"{PROVIDERS}/trial/test", json={"model": model("say", text="x", need=FIRST)})).json()
    assert fine["ok"], fine
    wrong = (await house.http.post(f"{PROVIDERS}/trial/test", json={"model": model("say", text="x", need="sk-sesame-else")})).json()
    assert (wrong["ok"], "401" in wrong["said"], FIRST in json.dumps(wrong)) == (False, True, False)
    await house.http.patch(f"{PROVIDERS}/trial", json={"url": "http://127.0.0.1:9/v1", "key": FIRST})
    assert "cannot be reached" in (await house.http.post(f"{PROVIDERS}/trial/test")).json()["said"]
    await house.http.patch(f"{PROVIDERS}/trial", json={"url": "http://10.255.255.1/v1", "key": FIRST})
    assert "egress_networks" in (await house.http.post(f"{PROVIDERS}/trial/test")).json()["said"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"url": "http://x/v1"}, 422, "id"),
        ({"id": "../x", "url": "http://x/v1"}, 422, "id"),
        ({"id": "x"}, 422, "url"),
        ({"id": "x", "url": "ftp://x"}, 400, "url: expected an address"),
        ({"id": "x", "url": "https://u:sesame@x/v1"}, 400, "without user and password"),
        ({"id": "x", "url": "https://x/v1?key=sesame"}, 400, "a key goes into `key`"),
        ({"id": "x", "url": "https://x/v1", "key": "********"}, 400, "this is a mask"),
        ({"id": "x", "url": "https://x/v1", "key": "sésame"}, 400, "key: expected printable"),
        ({"id": "x", "url": "https://x/v1", "protocol": "gopher"}, 422, "protocol"),
        ({"id": "x", "url": "https://x/v1", "apikey": "sesame"}, 422, "apikey"),
    ],
)
async def test_what_is_wrong_is_said_by_name_and_without_the_key(house: House, body: dict[str, Any], status: int, said: str):
    answer = await house.http.post(PROVIDERS, json=body)
    assert answer.status_code == status, answer.text
    assert said in answer.text
    assert "sesame" not in answer.text
