"""The cases of astron.md 12.4 that need the doors; those of the engine are in `tests/core/test_twelve_four.py`.

More of rows 1 and 2 is in `test_identity.py` and `test_bad_input.py`, of row 20 in `test_chat.py` and `test_questions.py`.
"""

import json
from typing import Any

import httpx
import pytest

from tests.services.api.conftest import House, W
from tests.services.api.test_chat import content, frames, scripted, standard
from tests.services.api.test_flows import row
from tests.support.model_server import ModelServer

CHAT = f"{W}/chat/completions"


@pytest.mark.parametrize("path", [CHAT, f"{W}/debug/chat/completions"])
async def test_row_1_the_underscore_header_is_read_as_the_hyphened_one_and_without_either_it_is_460(house: House, path: str):
    body: dict[str, Any] = {"flow_id": "1234567", "parameters": {}}
    async with httpx.AsyncClient(base_url=house.http.base_url, trust_env=False) as client:
        named = await client.post(path, json=body, headers={"x_consumer_username": "demo"})
        nobody = await client.post(path, json=body)
    assert (named.status_code, named.json()["code"]) == (200, 20201)
    assert (nobody.status_code, nobody.json()["code"]) == (200, 460)
    assert "header->x-consumer-username" in nobody.json()["message"]


@pytest.mark.parametrize("path", [CHAT, f"{W}/debug/chat/completions"])
async def test_row_2_without_parameters_the_answer_is_e2(house: House, path: str):
    answer = await house.http.post(path, json={"flow_id": "7"})
    said = answer.json()
    assert (answer.status_code, said["code"], isinstance(said["created"], float), said["created"] > 10**12) == (200, 460, True, True)
    assert "body->parameters" in said["message"]
    assert {"code", "message", "id", "created"} <= set(said)
    assert not {"choices", "workflow_step", "sid", "data"} & set(said)


async def test_row_3_an_unknown_flow_is_json_with_its_nulls_though_a_stream_was_asked_for(house: House):
    answer = await house.http.post(CHAT, json={"flow_id": "1234567", "parameters": {}, "stream": True})
    said = answer.json()
    assert answer.headers["content-type"].startswith("application/json")
    assert (said["code"], said["message"]) == (20201, "Flow ID not found")
    assert said["workflow_step"] == {"node": None, "seq": 0, "progress": 1.0}
    assert (said["choices"][0]["finish_reason"], said["event_data"]) == ("stop", None)


async def test_row_19_a_flow_is_callable_while_it_is_published_and_its_versions_stay_as_they_were(house: House):
    flow = await house.add(standard())

    async def publish(operation: int, **more: Any) -> int:
        await house.good(f"{W}/publish", {"flow_id": flow, "release_status": operation, "plat": 1, **more})
        return (await row(house, flow))["release_status"]

    async def called(**more: Any) -> Any:
        async with house.chat(flow, stream=False, **more) as answer:
            said = json.loads(await answer.aread())
        return said["code"] or said["choices"][0]["delta"]["content"]

    assert await publish(2) == 8
    await house.good(f"{W}/auth", {"flow_id": flow, "app_id": "demo"})
    assert await called() == "msg=Hi bob;end=Hi bob"
    assert await publish(3) == 2
    assert await called() == 20204
    assert await publish(1, version="v1.0") == 1
    changed = standard()
    changed["data"]["nodes"][3]["data"]["nodeParam"]["template"] = "two={{output}}"
    await house.good(f"{W}/protocol/update/{flow}", {"data": changed})
    await publish(1, version="v2.0")
    assert [await called(version=version) for version in ("v1.0", "v2.0", "")] == [
        "msg=Hi bob;end=Hi bob", "msg=Hi bob;two=Hi bob", "msg=Hi bob;two=Hi bob",
    ]  # fmt: skip
    assert await called(version="v3.0") == 20204
    assert await publish(3) == 2
    assert [await called(version="v1.0"), await called()] == [20204, 20204]


async def test_row_20_who_reconnects_with_the_last_seq_gets_the_remaining_frames_once(house: House, model_server: ModelServer):
    flow = await house.deploy(scripted(model_server, text="one two three four", hold=1, key="row-20"))
    model_server.release("row-20", 2)
    async with house.chat(flow) as answer:
        first = await frames(answer, until=2)
    model_server.release("row-20", 2)
    path = f"{CHAT}/{answer.headers['x-event-id']}"
    async with house.http.stream("GET", path, params={"after_seq": first[-1]["workflow_step"]["seq"]}) as again:
        rest = await frames(again)
    assert content(first + rest) == ["one ", "two ", "three ", "four", ""]
    assert [frame["workflow_step"]["seq"] for frame in first + rest] == [1, 2, 3, 4, 5]
