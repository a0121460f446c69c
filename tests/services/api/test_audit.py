"""Content audit over HTTP: every door, every code, and nothing that did not pass anywhere. iFlytek's service is a fake on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from events.app import Key
from events.commands import RegisterApp
from events.topics import app_stream
from services.dev.asking import ask
from services.kit.audit.iflytek import Iflytek
from services.kit.ids import new_id
from services.kit.secrets import passwords
from tests.services.api.conftest import House, W, bearer, running, serving
from tests.services.api.test_chat import content, frames
from tests.support.asking import direct
from tests.support.audit_server import AuditServer
from tests.support.fixtures.doors import teapot
from tests.support.flows import at, end, flow, llm, message, start, subflow
from tests.support.model_server import ModelServer

BAD = "very bad words"


@pytest.fixture(scope="module")
async def audits(anyio_backend: str) -> AsyncIterator[AuditServer]:
    server = AuditServer(refuse=("bad",))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def house(audits: AuditServer, model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("audited")
    teapot(folder)
    own = {"OPENAI_BASE_URL": model_server.base, "OPENAI_API_KEY": "any", "OPENAI_MODEL": "ask", "wiki_root": folder}
    async with running(folder / "house", audit_limit_s=0.4, **own, **audits.environment) as world:
        for name, policy in (("demo", 1), ("free", 0)):
            key = Key(key=f"{name}-key", secret_hash=passwords.create(f"{name}-secret"))
            wish = RegisterApp(app=name, name=name, is_tenant=True, source=1, platform_rights=7, audit_policy=policy, keys=(key,))
            await ask(world, app_stream(name), wish, name, new_id())
        async for house in serving(world):
            yield house


@pytest.fixture(autouse=True)
def fresh(audits: AuditServer) -> None:
    audits.calls.clear()
    audits.script.clear()
    audits.held = None
    audits.arrived.clear()


def account(server: ModelServer, text: str) -> dict[str, Any]:
    """A model that says it; its name does not."""
    name = "say?text=" + "".join(f"%{byte:02x}" for byte in text.encode())
    return {"model": name, "domain": name, "url": server.url, "apiKey": "any"}


def speaking(server: ModelServer, *texts: str) -> dict[str, Any]:
    """A flow that shows what a model says."""
    return flow(
        start(AGENT_USER_INPUT="string"),
        llm("ask", "{{q}}", param=account(server, "".join(texts)), q=at("start.AGENT_USER_INPUT")),
        end("{{said}}", said=at("ask.output")),
        edges="start > ask > end",
    )


async def chat(house: House, document: dict[str, Any], said: str = "bob", **more: Any) -> tuple[str, list[dict[str, Any]]]:
    flow_id = await (house.add(document) if more.get("debug") else house.deploy(document))
    async with house.chat(flow_id, said, **more) as answer:
        found = await frames(answer)
    return answer.headers["x-event-id"], found


async def everywhere(house: House, run: str) -> str:
    """What every reader gets of a run."""
    paths = [f"/v1/runs/{run}{more}" for more in ("", "/text", "/text?from=0", "/events?follow=false", "/events?follow=false&after=3")]
    paths += [f"/v1/runs/{run}/events?follow=false&frames={one}" for one in ("astron", "agent", "openai", "assistant", "deepwiki")]
    paths += [f"/v1/audit/events?event_id={run}&limit=200", f"{W}/chat/completions/{run}"]
    newest = (await house.http.get(f"/v1/runs/{run}/text")).json()["position"]
    await house.http.get(f"/v1/runs/{run}?min_position={newest}")
    texts = [(await house.http.get(path)).text for path in paths]
    return "\n".join(texts)


async def types(house: House, run: str) -> list[str]:
    reply = await house.http.get(f"/v1/runs/{run}/events", headers={"Accept": "application/json"})
    return [one["type"] for one in reply.json()["events"]]


async def test_what_passes_is_shown_by_sentences_and_replayed_without_asking_again(
    house: House, audits: AuditServer, model_server: ModelServer
):
    run, found = await chat(house, speaking(model_server, "Tea ", "is ", "hot. ", "So ", "wait."))
    assert "".join(content(found)) == "Tea is hot. So wait."
    assert found[-1]["code"] == 0
    assert audits.told("input") == ['Parameter "AGENT_USER_INPUT" input is "bob".']
    asked = len(audits.calls)
    async with house.http.stream("GET", f"{W}/chat/completions/{run}") as again:
        assert await frames(again) == found
    assert len(audits.calls) == asked
    sent = [call.body for call in audits.calls if call.path.endswith("output")]
    assert {one["chat_sid"] for one in sent} == {run}
    assert sent[-1]["is_end"] == 1
    assert [one["pindex"] for one in sent if not one["is_pending"]] == sorted({one["pindex"] for one in sent if not one["is_pending"]})


async def test_a_refused_input_is_21102_and_no_node_begins(house: House, model_server: ModelServer):
    run, found = await chat(house, speaking(model_server, "never"), BAD)
    assert (found[-1]["code"], "workflow_step" in found[-1]) == (21102, False)
    assert await types(house, run) == ["run.started", "audit.asked", "audit.judged", "run.failed"]


async def test_a_refused_sentence_is_21103_and_no_door_ever_shows_it(house: House, model_server: ModelServer):
    document = flow(
        start(AGENT_USER_INPUT="string"),
        llm("ask", "{{q}}", param=account(model_server, f"Fine. Now {BAD}. More."), q=at("start.AGENT_USER_INPUT")),
        message("say", "{{said}}", said=at("ask.output")),
        end(None, said=at("ask.output")),
        edges="start > ask > say > end",
    )
    for debug in (False, True):
        run, found = await chat(house, document, debug=debug, chat_id=f"c-{debug}")
        assert "".join(content(found)) == "Fine."
        last = found[-1]
        assert (last["code"], "workflow_step" in last, last["choices"][0]["finish_reason"]) == (21103, False, "stop")
        seen = json.dumps(found) + await everywhere(house, run)
        seen += (await house.http.get(f"/v1/chats/c-{debug}/messages")).text
        assert "bad" not in seen
        assert "Fine." in seen


async def test_one_answer_has_only_what_passed(house: House, model_server: ModelServer):
    flow_id = await house.deploy(speaking(model_server, "Fine. ", BAD, "."))
    body = {"flow_id": flow_id, "uid": "u", "parameters": {"AGENT_USER_INPUT": "x"}, "stream": False}
    reply = await house.http.post(f"{W}/chat/completions", json=body)
    assert reply.json()["code"] == 21103
    assert "bad" not in reply.text


async def test_nodes_and_frames_of_a_good_run_come_without_words_that_were_not_shown(house: House, model_server: ModelServer):
    document = flow(
        start(AGENT_USER_INPUT="string"),
        llm("ask", "{{q}}", param=account(model_server, BAD), q=at("start.AGENT_USER_INPUT")),
        end("done", q=at("ask.output")),
        edges="start > ask > end",
    )
    run, found = await chat(house, document, debug=True)
    assert found[-1]["code"] == 0
    assert "bad" not in json.dumps(found) + await everywhere(house, run)
    newest = (await house.http.get(f"/v1/runs/{run}/text")).json()["position"]
    nodes = (await house.http.get(f"/v1/runs/{run}?min_position={newest}")).json()["nodes"]
    assert nodes[0]["outputs"] == {"AGENT_USER_INPUT": "bob"}


async def test_a_question_and_its_answer_pass_too(house: House, audits: AuditServer):
    run, found = await chat(house, direct(), "Lin")
    assert found[-1]["choices"][0]["finish_reason"] == "interrupt"
    async with house.http.stream("POST", f"{W}/resume", json={"event_id": run, "content": "Bo"}) as answer:
        rest = await frames(answer)
    assert "".join(content(rest)) == "Hi Bo"
    assert audits.told("input")[-1] == "Bo"
    told = await types(house, run)
    assert told.index("answer.held") < told.index("question.answered")


async def test_a_refused_answer_is_21102_and_the_question_stays(house: House):
    run, _ = await chat(house, direct(), "Lin")
    refused = (await house.http.post(f"{W}/resume", json={"event_id": run, "content": BAD})).json()
    assert refused["code"] == 21102
    native = await house.http.post(f"/v1/runs/{run}/answer", json={"content": BAD})
    assert native.json()["code"] == 21102
    async with house.http.stream("POST", f"{W}/resume", json={"event_id": run, "content": "Bo"}) as answer:
        assert "".join(content(await frames(answer))) == "Hi Bo"


async def test_a_refused_question_is_21104(house: House, audits: AuditServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(audits, "refuse", ("name?",))
    run, found = await chat(house, direct(), "Lin")
    assert found[-1]["code"] == 21104
    assert "name?" not in await everywhere(house, run)


@pytest.mark.parametrize("script", [[500, 500], ["10003", "10003"], ["hang", "hang"]])
async def test_no_verdict_is_21101_after_two_tries(house: House, audits: AuditServer, model_server: ModelServer, script: list[Any]):
    audits.script += [0, *script]
    _, found = await chat(house, speaking(model_server, "Fine."))
    assert found[-1]["code"] == 21101
    assert "".join(content(found)) == ""
    assert len(audits.calls) == 3


async def test_a_service_that_recovers_is_asked_again(house: House, audits: AuditServer, model_server: ModelServer):
    audits.script += [503]
    _, found = await chat(house, speaking(model_server, "Fine."))
    assert "".join(content(found)) == "Fine."


async def test_nothing_is_shown_while_the_verdict_is_out(house: House, audits: AuditServer, model_server: ModelServer):
    flow_id = await house.deploy(speaking(model_server, "Fine."))
    audits.held = asyncio.Event()
    async with house.chat(flow_id, "x") as answer:
        await audits.arrived.wait()
        run = answer.headers["x-event-id"]
        waits = (await house.http.get(f"/v1/runs/{run}?min_position=2")).json()["waits"]
        assert [one["what"] for one in waits] == ["audit"]
        audits.held.set()
        assert "".join(content(await frames(answer))) == "Fine."


async def test_the_other_doors_say_it_in_their_own_words(house: House, model_server: ModelServer):
    flow_id = await house.deploy(speaking(model_server, BAD, "."))
    body = {"model": flow_id, "messages": [{"role": "user", "content": "x"}]}
    whole = await house.http.post("/v1/chat/completions", json=body)
    assert (whole.status_code, whole.json()["error"]["code"]) == (400, "audit_output_error")
    refused = await house.http.post("/v1/chat/completions", json={**body, "messages": [{"role": "user", "content": BAD}]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "audit_input_error")
    streamed = await house.http.post("/v1/chat/completions", json={**body, "stream": True})
    assert "audit_output_error" in streamed.text
    assert "bad" not in whole.text + streamed.text


async def test_a_debugged_node_s_outputs_are_judged(house: House, model_server: ModelServer):
    def body(*texts: str) -> dict[str, Any]:
        (node,) = (one for one in speaking(model_server, *texts)["data"]["nodes"] if one["id"].startswith("spark"))
        node["data"]["inputs"] = [{"id": "i", "name": "q", "schema": {"type": "string", "value": {"type": "literal", "content": "x"}}}]
        return {"id": "1", "name": "n", "data": {"nodes": [node], "edges": []}}

    good = (await house.http.post(f"{W}/node/debug", json=body("Fine."))).json()
    assert json.loads(good["data"]["output"]) == {"output": "Fine."}
    refused = await house.http.post(f"{W}/node/debug", json=body(BAD))
    assert refused.json()["code"] == 21103
    assert "bad" not in refused.text


async def test_an_app_without_the_policy_is_never_judged(house: House, audits: AuditServer, model_server: ModelServer):
    flow_id = await house.deploy(speaking(model_server, BAD))
    await house.good(f"{W}/auth", {"flow_id": flow_id, "app_id": "free"})
    async with house.chat(flow_id, BAD, headers=bearer("free")) as answer:
        assert "".join(content(await frames(answer))) == BAD
    assert audits.calls == []


async def test_verdicts_are_counted_and_no_metric_or_log_has_words(house: House, audits: AuditServer, model_server: ModelServer):
    await chat(house, speaking(model_server, BAD, "."))
    text = (await house.http.get("/metrics")).text
    assert 'prozess_audits_total{of="output",verdict="refuse"}' in text
    assert "bad words" not in text


async def test_a_chat_remembers_only_what_was_shown(house: House, audits: AuditServer, model_server: ModelServer):
    run, _ = await chat(house, speaking(model_server, "Fine."), "one", chat_id="remembers")
    newest = (await house.http.get(f"/v1/runs/{run}/text")).json()["position"]
    messages = (await house.http.get(f"/v1/chats/remembers/messages?min_position={run}:{newest}")).json()["messages"]
    assert [(one["role"], one["content"]) for one in messages] == [("user", "one"), ("assistant", "Fine.")]


async def test_a_mistake_of_our_own_is_21100(house: House, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch):
    async def judge(*_: object) -> None:
        raise ValueError(BAD)

    monkeypatch.setattr(Iflytek, "judge", judge)
    _, found = await chat(house, speaking(model_server, "Fine."))
    assert found[-1]["code"] == 21100
    assert "bad" not in json.dumps(found)


async def test_bots_are_judged_too(house: House, model_server: ModelServer):
    account_ = account(model_server, f"Fine. {BAD}.")
    plan = {"api": account_["url"], "domain": account_["model"], "sk": "any"}
    body = {"model_config": {"instruct": "{}", "plan": plan}, "regular_config": {}}
    await house.http.post("/agent/v1/bot-config", json={"app_id": "demo", "bot_id": "judged", **body})
    asks = {"bot_id": "judged", "uid": "u", "messages": [{"role": "user", "content": "x"}]}
    whole = await house.http.post("/agent/v1/chat/completions", json={**asks, "stream": False})
    assert whole.json()["code"] == 40364
    streamed = await house.http.post("/agent/v1/chat/completions", json={**asks, "stream": True})
    assert '"code":40364' in streamed.text.replace(" ", "")
    refused = await house.http.post(
        "/agent/v1/chat/completions", json={**asks, "stream": False, "messages": [{"role": "user", "content": BAD}]}
    )
    assert refused.json()["code"] == 40363
    assert "bad" not in whole.text + streamed.text


@pytest.mark.parametrize(("choice", "code"), [("on", 21102), ("off", 0), ("app", 0)])
async def test_debug_runs_are_judged_as_the_setting_says(
    house: House, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, choice: str, code: int
):
    monkeypatch.setitem(house.world.settings.__dict__, "debug_audit", choice)
    body = {"name": "a flow", "app_id": "free", "status": 0, "data": speaking(model_server, "Fine.")}
    added = (await house.http.post(f"{W}/protocol/add", json=body, headers=bearer("free"))).json()
    async with house.chat(str(added["data"]["flow_id"]), BAD, debug=True, headers=bearer("free")) as answer:
        assert (await frames(answer))[-1]["code"] == code


async def test_the_policy_of_an_app_counts_from_the_next_run_on(house: House, model_server: ModelServer):
    await house.http.post("/v1/apps", json={"app": "turned", "is_tenant": True, "platform_rights": 7})
    flow_id = await house.deploy(speaking(model_server, "Fine."))
    await house.good(f"{W}/auth", {"flow_id": flow_id, "app_id": "turned"})
    key = (await house.http.post("/v1/apps/turned/keys", json={})).json()
    mine = {"Authorization": f"Bearer {key['key']}:{key['secret']}"}
    codes = []
    for policy in (0, 1, 0):
        changed = await house.http.patch("/v1/apps/turned", json={"audit_policy": policy})
        assert changed.json() == {"app": "turned", "audit_policy": policy}
        async with house.chat(flow_id, BAD, headers=mine) as answer:
            codes.append((await frames(answer))[-1]["code"])
    assert codes == [0, 21102, 0]
    for wrong in ({}, {"audit_policy": 2}, {"audit_policy": 1, "enabled": True}):
        assert (await house.http.patch("/v1/apps/turned", json=wrong)).status_code == 422


async def test_a_flow_that_works_for_another_shows_nothing_itself(house: House, model_server: ModelServer):
    child = await house.deploy(speaking(model_server, "Fine. ", BAD, "."))
    parent = flow(
        start(AGENT_USER_INPUT="string"),
        subflow("sub", child, AGENT_USER_INPUT=at("start.AGENT_USER_INPUT")),
        end("{{c}}", c=at("sub.content")),
        edges="start > sub > end",
    )
    run, found = await chat(house, parent)
    assert found[-1]["code"] == 21103
    assert "".join(content(found)) == "Fine."
    events = (await house.http.get(f"/v1/runs/{run}/events?follow=false", headers={"Accept": "application/json"})).json()["events"]
    inner = next(one["data"]["child"] for one in events if one["type"] == "child.started")
    seen = await everywhere(house, inner)
    assert "bad" not in seen
    assert "Fine." not in seen


async def test_what_a_flow_that_works_for_another_would_ask_is_shown_by_no_reader_of_it(house: House, audits: AuditServer):
    child = await house.deploy(direct())
    parent = flow(
        start(AGENT_USER_INPUT="string"),
        subflow("sub", child, AGENT_USER_INPUT=at("start.AGENT_USER_INPUT")),
        end("{{c}}", c=at("sub.content")),
        edges="start > sub > end",
    )
    audits.refuse = ("your name",)
    try:
        run, found = await chat(house, parent, "Lin")
    finally:
        audits.refuse = ("bad",)
    assert found[-1]["code"] == 21104
    events = (await house.http.get(f"/v1/runs/{run}/events?follow=false", headers={"Accept": "application/json"})).json()["events"]
    inner = next(one["data"]["child"] for one in events if one["type"] == "child.started")
    assert "your name" not in await everywhere(house, inner)
    assert "question.asked" in (await house.http.get("/v1/audit/events", params={"event_id": inner})).text


async def test_an_app_that_must_be_judged_where_nobody_judges_gets_21101(tmp_path: Path, model_server: ModelServer):
    async with running(tmp_path) as world:
        async for other in serving(world):
            assert (await other.http.patch("/v1/apps/demo", json={"audit_policy": 1})).is_success
            _, found = await chat(other, speaking(model_server, "Fine."))
            assert (found[-1]["code"], "PROZESS_AUDIT" in found[-1]["message"]) == (21101, True)


@pytest.mark.parametrize("door", ["/api/v1/chat/stream", "/api/v1/chat", "/chat/completions/stream", "/chat/completions/stream?format=sse"])
async def test_the_assistant_and_the_wiki_are_judged_too(house: House, model_server: ModelServer, door: str):
    says = account(model_server, f"Fine. {BAD}.")["model"]
    folder = house.world.settings.wiki_root
    of_wiki = {"repo_url": str(folder and folder / "teapot"), "type": "local", "provider": "openai", "model": says, "language": "en"}
    body = (
        {"message": says, "model_type": "cloud_large"} if "api" in door else {**of_wiki, "messages": [{"role": "user", "content": "what?"}]}
    )
    said = await house.http.post(door, json=body)
    assert "bad" not in said.text
    assert "refused the output" in said.text
    assert "Fine." in said.text or door == "/api/v1/chat"
    asked = {**body, "message": BAD} if "api" in door else {**body, "messages": [{"role": "user", "content": BAD}]}
    assert "refused the input" in (await house.http.post(door, json=asked)).text
