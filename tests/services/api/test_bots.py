"""The configuration of bots over HTTP: stored without keys, shown with defaults, each app its own."""

from typing import Any

import pytest

from events.topics import bot_stream
from tests.services.api.bots import CONFIG, asked, configuration, made
from tests.services.api.conftest import House, bearer
from tests.support.model_server import ModelServer


async def test_a_bot_is_created_read_changed_and_removed(house: House):
    body = configuration("life")
    assert (await house.http.post(CONFIG, json=body)).json()["data"]["bot_id"] == "life"
    assert (await house.http.post(CONFIG, json=body)).json()["code"] == 40053
    which = {"app_id": "demo", "bot_id": "life"}
    shown = (await house.http.get(CONFIG, params=which)).json()["data"]
    assert shown["knowledge_config"] == {"score_threshold": 0.3, "top_k": 3}
    assert shown["regular_config"] == {"match": {"repoId": [], "docId": []}, "rag": {"type": "AIUI-RAG2"}}
    shown["model_config"]["plan"]["domain"] = "another"
    assert (await house.http.put(CONFIG, json=shown)).json()["data"]["model_config"]["plan"]["domain"] == "another"
    gone = await house.http.delete(CONFIG, params=which)
    assert gone.json() == {"code": 0, "message": "success", "data": None}
    again = [
        await house.http.get(CONFIG, params=which),
        await house.http.delete(CONFIG, params=which),
        await house.http.put(CONFIG, json=body),
    ]
    assert [(one.status_code, one.json()["code"]) for one in again] == [(200, 40001)] * 3


async def test_unknown_keys_are_kept(house: House):
    body = {**configuration("kept"), "colour": "blue"}
    assert (await house.http.post(CONFIG, json=body)).json()["data"]["colour"] == "blue"


async def test_a_key_is_never_shown_and_never_on_the_record(house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="hi", key="keys")
    which = {"app_id": "demo", "bot_id": bot}
    shown = (await house.http.get(CONFIG, params=which)).json()["data"]
    reference = shown["model_config"]["plan"]["sk"]
    assert reference.startswith("secret:")
    assert (await house.http.put(CONFIG, json=shown)).json()["data"]["model_config"]["plan"]["sk"] == reference
    run = await house.http.post("/agent/v1/chat/completions", json=asked(bot, stream=False))
    assert run.json()["code"] == 0
    assert model_server.calls("keys")[-1].headers["authorization"] == "Bearer sk-of-the-bot"
    told = [
        (await house.http.get("/v1/audit/events", params={"type": "bot.configured"})).text,
        (await house.http.get(f"/v1/runs/{run.headers['x-event-id']}/events", headers={"Accept": "application/json"})).text,
    ]
    assert all("sk-of-the-bot" not in one for one in told)
    assert reference in told[1]


async def test_a_reference_of_another_app_is_refused(house: House):
    body = configuration("thief")
    body["model_config"]["plan"]["sk"] = "secret:" + "0" * 32
    answer = (await house.http.post(CONFIG, json=body)).json()
    assert answer["code"] == 40003
    assert "send the key itself" in answer["message"]


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"regular_config": None}, 40002, "regular_config"),
        ({"bot_id": ""}, 40002, "bot_id"),
        ({"bot_id": "x" * 65}, 40002, "bot_id"),
        ({"tool_ids": "t"}, 40002, "tool_ids"),
        ({"model_config": {"plan": {"api": "ftp://x", "domain": "m"}}}, 40003, "model_config.plan.api"),
        ({"model_config": {"plan": {"api": "", "domain": "m", "parameter": {"temperature": 3}}}}, 40002, "temperature"),
        ({"model_config": {}}, 40002, "plan"),
        ({"app_id": "nobody"}, 40040, "app_id"),
    ],
)
async def test_a_wrong_configuration_names_the_field_and_writes_nothing(house: House, change: dict[str, Any], code: int, named: str):
    body = {**configuration("wrong"), **change}
    answer = (await house.http.post(CONFIG, json=body)).json()
    assert (answer["code"], answer["data"]) == (code, None)
    assert named in answer["message"]
    assert (await house.http.get(CONFIG, params={"app_id": "demo", "bot_id": "wrong"})).json()["code"] == 40001


async def test_other_apps_bots_do_not_exist_but_a_tenant_may_act_for_them(house: House):
    await house.http.post(CONFIG, json=configuration("mine"))
    which = {"app_id": "demo", "bot_id": "mine"}
    other = bearer("other")
    assert (await house.http.get(CONFIG, params=which, headers=other)).json()["code"] == 40001
    assert (await house.http.delete(CONFIG, params=which, headers=other)).json()["code"] == 40001
    assert (await house.http.put(CONFIG, json=configuration("mine"), headers=other)).json()["code"] == 40001
    assert (await house.http.post(CONFIG, json={**configuration("mine"), "app_id": "other"}, headers=other)).json()["code"] == 40053
    theirs = {**configuration("theirs"), "app_id": "other"}
    assert (await house.http.post(CONFIG, json=theirs)).json()["code"] == 0
    assert (await house.http.get(CONFIG, params={"app_id": "other", "bot_id": "theirs"}, headers=other)).json()["code"] == 0


@pytest.mark.parametrize("params", [{}, {"app_id": "demo"}, {"app_id": "demo", "bot_id": ""}, {"app_id": "a" * 65, "bot_id": "b"}])
async def test_which_bot_must_be_said(house: House, params: dict[str, str]):
    answer = await house.http.get(CONFIG, params=params)
    assert (answer.status_code, answer.json()["code"]) == (200, 40002)


async def test_nobody_is_40002_and_a_wrong_key_a_real_401(house: House):
    nobody = await house.http.get(CONFIG, params={"app_id": "demo", "bot_id": "b"}, headers={"Authorization": ""})
    wrong = await house.http.get(CONFIG, params={"app_id": "demo", "bot_id": "b"}, headers={"Authorization": "Bearer demo-key:no"})
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["doc_code"]) == (401, 40040, 1002)
    house.http.headers.pop("authorization")
    try:
        none = await house.http.get(CONFIG, params={"app_id": "demo", "bot_id": "b"})
    finally:
        house.http.headers.update(bearer("demo"))
    assert (none.status_code, none.json()["code"]) == (200, 40002)
    assert nobody.status_code == 401


async def test_every_change_of_a_bot_is_audited(house: House):
    await house.http.post(CONFIG, json=configuration("audited"))
    await house.http.delete(CONFIG, params={"app_id": "demo", "bot_id": "audited"})
    found = (await house.http.get("/v1/audit/events", params={"limit": 10})).json()
    events = [event for event in found["events"] if event["stream"] == bot_stream("audited")]
    assert [event["type"] for event in events] == ["bot.removed", "bot.configured"]
