"""Flows over HTTP: documents saved, read, released, bound, built; keys never come back."""

import json
from typing import Any

import pytest

from projections import flows
from tests.services.api.conftest import House, W, bearer
from tests.services.api.test_chat import scripted, standard
from tests.support.model_server import ModelServer


async def row(house: House, flow: str) -> dict[str, Any]:
    return json.loads(await house.good(f"{W}/protocol/get", {"flow_id": flow}))


async def code(house: House, path: str, body: dict[str, Any], **more: Any) -> int:
    answer = await house.http.post(W + path, json=body, **more)
    assert answer.status_code == 200
    return int(answer.json()["code"])


async def test_a_flow_is_added_read_changed_and_deleted(house: House):
    flow = await house.add(standard(), name="first", description="d")
    said = await row(house, flow)
    assert (str(said["id"]), said["name"], said["app_id"], said["release_status"], said["status"]) == (flow, "first", "demo", 0, 0)
    assert said["data"] == standard()
    assert {"group_id", "version", "source", "tag", "create_at", "update_at", "release_data", "description"} <= set(said)
    await house.good(f"{W}/protocol/update/{flow}", {"name": "second", "description": "", "data": {}})
    assert (await row(house, flow))["name"] == "second"
    assert (await row(house, flow))["description"] == "d"
    await house.good(f"{W}/protocol/delete", {"flow_id": flow, "app_id": "demo"})
    assert await code(house, "/protocol/get", {"flow_id": flow}) == 20201
    assert await code(house, "/protocol/delete", {"flow_id": flow, "app_id": "demo"}) == 20103


async def test_an_update_with_status_one_releases_the_draft(house: House):
    flow = await house.add(standard())
    await house.good(f"{W}/protocol/update/{flow}", {"status": 1, "app_id": "demo"})
    said = await row(house, flow)
    assert said["status"] == 1
    assert said["release_data"] == said["data"]


async def test_keys_become_references_before_anything_is_stored(house: House, model_server: ModelServer):
    document = scripted(model_server)
    document["data"]["nodes"][1]["data"]["nodeParam"].update(apiKey="sk-very-secret", apiSecret="also-secret")
    flow = await house.add(document)
    text = await house.good(f"{W}/protocol/get", {"flow_id": flow})
    assert "secret:" in text
    assert "sk-very-secret" not in text
    assert "also-secret" not in text
    given = json.loads(text)["data"]
    before = await definition(house, flow)
    await house.good(f"{W}/protocol/update/{flow}", {"data": given})
    await house.good(f"{W}/protocol/update/{flow}", {"data": document})
    assert await definition(house, flow) == before
    key = given["data"]["nodes"][1]["data"]["nodeParam"]["apiKey"]
    assert await house.world.secrets.resolve("demo", key) == "sk-very-secret"


async def definition(house: House, flow: str) -> str | None:
    async with house.world.database.connect() as connection:
        found = await flows.find(connection, flow)
    assert found is not None
    return found.definition


async def test_a_reference_of_somebody_else_cannot_be_used(house: House):
    theirs = await house.world.secrets.put("other", "sk-theirs")
    document = standard()
    document["data"]["nodes"][1]["data"]["nodeParam"]["apiKey"] = theirs
    body = {"name": "n", "app_id": "demo", "data": document}
    assert await code(house, "/protocol/add", body) == 20102


def broken(change: str) -> dict[str, Any]:
    document = standard()
    graph = document["data"]
    if change == "no nodes":
        graph["nodes"] = []
    elif change == "nodes missing":
        del graph["nodes"]
    elif change == "unknown kind":
        graph["nodes"][1]["id"] = "alien::1"
    elif change == "twice":
        graph["nodes"].append(graph["nodes"][1])
    elif change == "cycle":
        graph["edges"].append({"sourceNodeId": "message::say", "targetNodeId": "text-joiner::join", "sourceHandle": ""})
    return document


BROKEN = {"no nodes": 22100, "nodes missing": None, "unknown kind": 22101, "twice": 22300, "cycle": 22300}


@pytest.mark.parametrize("change", BROKEN)
async def test_a_broken_document_is_refused_everywhere_and_changes_nothing(house: House, change: str):
    flow = await house.add(standard())
    before = await row(house, flow)
    document = broken(change)
    assert await code(house, "/protocol/add", {"name": "n", "app_id": "demo", "data": document}) == (BROKEN[change] or 20102)
    assert await code(house, f"/protocol/update/{flow}", {"data": document}) == (BROKEN[change] or 20104)
    assert await row(house, flow) == before


