"""Flows as the record knows them: list, content, differences, changes; versions to compare with; licences taken away."""

from typing import Any

import httpx
import jsonpatch

from tests.services.api.conftest import House, W, bearer
from tests.services.api.test_chat import standard


def renamed(alias: str) -> dict[str, Any]:
    document = standard()
    document["data"]["nodes"][0]["data"]["nodeMeta"]["aliasName"] = alias
    return document


async def read(house: House, path: str, **more: Any) -> Any:
    answer = await house.http.get(path, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def code_of(answer: httpx.Response) -> int:
    return int(answer.json()["code"])


async def called(house: House, flow: str, **more: Any) -> int:
    async with house.chat(flow, stream=False, **more) as answer:
        await answer.aread()
        return code_of(answer)


async def removed(house: House, path: str, body: dict[str, Any]) -> int:
    return code_of(await house.http.request("DELETE", path, json=body))


async def test_a_flow_is_listed_with_its_versions_and_licences(house: House):
    flow = await house.deploy(standard(), version="v1.0")
    newest = (await read(house, "/v1/flows", params={"limit": 1}))["flows"][0]
    assert newest["flow_id"] == flow
    said = await read(house, f"/v1/flows/{flow}")
    assert [one["version"] for one in said["versions"]] == ["v1.0"]
    assert (said["bindings"], said["is_callable"]) == (["demo"], True)


async def test_pages_of_flows_follow_each_other(house: House):
    wanted = {await house.add(standard()) for _ in range(3)}
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await read(house, "/v1/flows", params={"limit": 2, "cursor": cursor})
        found += [one["flow_id"] for one in page["flows"]]
        cursor = page["cursor"]
    assert wanted <= set(found)
    assert len(found) == len(set(found))


async def test_the_difference_of_two_versions_leads_from_one_to_the_other(house: House):
    flow = await house.deploy(renamed("old"), version="v1.0")
    await house.good(f"{W}/protocol/update/{flow}", {"data": renamed("new")})
    said = await read(house, f"/v1/flows/{flow}/diff", params={"from": "v1.0", "to": "draft"})
    assert said["equal"] is False
    assert said["patch"] == [{"op": "replace", "path": "/data/nodes/0/data/nodeMeta/aliasName", "value": "new"}]
    old = await read(house, f"/v1/flows/{flow}/document", params={"version": "v1.0"})
    new = await read(house, f"/v1/flows/{flow}/document")
    assert jsonpatch.apply_patch(old["document"], said["patch"]) == new["document"]
    same = await read(house, f"/v1/flows/{flow}/diff", params={"from": "v1.0", "to": "release"})
    assert (same["equal"], same["patch"]) == (True, [])


async def test_a_version_that_is_not_there_is_named(house: House):
    flow = await house.deploy(standard())
    answer = await house.http.get(f"/v1/flows/{flow}/diff", params={"from": "v9.9"})
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("from: the flow has no such version")


async def test_who_changed_what_is_told_newest_first_in_pages(house: House):
    flow = await house.deploy(standard(), version="v1.0")
    first = await read(house, f"/v1/flows/{flow}/changes", params={"limit": 2})
    rest = await read(house, f"/v1/flows/{flow}/changes", params={"limit": 2, "cursor": first["cursor"]})
    assert [(one["type"], one["actor"], one["position"]) for one in first["changes"] + rest["changes"]] == [
        ("flow.bound", "demo", 3),
        ("flow.published", "demo", 2),
        ("flow.drafted", "demo", 1),
    ]
    assert rest["cursor"] is None


async def test_the_flow_of_another_app_does_not_exist(house: House):
    flow = await house.deploy(standard())
    for path in ("", "/document", "/diff", "/changes"):
        answer = await house.http.get(f"/v1/flows/{flow}{path}", headers=bearer("other"))
        assert answer.status_code == 404


async def test_a_comparison_runs_in_debug_and_is_never_called_or_released(house: House):
    flow = await house.deploy(standard())
    version = {"flow_id": flow, "version": "try-1"}
    await house.good(f"{W}/protocolcompare/save", {**version, "data": renamed("tried")})
    async with house.chat(flow, debug=True, version="try-1") as answer:
        assert "tried" in (await answer.aread()).decode()
    assert await called(house, flow, version="try-1") == 20204
    assert list((await read(house, f"/v1/flows/{flow}"))["compared"]) == ["try-1"]
    for spelling in ("protocol/compare", "protocolcompare"):
        assert await house.good(f"{W}/{spelling}/get", version) == renamed("tried")
    missing = await house.http.post(f"{W}/protocol/compare/get", json={**version, "version": "try-2"})
    assert missing.json()["code"] == 20201
    assert await removed(house, f"{W}/protocol/compare/delete", version) == 0
    assert await removed(house, f"{W}/protocol/compare/delete", version) == 20103
    assert await called(house, flow, version="try-1", debug=True) == 20204


async def test_an_app_that_was_unbound_may_not_call_until_it_is_bound_again(house: House):
    flow = await house.deploy(standard())
    binding = {"flow_id": flow, "app_id": "demo"}
    assert await removed(house, "/v1/auth", binding) == 0
    assert await called(house, flow) == 20005
    assert await removed(house, f"{W}/auth", binding) == 20007
    await house.good(f"{W}/auth", binding)
    assert await called(house, flow) == 0
