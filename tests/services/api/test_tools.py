"""Tools over HTTP: stored by versions without keys, each app its own."""

from typing import Any

import pytest

from tests.services.api.conftest import House, bearer
from tests.support.openapi import weather

TOOLS = "/v1/tools"
DOCUMENT = weather("https://api.example.org")


def openapi(**changes: Any) -> dict[str, Any]:
    return {"kind": "openapi", "document": DOCUMENT, "auth": {"key": "k-123"}, **changes}


async def test_a_tool_is_stored_read_listed_and_removed(house: House):
    stored = await house.http.put(f"{TOOLS}/life", json=openapi(name="Weather", description="Tells it."))
    assert (stored.status_code, stored.json()["version"]) == (200, "V1.0")
    again = await house.http.put(f"{TOOLS}/life", json=openapi(name="Weather", description="Tells it."))
    assert again.json() == stored.json()
    read = (await house.http.get(f"{TOOLS}/life")).json()
    assert (read["kind"], read["name"], read["versions"]) == ("openapi", "Weather", ["V1.0"])
    assert read["operations"] == ["answer", "fail", "forecast", "silent"]
    listed = (await house.http.get(TOOLS)).json()["tools"]
    assert [one["id"] for one in listed if one["id"] == "life"] == ["life"]
    assert (await house.http.delete(f"{TOOLS}/life")).status_code == 204
    assert (await house.http.get(f"{TOOLS}/life")).status_code == 404
    assert (await house.http.delete(f"{TOOLS}/life")).status_code == 404


async def test_a_version_is_never_overwritten(house: House):
    await house.http.put(f"{TOOLS}/versions", json=openapi())
    changed = {**DOCUMENT, "info": {"title": "Another", "version": "2"}}
    refused = await house.http.put(f"{TOOLS}/versions", json=openapi(document=changed))
    assert refused.status_code == 409
    assert "choose a new version" in refused.json()["detail"]
    assert (await house.http.put(f"{TOOLS}/versions", json=openapi(document=changed, version="V2"))).status_code == 200
    assert (await house.http.get(f"{TOOLS}/versions")).json()["versions"] == ["V2", "V1.0"]
    assert (await house.http.get(f"{TOOLS}/versions", params={"version": "V1.0"})).json()["document"]["info"]["title"] == "Weather"
    assert (await house.http.get(f"{TOOLS}/versions", params={"version": "V3"})).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        openapi(auth={"key": "sesame-key"}),
        openapi(
            auth={},
            document={
                **DOCUMENT,
                "components": {
                    **DOCUMENT["components"],
                    "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "k", "x-value": "sesame-key"}},
                },
            },
        ),
        {"kind": "mcp", "url": "https://mcp.example.org/mcp", "headers": {"Authorization": "Bearer sesame-key"}},
        {"kind": "database", "dsn": "postgresql://u:sesame-key@db.example.org/things"},
        {"kind": "repository", "source": "https://example.org/a/b", "token": "sesame-key"},
    ],
    ids=["auth", "x-value", "mcp", "database", "repository"],
)
async def test_keys_are_never_shown_and_never_on_the_record(house: House, body: dict[str, Any]):
    stored = await house.http.put(f"{TOOLS}/keys", json=body)
    assert stored.status_code == 200, stored.text
    told = [
        (await house.http.get(f"{TOOLS}/keys")).text,
        (await house.http.get("/v1/audit/events", params={"type": "tool.stored"})).text,
    ]
    assert all("sesame-key" not in one for one in told)
    assert "secret:" in told[0]
    await house.http.delete(f"{TOOLS}/keys")


async def test_other_apps_have_tools_of_their_own(house: House):
    await house.http.put(f"{TOOLS}/shared", json=openapi())
    theirs = bearer("other")
    assert (await house.http.get(f"{TOOLS}/shared", headers=theirs)).status_code == 404
    assert (await house.http.delete(f"{TOOLS}/shared", headers=theirs)).status_code == 404
    assert (await house.http.put(f"{TOOLS}/shared", headers=theirs, json={"kind": "mcp", "url": "http://x.example"})).status_code == 200
    assert (await house.http.get(f"{TOOLS}/shared")).json()["kind"] == "openapi"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 422, "kind"),
        ({"kind": "gopher"}, 422, "kind"),
        (openapi(version="a b"), 422, "version"),
        (openapi(document="{"), 400, "document: expected an OpenAPI document"),
        (openapi(document={"openapi": "3.0.1"}), 400, "required property"),
        (openapi(auth={"nobody": "x"}), 400, "auth.nobody: the document has no such security scheme"),
        (openapi(auth={"key": "secret:" + "0" * 32}), 400, "secret reference"),
        ({"kind": "mcp", "url": "file:///etc"}, 422, "url"),
        ({"kind": "mcp", "url": "http://user:pw@host/"}, 422, "url"),
        ({"kind": "database", "dsn": "mysql://u@h/d"}, 400, "dsn: expected postgresql://"),
        ({"kind": "database", "dsn": "postgresql:///d?host=/tmp"}, 400, "dsn: expected postgresql://"),
        ({"kind": "database", "dsn": "postgresql://h/d?service=x"}, 400, "dsn: the option service is not taken"),
        ({"kind": "database", "dsn": "sqlite://"}, 400, "dsn: expected sqlite:///file"),
    ],
)
async def test_what_cannot_be_stored_is_said(house: House, body: dict[str, Any], status: int, said: str):
    answer = await house.http.put(f"{TOOLS}/bad", json=body)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text
    assert (await house.http.get(f"{TOOLS}/bad")).status_code == 404


async def test_a_tools_id_is_checked(house: House):
    assert (await house.http.put(f"{TOOLS}/a b", json=openapi())).status_code == 422
    assert (await house.http.get(f"{TOOLS}/{'x' * 129}")).status_code == 422
