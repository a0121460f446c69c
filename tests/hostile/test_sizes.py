"""How much of everything: one more than allowed is refused at once, and what may be is named.

Bodies: `tests/services/api/test_doors.py`; heads: `test_http.py`; files: `tests/services/api/test_uploads.py`; flows:
`tests/core/test_graph.py`; frames: `test_sockets.py`.
"""

import time
from typing import Any

import pytest

from tests.services.api.conftest import House, W
from tests.services.api.test_chat import standard
from tests.support.flows import end, flow, start

TURN = {"role": "user", "content": ""}


@pytest.mark.parametrize("door", ["chat/completions", "debug/chat/completions"])
@pytest.mark.parametrize(
    ("field", "value", "bound"),
    [
        ("history", [TURN] * 2_001, "at most 2000 items"),
        ("parameters", dict.fromkeys(map(str, range(1_001)), 1), "at most 1000 items"),
        ("ext", dict.fromkeys(map(str, range(1_001)), 1), "at most 1000 items"),
        ("uid", "u" * 41, "at most 40 characters"),
        ("chat_id", "c" * 129, "at most 128 characters"),
        ("version", "v" * 129, "at most 128 characters"),
    ],
)
async def test_one_more_than_allowed_is_460_with_the_field_and_the_bound(house: House, door: str, field: str, value: Any, bound: str):
    began = time.monotonic()
    body = {"flow_id": "1234567", "parameters": {}, field: value}
    said = (await house.http.post(f"{W}/{door}", json=body)).json()
    assert time.monotonic() - began < 1
    assert said["code"] == 460
    assert f"body->{field}" in said["message"]
    assert bound in said["message"]


async def test_as_much_as_allowed_is_taken(house: House):
    known = await house.deploy(standard())
    async with house.chat(
        known, history=[TURN] * 1_000, ext=dict.fromkeys(map(str, range(1_000)), 1), uid="u" * 40, stream=False
    ) as answer:
        await answer.aread()
        assert answer.json()["code"] == 0


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "object", "properties": {"a": {"pattern": "a" * 3_000}}}, "2000 characters"),
        ({"type": "string", "pattern": "(a{1000}){1000}"}, "regular expression"),
        ({"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/a"}}}, "$ref"),
    ],
)
async def test_a_schema_that_wants_too_much_is_refused_at_save_with_its_node(house: House, schema: dict[str, Any], says: str):
    document = flow(start(o=schema), end(), edges="start > end")
    said = (await house.http.post(f"{W}/protocol/add", json={"name": "x", "app_id": "demo", "status": 0, "data": document})).json()
    assert said["code"] == 22101
    assert "start: output o" in said["message"]
    assert says in said["message"]


async def test_a_tool_with_too_many_operations_is_refused_before_it_is_read(roomy: House):
    operation = {"operationId": "", "responses": {"200": {"description": ""}}}
    paths = {f"/{n}": {"get": {**operation, "operationId": f"o{n}"}} for n in range(501)}
    document = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "servers": [{"url": "https://h.example"}], "paths": paths}
    answer = await roomy.http.put("/v1/tools/many", json={"kind": "openapi", "document": document})
    assert answer.status_code == 400
    assert answer.json()["detail"] == "document.paths: at most 500 operations are taken"
