"""Bots and agent nodes whose model calls a flow, the whole line running: the flow is a run of its own, its end the observation."""

import json
from typing import Any

import pytest

from tests.services.api.bots import CHAT, asked, chunks, content, made
from tests.services.api.children import cancelled_at_work, child_of
from tests.services.api.conftest import House, W
from tests.services.api.test_chat import content as told
from tests.services.api.test_chat import frames, scripted
from tests.services.api.test_questions import record
from tests.support.asking import direct
from tests.support.flows import Part, at, end, flow, start
from tests.support.model_server import ModelServer, model

CALL = "Thought: ask the flow\nAction: a_flow\nAction Input: {}\n|Thought: I know\nFinal Answer: it is so"


def turns(**arguments: Any) -> str:
    return CALL.format(json.dumps(arguments))


def agent(flow_id: str, server: ModelServer, **script: Any) -> dict[str, Any]:
    """A flow whose agent may call another one."""
    param = {
        "appId": "a", "apiKey": "k", "apiSecret": "s", "maxLoopCount": 3,
        "modelConfig": {"domain": model("say", **script), "api": server.base, "agentStrategy": 1},
        "instruction": {"reasoning": "", "answer": "", "query": "{{q}}"}, "plugin": {"workflowIds": [flow_id]},
    }  # fmt: skip
    return flow(
        start(AGENT_USER_INPUT="string"),
        Part("it", "agent", {"q": at("start.AGENT_USER_INPUT")}, {"output": "string"}, param),
        end("<{{c}}>", c=at("it.output")),
        edges="start > it > end",
    )


def summing(*required: str) -> dict[str, Any]:
    """A flow that answers with its parameters as outputs."""
    return flow(
        start(AGENT_USER_INPUT="string", depth="integer", required=required),
        end(None, asked=at("start.AGENT_USER_INPUT"), depth=at("start.depth")),
        edges="start > end",
    )


def observed(server: ModelServer, key: str) -> str:
    return str(server.calls(key)[-1].body["messages"][-1]["content"])


@pytest.mark.parametrize("mode", ["text", "outputs"])
async def test_a_bot_calls_a_flow_and_answers_with_its_result(house: House, model_server: ModelServer, mode: str):
    key = f"flow-tool-{mode}"
    document = scripted(model_server, text="forty two") if mode == "text" else summing()
    called = await house.deploy(document, "v1.0")
    given = {"AGENT_USER_INPUT": "why"} if mode == "text" else {"AGENT_USER_INPUT": "why", "depth": 3}
    bot = await made(house, model_server, turns=turns(**given), key=key, flow_ids=[called])
    answer = await house.http.post(CHAT, json=asked(bot))
    found = chunks(answer.text)
    assert content(found) == "it is so"
    assert "forty two" not in content(found)
    result: Any = "forty two" if mode == "text" else {"asked": "why", "depth": 3}
    deltas: list[dict[str, Any]] = [chunk["choices"][0]["delta"] for chunk in found]
    (calls,) = [delta["tool_calls"] for delta in deltas if delta["tool_calls"]]
    used: dict[str, Any] = calls[0]
    assert (used["type"], used["reason"], json.loads(used["function"]["response"])) == ("workflow", "ask the flow", result)
    assert observed(model_server, key).removeprefix("Observation: ") in {"forty two", json.dumps(result)}
    offered = model_server.calls(key)[0].body["messages"][0]["content"]
    assert "- a_flow:" in offered
    assert ('"depth": {"type": "integer"' in offered) == (mode == "outputs")
    run = answer.headers["x-event-id"]
    begun = (await record(house, await child_of(house, run)))[0]["data"]
    assert (begun["flow"], begun["flow_version"]) == (called, "v1.0")
    assert begun["parent"] == {"run": run, "node": "agent::chat", "path": [], "attempt": 1, "depth": 1, "as_tool": True}


@pytest.mark.parametrize("why", ["fails", "asks", "misses"])
async def test_a_flow_that_fails_asks_a_person_or_misses_a_parameter_is_an_observation(house: House, model_server: ModelServer, why: str):
    key = f"flow-{why}"
    document, message = {
        "fails": (scripted(model_server, then="error", message="out of order"), "out of order"),
        "asks": (direct(), "asks a person"),
        "misses": (summing("depth"), "depth"),
    }[why]
    called = await house.deploy(document)
    run_flow = await house.deploy(agent(called, model_server, turns=turns(AGENT_USER_INPUT="why"), key=key))
    async with house.chat(run_flow) as answer:
        found = await frames(answer)
    assert "".join(told(found)) == "<it is so>"
    said = json.loads(observed(model_server, key).removeprefix("Observation: "))
    assert said["code"] == "workflow"
    assert message in said["message"]
    inner = await record(house, await child_of(house, answer.headers["x-event-id"]))
    assert inner[-1]["type"] == ("run.cancelled" if why == "asks" else "run.failed")


async def test_cancelling_an_agents_run_ends_the_flow_that_it_called(house: House, model_server: ModelServer):
    called = await house.deploy(scripted(model_server, text="one two", hold=1, key="cancel-tool"))
    run_flow = await house.deploy(agent(called, model_server, turns=turns(AGENT_USER_INPUT="why")))
    async with house.chat(run_flow) as answer:
        run = answer.headers["x-event-id"]
        inner = await cancelled_at_work(house, run)
        model_server.release("cancel-tool", 2)
    assert [(await record(house, one))[-1]["type"] for one in (run, inner)] == ["run.cancelled", "run.cancelled"]


async def test_an_agent_that_calls_its_own_flow_ends_at_the_limit(house: House, model_server: ModelServer):
    own = await house.add(agent("1", model_server))
    document = agent(own, model_server, turns=turns(AGENT_USER_INPUT="why"), key="own")
    await house.good(f"{W}/protocol/update/{own}", {"app_id": "demo", "data": document})
    await house.good(f"{W}/publish", {"flow_id": own, "release_status": 1, "plat": 1, "version": ""})
    await house.good(f"{W}/auth", {"flow_id": own, "app_id": "demo"})
    async with house.chat(own) as answer:
        found = await frames(answer)
    assert "".join(told(found)) == "<it is so>"
    ends = [str(call.body["messages"][-1]["content"]) for call in model_server.calls("own")]
    assert sum("nested 8 deep" in one for one in ends) == 1