async def test_a_cycle_is_named(house: House):
    answer = await house.http.post(f"{W}/protocol/add", json={"name": "n", "app_id": "demo", "data": broken("cycle")})
    assert "message::say" in answer.json()["message"]


async def build(house: House, flow: str) -> list[dict[str, Any]]:
    answer = await house.http.post(f"{W}/protocol/build/{flow}")
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line]


async def test_a_build_says_only_its_end_or_what_is_wrong(house: House):
    (end,) = await build(house, await house.add(standard()))
    assert end["end_of_stream"] is True
    assert end["sid"]
    wrong, end = await build(house, "1234567")
    assert wrong["message"] == "20201:Flow ID not found"
    assert end["end_of_stream"] is True
    wrong, _ = await build(house, "abc")
    assert wrong["message"].startswith("20101:")


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/protocol/get", {"flow_id": "1234567"}, 20201),
        ("/protocol/get", {"flow_id": "abc"}, 20209),
        ("/protocol/update/1234567", {"name": "x"}, 20201),
        ("/protocol/update/abc", {"name": "x"}, 20104),
        ("/protocol/update/1", {"status": 7}, 20104),
        ("/protocol/delete", {"flow_id": "1234567", "app_id": "demo"}, 20103),
        ("/protocol/delete", {"flow_id": "abc", "app_id": "demo"}, 20103),
        ("/protocol/add", {"name": "n", "app_id": "demo", "status": 2}, 20102),
        ("/protocol/add", {"name": "n", "app_id": "nobody"}, 20001),
        ("/publish", {"flow_id": "1234567", "release_status": 1}, 20201),
        ("/publish", {"flow_id": "abc", "release_status": 1}, 20206),
        ("/auth", {"flow_id": "1234567", "app_id": "demo"}, 20201),
        ("/auth", {"flow_id": "abc", "app_id": "demo"}, 20007),
        ("/auth", {"flow_id": "1234567", "app_id": "nobody"}, 20001),
    ],
)
async def test_what_is_unknown_or_malformed_has_its_code(house: House, path: str, body: dict[str, Any], expected: int):
    answer = (await house.http.post(W + path, json=body)).json()
    assert answer["code"] == expected
    assert "data" not in answer


async def test_only_its_app_or_a_tenant_may_touch_a_flow(house: House):
    theirs, mine = await house.add(standard(), app_id="other"), await house.add(standard())
    assert await code(house, "/protocol/get", {"flow_id": theirs}) == 0
    as_other = {"headers": bearer("other")}
    assert await code(house, "/protocol/get", {"flow_id": theirs}, **as_other) == 0
    assert await code(house, "/protocol/get", {"flow_id": mine}, **as_other) == 20201
    assert await code(house, f"/protocol/update/{mine}", {"name": "x"}, **as_other) == 20201
    assert await code(house, "/protocol/delete", {"flow_id": mine, "app_id": "demo"}, **as_other) == 20103
    assert await code(house, "/protocol/delete", {"flow_id": mine, "app_id": "other"}, **as_other) == 20103
    assert await code(house, "/protocol/add", {"name": "n", "app_id": "demo"}, **as_other) == 20002
    assert await code(house, "/publish", {"flow_id": theirs, "release_status": 1}, **as_other) == 20002
    assert await code(house, "/auth", {"flow_id": theirs, "app_id": "other"}, **as_other) == 20002


@pytest.mark.parametrize(
    ("operation", "platform", "expected"),
    [(1, 1, 0), (2, 1, 0), (3, 1, 0), (1, 0, 0), (2, 4, 20006), (9, 1, 20206), (-1, 1, 20206), (1, 16, 20003), (1, 3, 20206)],
)
async def test_operations_and_platforms(house: House, operation: int, platform: int, expected: int):
    flow = await house.add(standard())
    assert await code(house, "/publish", {"flow_id": flow, "release_status": operation, "plat": platform}) == expected


async def test_an_empty_flow_cannot_be_published(house: House):
    flow = (await house.good(f"{W}/protocol/add", {"name": "empty", "app_id": "demo"}))["flow_id"]
    assert await code(house, "/publish", {"flow_id": flow, "release_status": 1, "plat": 1}) == 20206


