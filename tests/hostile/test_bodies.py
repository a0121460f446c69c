"""Bodies that are hard to read, to every route that takes one: an answer of the surface, soon, and nothing of it repeated."""

import gzip
import json
import time

import httpx
import pytest

from tests.services.api.conftest import House
from tests.support.routes import Door, kept

SECRET = "zq7-do-not-repeat-me"
DEPTH = 100_000
LIMIT = 2 * 1024 * 1024
BODIES = {
    "lists 100,000 deep": b"[" * DEPTH + b"]" * DEPTH,
    "objects 100,000 deep": b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
    "a value 100,000 deep": b'{"flow_id": "1", "parameters": {"a": ' + b"[" * DEPTH + b"]" * DEPTH + b"}}",
    "only openings": b"[" * LIMIT,
    "a number of 100,000 digits": b'{"flow_id": "1", "parameters": {"a": ' + b"9" * 100_000 + b"}}",
    "an exponent without measure": b'{"flow_id": "1", "parameters": {"a": 1e999999}}',
    "a lone surrogate as a key": b'{"flow_id": "1", "parameters": {"\\ud83d": 1}}',
    "a lone surrogate in UTF-8": b'{"flow_id": "1", "parameters": {"a": "\xed\xa0\xbd"}}',
    "overlong UTF-8": b'{"flow_id": "\xc0\xaf", "parameters": {}}',
    "UTF-16": '{"flow_id": "1", "parameters": {}}'.encode("utf-16"),
    "UTF-32": '{"flow_id": "1", "parameters": {}}'.encode("utf-32"),
    "a byte order mark": b'\xef\xbb\xbf{"flow_id": "1", "parameters": {}}',
    "a comment": b'{"flow_id": "1", /* x */ "parameters": {}}',
    "a comma too many": b'{"flow_id": "1", "parameters": {},}',
    "two values": b'{"flow_id": "1", "parameters": {}}{}',
    "a raw control character": b'{"flow_id": "a\x01b", "parameters": {}}',
    "a secret in what is wrong": json.dumps({"flow_id": [SECRET], "app": [SECRET], "messages": SECRET, "name": [SECRET]}).encode(),
}
NO_JSON = ("upload", "build")
WITH_BODY = [
    door for door in kept() if door.method in {"POST", "PUT", "PATCH", "DELETE"} and not any(one in door.template for one in NO_JSON)
]


async def sent(house: House, door: Door, body: bytes, **headers: str) -> httpx.Response:
    began = time.monotonic()
    answer = await house.http.request(door.method, door.path(), content=body, headers={"Content-Type": "application/json", **headers})
    assert time.monotonic() - began < 5
    return answer


def refused(answer: httpx.Response) -> bool:
    if answer.status_code == 200:
        text = answer.text.removeprefix("data: ").split("\n\n", 1)[0]
        return json.loads(text)["code"] != 0
    return 400 <= answer.status_code < 500


@pytest.mark.parametrize("kind", BODIES)
async def test_a_body_that_is_hard_to_read_is_refused_everywhere(roomy: House, kind: str):
    for door in WITH_BODY:
        answer = await sent(roomy, door, BODIES[kind])
        assert refused(answer), f"{door}: {answer.text[:200]}"
        assert SECRET not in answer.text, door
        assert "Traceback" not in answer.text, door
        assert len(answer.content) < 4_000, door


async def test_a_body_that_says_it_is_compressed_is_not_unpacked(roomy: House):
    bomb = gzip.compress(b"[" * (64 * LIMIT))
    for door in WITH_BODY[:10]:
        assert refused(await sent(roomy, door, bomb, **{"Content-Encoding": "gzip"}))


async def test_of_a_name_that_is_there_twice_the_last_one_counts_and_no_check_sees_another(house: House):
    body = b'{"flow_id": 7, "flow_id": "1234567", "parameters": {}}'
    answer = await house.http.post("/workflow/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert answer.json()["code"] == 20201
