"""The example flows of the specification, end to end: streamed, in one piece and debugged. The whole line runs, all over sockets."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.services.api.conftest import House
from tests.services.api.test_chat import content, frames
from tests.services.api.test_questions import answered
from tests.support.examples import TOOL, order_desk, price_list, tea_adviser
from tests.support.model_server import ModelServer
from tests.support.tool_server import Asked, ToolServer, tool_server

SHELF = {"ab": 3, "cd": 4.5}
SOLD = {"AGENT_USER_INPUT": "Lin", "items": ["ab", "gone", "cd"]}
LINES = '{"lines":["ab=3","","cd=4.5"],"choice":"default"}'


def price(asked: Asked) -> Any:
    sku = dict(asked.query)["sku"]
    return {"price": SHELF[sku]} if sku in SHELF else (500, "text/plain", b"out of stock")


@pytest.fixture
async def prices(house: House) -> AsyncIterator[ToolServer]:
    """The order desk's tool, in the app's register."""
    with tool_server() as server:
        server.answers["/price"] = price
        stored = await house.http.put(f"/v1/tools/{TOOL}", json={"kind": "openapi", "document": price_list(server.url)})
        assert stored.status_code == 200
        yield server
        await house.http.delete(f"/v1/tools/{TOOL}")


async def streamed(house: House, flow: str, said: str = "Lin", **more: Any) -> tuple[str, list[dict[str, Any]]]:
    async with house.chat(flow, said, **more) as answer:
        return answer.headers["x-event-id"], await frames(answer)


async def whole(house: House, flow: str, said: str = "Lin", **more: Any) -> dict[str, Any]:
    async with house.chat(flow, said, stream=False, **more) as answer:
        return json.loads(await answer.aread())


def thoughts(found: list[dict[str, Any]]) -> list[str]:
    return [frame["choices"][0]["delta"]["reasoning_content"] for frame in found]


def ends(found: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """The kinds of nodes that ended, in order, with what they gave."""
    nodes = [frame["workflow_step"]["node"] for frame in found if frame["workflow_step"]["progress"] > 0]
    return [(node["id"].partition("::")[0], node["outputs"]) for node in nodes if node.get("finish_reason") == "stop"]


def prompt(server: ModelServer, key: str, call: int = -1) -> list[tuple[str, str]]:
    return [(one["role"], one["content"]) for one in server.calls(key)[call].body["messages"]]


async def test_the_tea_adviser_thinks_aloud_then_answers_word_by_word(house: House, model_server: ModelServer):
    flow = await house.deploy(tea_adviser(model_server, "tea", thought="a busy day", text="Green tea."))
    _, found = await streamed(house, flow, "so much to do", parameters={"AGENT_USER_INPUT": "so much to do", "strength": 4})
    assert thoughts(found) == ["a ", "busy ", "day", "", "", "", "", ""]
    assert content(found) == ["", "", "", "Try this: ", "Green ", "tea.", "\n", ""]
    assert [frame["workflow_step"]["seq"] for frame in found] == list(range(1, 9))
    assert found[-1]["choices"][0]["finish_reason"] == "stop"
    assert found[-1]["usage"]["total_tokens"] > 0
    assert prompt(model_server, "tea") == [("system", "You know tea."), ("user", "Mood brisk, strength 4 of 5. Recommend one tea.")]
    assert prompt(model_server, "tea-mood")[-1] == ("user", "so much to do")


async def test_the_tea_adviser_in_one_piece_and_debugged_says_the_same(house: House, model_server: ModelServer):
    flow = await house.deploy(tea_adviser(model_server, "tea-whole", thought="a busy day", text="Green tea."))
    said = await whole(house, flow)
    delta = said["choices"][0]["delta"]
    assert (delta["reasoning_content"], delta["content"]) == ("a busy day", "Try this: Green tea.\n")
    _, found = await streamed(house, flow, debug=True)
    assert ("".join(thoughts(found)), "".join(content(found))) == ("a busy day", "Try this: Green tea.\n")
    assert [kind for kind, _ in ends(found)] == ["node-start", "extractor-parameter", "spark-llm", "node-end", "flow_obj"]
    assert dict(ends(found))["node-end"] == {"advice": "Green tea.", "why": "a busy day"}
    assert (await whole(house, flow, debug=True))["choices"] == said["choices"]


async def test_the_tea_adviser_remembers_two_rounds_of_its_chat(house: House, model_server: ModelServer):
    flow = await house.deploy(tea_adviser(model_server, "tea-chat", text="Oolong."))
    for said in ("one", "two", "three", "four"):
        await streamed(house, flow, said, chat_id="tea-chat")
    rounds = [("user", "two"), ("assistant", "Try this: Oolong.\n"), ("user", "three"), ("assistant", "Try this: Oolong.\n")]
    assert prompt(model_server, "tea-chat")[1:-1] == rounds


async def test_the_tea_adviser_takes_its_preset_for_a_mood_that_nobody_can_read(house: House, model_server: ModelServer):
    flow = await house.deploy(tea_adviser(model_server, "tea-calm", found="who knows", text="Mint."))
    _, found = await streamed(house, flow)
    assert "".join(content(found)) == "Try this: Mint.\n"
    assert prompt(model_server, "tea-calm")[-1] == ("user", "Mood calm, strength 2 of 5. Recommend one tea.")


@pytest.mark.parametrize("debug", [False, True])
async def test_the_order_desk_asks_and_goes_on_with_the_answer(house: House, *, debug: bool):
    flow = await house.deploy(order_desk())
    run, found = await streamed(house, flow, debug=debug)
    assert found[-1]["choices"][0]["finish_reason"] == "interrupt"
    asked = found[-1]["event_data"]["value"]
    assert (asked["content"], [one["id"] for one in asked["option"]]) == ("Lin, tea or coffee?", ["A", "B", "default"])
    rest = await answered(house, run, "A", debug=debug)
    assert "".join(content(rest)) == 'One Tea coming.{"lines":[],"choice":"A"}'
    assert rest[-1]["choices"][0]["finish_reason"] == "stop"
    if debug:
        assert [kind for kind, _ in ends(found)] == ["node-start", "if-else"]
        assert [kind for kind, _ in ends(rest)] == ["question-answer", "message", "node-end", "flow_obj"]
        assert dict(ends(rest))["question-answer"] == {"query": "Lin, tea or coffee?", "content": "Tea", "id": "A"}


@pytest.mark.parametrize(
    ("said", "shown"),
    [("B", 'Noted Coffee.{"lines":[],"choice":"B"}'), ("milk", 'Noted .{"lines":[],"choice":"default"}')],
)
async def test_the_order_desk_asks_and_is_answered_in_one_piece(house: House, said: str, shown: str):
    flow = await house.deploy(order_desk())
    asked = await whole(house, flow)
    assert (asked["choices"][0]["finish_reason"], asked["event_data"]["value"]["type"]) == ("interrupt", "option")
    rest = await answered(house, asked["event_data"]["event_id"], said)
    assert (rest["choices"][0]["delta"]["content"], rest["choices"][0]["finish_reason"]) == (shown, "stop")


async def test_the_order_desk_asks_its_tool_for_each_price_and_a_missing_one_takes_the_failure_edge(house: House, prices: ToolServer):
    flow = await house.deploy(order_desk())
    run, found = await streamed(house, flow, parameters=SOLD)
    assert content(found) == [LINES, ""]
    assert [dict(one.query)["sku"] for one in prices.asked] == ["ab", "gone", "gone", "gone", "cd"]
    record = (await house.http.get(f"/v1/runs/{run}/events", headers={"Accept": "application/json"})).json()["events"]
    kinds = [one["type"] for one in record]
    assert (kinds.count("tool.called"), kinds.count("tool.returned"), kinds.count("round.completed")) == (5, 5, 3)
    assert (await whole(house, flow, parameters=SOLD))["choices"][0]["delta"]["content"] == LINES


async def test_a_debugged_order_desk_shows_every_round(house: House, prices: ToolServer):
    _, found = await streamed(house, await house.add(order_desk()), parameters=SOLD, debug=True)
    assert [given for kind, given in ends(found) if kind == "plugin"] == [{"price": 3}, {}, {"price": 4.5}]
    assert [given for kind, given in ends(found) if kind == "iteration-node-end"] == [{"line": "ab=3"}, {"line": ""}, {"line": "cd=4.5"}]
    assert dict(ends(found))["flow_obj"] == {"lines": ["ab=3", "", "cd=4.5"], "choice": "default"}
    failed = [frame["workflow_step"]["node"]["error_outputs"] for frame in found]
    assert [one["errorCode"] for one in failed if one] == [23400]
    assert len(prices.asked) == 5
