"""Apps and keys over HTTP: secrets told once, scopes kept, what is switched off opens nothing with the next request."""

from typing import Any

from tests.services.api.conftest import House, W, bearer
from tests.services.api.test_chat import standard


async def created(house: House, app: str, **terms: Any) -> dict[str, str]:
    answer = await house.http.post("/v1/apps", json={"app": app, **terms})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def key_for(house: House, app: str, *scopes: str) -> dict[str, str]:
    answer = await house.http.post(f"/v1/apps/{app}/keys", json={"scopes": scopes})
    assert answer.status_code == 201, answer.text
    return answer.json()


def pair(told: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {told['key']}:{told['secret']}"}


def token(told: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {told['token']}"}


async def status(house: House, headers: dict[str, str], path: str = "/v1/runs") -> int:
    return (await house.http.get(path, headers=headers)).status_code


async def test_a_new_apps_pair_and_token_open_at_once_and_are_never_told_again(house: House):
    told = await created(house, "fresh-1")
    assert [await status(house, headers) for headers in (pair(told), token(told))] == [200, 200]
    shown = await house.http.get("/v1/apps/fresh-1")
    assert shown.json()["keys"][0]["key"] == told["key"]
    trail = (await house.http.get("/v1/audit/events", params={"type": "app.registered"})).text
    for text in (shown.text, trail):
        assert told["secret"] not in text
        assert "secret_hash" not in text


async def test_a_taken_or_strange_name_is_refused(house: House):
    assert (await house.http.post("/v1/apps", json={"app": "demo"})).status_code == 409
    for name in ("", "../x", "a b", "x" * 65, "名"):
        assert (await house.http.post("/v1/apps", json={"app": name})).status_code == 422


async def test_a_rotated_key_opens_with_its_new_secret_only(house: House):
    old = await created(house, "rotating")
    new = (await house.http.post(f"/v1/apps/rotating/keys/{old['key']}/rotate")).json()
    assert [await status(house, pair(one)) for one in (old, new)] == [401, 200]


async def test_a_disabled_key_or_app_opens_nothing_with_the_next_request(house: House):
    first = await created(house, "switched")
    second = await key_for(house, "switched", "read")
    assert (await house.http.delete(f"/v1/apps/switched/keys/{second['key']}")).status_code == 200
    assert [await status(house, pair(one)) for one in (first, second)] == [200, 401]
    assert (await house.http.patch("/v1/apps/switched", json={"enabled": False})).status_code == 200
    assert await status(house, pair(first)) == 401
    named = await house.http.post(
        f"{W}/protocol/get", json={"flow_id": "1"}, headers={"x-consumer-username": "switched", "Authorization": ""}
    )
    assert named.json()["code"] in {20000, 20001}
    assert (await house.http.patch("/v1/apps/switched", json={"enabled": True})).status_code == 200
    assert await status(house, pair(first)) == 200


async def test_a_key_is_used_for_nothing_but_its_scopes(house: House):
    await created(house, "scoped")
    reading = pair(await key_for(house, "scoped", "read"))
    assert await status(house, reading) == 200
    assert await status(house, reading, "/v1/audit/events") == 403
    assert await status(house, reading, "/v1/apps") == 403
    refused = await house.http.post(f"{W}/chat/completions", json={"flow_id": "1", "parameters": {}}, headers=reading)
    assert (refused.status_code, refused.json()["code"]) == (403, 20003)
    assert "`run`" in refused.json()["message"]


async def test_nobody_gives_away_more_than_the_own_key_has(house: House):
    await created(house, "modest")
    admin = pair(await key_for(house, "modest", "admin", "read"))
    refused = await house.http.post("/v1/apps/modest/keys", json={"scopes": ["run"]}, headers=admin)
    assert refused.status_code == 403
    given = await house.http.post("/v1/apps/modest/keys", json={"scopes": ["read"]}, headers=admin)
    assert given.status_code == 201


async def test_nobody_takes_over_a_key_or_makes_a_tenant_that_may_more_than_the_own_key(house: House):
    whole = await created(house, "taken")
    admin = pair(await key_for(house, "taken", "admin", "read"))
    assert (await house.http.post(f"/v1/apps/taken/keys/{whole['key']}/rotate", headers=admin)).status_code == 403
    assert await status(house, pair(whole)) == 200
    modest = pair(await key_for(house, "demo", "admin"))
    tenant = {"app": "too-much", "is_tenant": True}
    assert (await house.http.post("/v1/apps", json=tenant, headers=modest)).status_code == 403
    assert (await house.http.get("/v1/apps/too-much")).status_code == 404


async def test_an_app_that_is_no_tenant_sees_and_changes_only_itself(house: House):
    other = bearer("other")
    assert [one["app"] for one in (await house.http.get("/v1/apps", headers=other)).json()["apps"]] == ["other"]
    assert await status(house, other, "/v1/apps/demo") == 404
    assert (await house.http.post("/v1/apps", json={"app": "mine"}, headers=other)).status_code == 403
    assert (await house.http.post("/v1/apps/demo/keys", json={}, headers=other)).status_code == 404
    assert (await house.http.patch("/v1/apps/other", json={"enabled": False}, headers=other)).status_code == 403


async def test_an_app_that_is_not_there_is_missing(house: House):
    assert await status(house, bearer("demo"), "/v1/apps/nobody") == 404
    assert (await house.http.post("/v1/apps/nobody/keys", json={})).status_code == 404
    assert (await house.http.patch("/v1/apps/nobody", json={"enabled": False})).status_code == 404


async def test_a_published_flow_is_not_called_with_a_key_that_only_publishes(house: House):
    flow = await house.deploy(standard())
    publishing = pair(await key_for(house, "demo", "publish"))
    async with house.chat(flow, headers=publishing) as answer:
        assert answer.status_code == 403
    again = await house.http.post(f"{W}/publish", json={"flow_id": flow, "release_status": 1, "plat": 1}, headers=publishing)
    assert again.json()["code"] == 0
