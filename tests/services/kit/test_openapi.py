"""OpenAPI documents of tools: what they say is read, and what cannot be used is refused with its place."""

from typing import Any

import pytest

from services.kit.outside.openapi import BadTool, check
from services.processor.tools.arguments import address, for_model, sent
from tests.support.openapi import WEATHER, weather

DOCUMENT = weather("https://api.example.org/v1/")


def operation(**changes: Any) -> Any:
    return {"operationId": "one", "responses": {"200": {"description": "it"}}, **changes}


def document(**changes: Any) -> dict[str, Any]:
    return {**weather("https://example.org"), "paths": {"/a": {"get": operation()}}, "security": [], **changes}


def test_an_operation_knows_where_every_value_and_key_travels():
    found = check(DOCUMENT)
    assert sorted(found) == ["answer", "fail", "forecast", "silent"]
    one = found["forecast"]
    assert (one.method, one.url, one.summary) == ("POST", "https://api.example.org/v1/echo/{city}", "Tells the weather.")
    assert [(two.name, two.place, two.required) for two in one.parameters] == [
        ("city", "path", True), ("days", "query", False), ("units", "query", False), ("X-Caller", "header", False),
    ]  # fmt: skip
    (way,) = one.security
    assert [(scheme.id, scheme.kind, scheme.name, scheme.place) for scheme in way] == [("key", "apiKey", "X-Key", "header")]
    assert found["fail"].security == ()


def test_values_go_where_the_document_says_and_those_of_the_business_only_come_from_there():
    given = {"city": "São/Paulo", "days": [1, 2], "reason": "tea", "who": {"name": "Ann"}, "X-Caller": "model", "token": "model"}
    one = check(DOCUMENT)["forecast"]
    parts = sent(one, given, {"X-Caller": "us", "token": "t"})
    assert (parts.path, parts.query) == ({"city": "São/Paulo"}, {"days": [1, 2], "units": "metric"})
    assert parts.header == {"X-Caller": "us"}
    assert parts.body == {"reason": "tea", "who": {"name": "Ann", "token": "t"}}
    assert address(one, parts.path) == "https://api.example.org/v1/echo/S%C3%A3o%2FPaulo"


def test_a_model_is_told_nothing_of_what_the_business_gives():
    told = for_model(check(DOCUMENT)["forecast"])
    assert list(told["properties"]) == ["city", "days", "units", "reason", "who", "again"]
    assert told["required"] == ["city", "reason"]


def test_a_schema_that_contains_itself_is_cut():
    schema = check(DOCUMENT)["forecast"].body
    for _ in range(12):
        assert schema is not None
        schema = schema["properties"]["again"]
    assert schema == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "document.openapi: expected 3.0"),
        ({"swagger": "2.0"}, "document.openapi: expected 3.0"),
        ({"openapi": "3.0.1", "paths": {}}, "'info' is a required property"),
        ({**WEATHER, "paths": {}}, "an operation with an operationId"),
        (document(servers=[]), "document.servers: one: expected an address"),
        (document(servers=[{"url": "file:///etc"}]), "document.servers: one: expected an address"),
        (document(servers=[{"url": "https://user:pw@example.org"}]), "document.servers: one: expected an address"),
        (document(paths={"/a": {"$ref": "http://169.254.169.254/x"}}), "document.paths./a.$ref: only references inside"),
        (document(paths={"/a": {"get": operation(operationId=5)}}), "document.paths"),
        (
            document(paths={"/a": {"post": operation(requestBody={"required": True, "content": {"text/csv": {}}})}}),
            "its body must be application/json or",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(wrong: dict[str, Any], said: str):
    with pytest.raises(BadTool) as bad:
        check(wrong)
    assert said in str(bad.value)


def test_a_server_may_have_variables():
    servers = [{"url": "https://{region}.example.org", "variables": {"region": {"default": "eu"}}}]
    assert check(document(servers=servers))["one"].url == "https://eu.example.org/a"
