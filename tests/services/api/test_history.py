"""A chat remembers: the next run sees the last answer, whether rows are there or not, and says what it was given (7)."""

import json
from typing import Any

from tests.services.api.conftest import House
from tests.services.api.test_chat import content, frames
from tests.services.api.test_questions import answered
from tests.support.asking import question
from tests.support.flows import at, end, flow, llm, start
from tests.support.model_server import ModelServer, model


def remembering(server: ModelServer, rounds: int | None = 2, **more: Any) -> dict[str, Any]:
    """A model that repeats its prompt, with the last rounds of the chat in it."""
    name = model("echo")
    switch = {} if rounds is None else {"enableChatHistoryV2": {"isEnabled": True, "rounds": rounds}}
    account = {"model": name, "domain": name, "url": server.url, "apiKey": "any", "maxTokens": 100_000, **switch, **more}
    return flow(
        start(AGENT_USER_INPUT="string"),
        llm("ask", "{{q}}", param=account, q=at("start.AGENT_USER_INPUT")),
        end("{{out}}", out=at("ask.output")),
        edges="start > ask > end",
    )


async def prompt(house: House, flow_id: str, said: str, **more: Any) -> list[tuple[str, str]]:
    async with house.chat(flow_id, said, **more) as answer:
        text = "".join(content(await frames(answer)))
    return [(one["role"], one["content"]) for one in json.loads(text)]


async def test_the_next_run_of_a_chat_sees_the_last_rounds(house: House, model_server: ModelServer):
    flow_id = await house.deploy(remembering(model_server))
    first = await prompt(house, flow_id, "one", chat_id="remembering")
    assert first == [("user", "one")]
    second = await prompt(house, flow_id, "two", chat_id="remembering")
    assert [role for role, _ in second] == ["user", "assistant", "user"]
    assert (second[0], json.loads(second[1][1])[0]["content"], second[2]) == (("user", "one"), "one", ("user", "two"))
    assert len(await prompt(house, flow_id, "three", chat_id="remembering")) == 5
    assert len(await prompt(house, flow_id, "four", chat_id="remembering")) == 5


async def test_other_chats_no_chat_and_a_callers_own_history_see_nothing_of_it(house: House, model_server: ModelServer):
    flow_id = await house.deploy(remembering(model_server))
    await prompt(house, flow_id, "one", chat_id="secretive")
    assert await prompt(house, flow_id, "two", chat_id="another") == [("user", "two")]
    assert await prompt(house, flow_id, "two") == [("user", "two")]
    own = [{"role": "user", "content": "mine"}, {"role": "assistant", "content": "yours"}]
    assert await prompt(house, flow_id, "two", chat_id="secretive", history=own) == [
        ("user", "mine"),
        ("assistant", "yours"),
        ("user", "two"),
    ]


async def test_what_a_node_was_given_is_in_the_run_and_in_debug_frames(house: House, model_server: ModelServer):
    flow_id = await house.add(remembering(model_server, 1))
    await prompt(house, flow_id, "one", chat_id="shown", debug=True)
    async with house.chat(flow_id, "two", chat_id="shown", debug=True) as answer:
        found = await frames(answer)
    (given,) = [
        frame["workflow_step"]["node"]["inputs"]["chatHistory"]
        for frame in found
        if "chatHistory" in frame["workflow_step"]["node"]["inputs"] and frame["workflow_step"]["node"].get("finish_reason") == "stop"
    ]
    assert [one["role"] for one in given] == ["user", "assistant"]
    run = answer.headers["x-event-id"]
    events = (await house.http.get(f"/v1/runs/{run}/events", headers={"Accept": "application/json"})).json()["events"]
    assert events[0]["data"]["remembered"]["words"] == given
    assert [one["data"]["history"]["words"] for one in events if one["type"] == "node.started" and one["data"]["history"]] == [given]
    (node,) = [
        one for one in (await house.http.get(f"/v1/runs/{run}?min_position={len(events)}")).json()["nodes"] if one["kind"] == "spark-llm"
    ]
    assert node["inputs"]["chatHistory"] == given


async def test_questions_and_answers_of_a_run_are_rounds_and_messages_of_its_chat(house: House, model_server: ModelServer):
    asking = await house.deploy(
        flow(
            start(AGENT_USER_INPUT="string"),
            question("ask", "Your name?"),
            end("Hi {{c}}", c=at("ask.content")),
            edges="start > ask > end",
        )
    )
    async with house.chat(asking, "hello", chat_id="named") as answer:
        await frames(answer)
    await answered(house, answer.headers["x-event-id"], "Bo")
    told = [("user", "hello"), ("assistant", "Your name?"), ("user", "Bo"), ("assistant", "Hi Bo")]
    flow_id = await house.deploy(remembering(model_server, 9))
    assert await prompt(house, flow_id, "and now?", chat_id="named") == [*told, ("user", "and now?")]
    messages = (await house.http.get("/v1/chats/named/messages")).json()["messages"]
    assert [(one["role"], one["content"]) for one in messages[:4]] == told