async def test_publishing_with_data_keeps_whole_nodes(house: House):
    flow = await house.add(standard())
    document = {**standard(), "id": flow, "name": "sent", "version": "v3.0.1"}
    document["data"]["nodes"][3]["data"]["nodeParam"]["template"] = "sent={{output}}"
    await house.good(f"{W}/publish", {"flow_id": flow, "release_status": 1, "plat": 1, "data": document})
    assert (await row(house, flow))["release_data"] == document


async def test_a_published_version_is_never_overwritten(house: House):
    flow = await house.add(standard())
    wish = {"flow_id": flow, "release_status": 1, "plat": 1, "version": "v1.0"}
    await house.good(f"{W}/publish", wish)
    await house.good(f"{W}/publish", wish)
    changed = standard()
    changed["data"]["nodes"][3]["data"]["nodeParam"]["template"] = "two={{output}}"
    await house.good(f"{W}/protocol/update/{flow}", {"data": changed})
    assert await code(house, "/publish", wish) == 20206


async def test_get_flow_info_describes_the_inputs(house: House):
    document = standard()
    outputs = document["data"]["nodes"][0]["data"]["outputs"]
    outputs[0]["schema"]["description"] = "the question"
    outputs.append({"id": "o", "name": "doc", "schema": {"type": "string"}, "fileType": "file", "allowedFileType": ["pdf"]})
    flow = await house.deploy(document)
    said = (await house.http.get(f"{W}/get_flow_info/{flow}")).json()["data"]
    assert said["inputSchema"] == {
        "type": "object",
        "properties": {
            "AGENT_USER_INPUT": {"type": "string", "description": "the question"},
            "doc": {"type": "string", "description": "", "fileType": "pdf"},
        },
        "required": ["AGENT_USER_INPUT"],
    }
    for unfit, expected in (("1234567", 20201), ("abc", 20209), (await house.add(standard()), 20004)):
        assert (await house.http.get(f"{W}/get_flow_info/{unfit}")).json()["code"] == expected


async def test_a_success_without_data_has_no_data(house: House):
    flow = await house.add(standard())
    said = (await house.http.post(f"{W}/protocol/update/{flow}", json={"name": "x"})).json()
    assert set(said) == {"code", "message", "sid"}
    assert said["message"] == "success"


def twice_wrong() -> dict[str, Any]:
    document = standard()
    for node in document["data"]["nodes"][1:-1]:
        node["data"]["nodeParam"] = {"mode": 7, "template": 5}
    return document


async def test_an_invalid_draft_is_refused_with_every_problem_and_nothing_is_stored(house: House):
    flow = await house.add(standard())
    before = await definition(house, flow)
    answer = (await house.http.post(f"{W}/protocol/update/{flow}", json={"data": twice_wrong()})).json()
    assert (answer["code"], "data" in answer) == (20104, False)
    assert len(answer["message"].splitlines()) == len(twice_wrong()["data"]["nodes"]) - 2
    assert await definition(house, flow) == before


async def test_an_invalid_draft_is_kept_on_request_says_what_is_wrong_and_cannot_be_released(house: House):
    answered = await house.good(
        f"{W}/protocol/add", {"name": "n", "app_id": "demo", "status": 0, "data": twice_wrong(), "keep_invalid": True}
    )
    flow, first = answered["flow_id"], answered["problems"][0]
    assert (first["code"], first["message"].count("nodeParam") > 0) == (20102, True)
    assert (await row(house, flow))["data"] == twice_wrong()
    async with house.chat(flow, debug=True) as answer:
        refused = json.loads(await answer.aread())
    assert (refused["code"], refused["message"]) == (20100, first["message"])
    assert await code(house, f"/protocol/update/{flow}", {"status": 1, "app_id": "demo"}) == 20104
    assert await code(house, "/publish", {"flow_id": flow, "release_status": 1, "plat": 1}) == 20206
    both = {"name": "n", "app_id": "demo", "status": 1, "data": twice_wrong(), "keep_invalid": True}
    assert await code(house, "/protocol/add", both) == 20102


async def test_what_looks_like_a_mistake_is_answered_beside_the_success(house: House):
    document = standard()
    document["data"]["nodes"][1]["data"]["nodeParam"]["prompt"] = "{{nope}}"
    answered = await house.good(f"{W}/protocol/add", {"name": "n", "app_id": "demo", "status": 0, "data": document})
    assert ["nope" in warning for warning in answered["warnings"]] == [True]
    updated = await house.good(f"{W}/protocol/update/{answered['flow_id']}", {"data": document})
    assert updated == {"warnings": answered["warnings"]}
