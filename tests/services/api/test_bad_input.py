"""Bad input, over every route there is: the surface's own error, at once, naming the field, echoing nothing, writing nothing."""

import json
import re
import time
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from events.topics import COMMANDS
from services.api.app import PARTS
from services.api.gate.surfaces import Surface, surface_of
from services.api.routes import chat, health, protocol, publishing, records, runs
from tests.services.api.conftest import House, W
from tests.services.api.test_chat import standard

ROUTES = [
    route for part in (chat, protocol, publishing, runs, records, health) for route in part.router.routes if isinstance(route, APIRoute)
]
WITH_BODY = [route.path for route in ROUTES if route.body_field is not None and not route.path.startswith("/v1/runs")]
NATIVE_BODIES = [
    (method, route.path)
    for part in PARTS
    for route in part.router.routes
    if isinstance(route, APIRoute) and route.body_field is not None and surface_of(route.path) is Surface.NATIVE
    for method in sorted(route.methods)
]
WITH_ID = [
    (method, route.path) for route in ROUTES for method in sorted(route.methods or ()) if "{" in route.path and "{chat_id" not in route.path
]
SECRET = "zq7-do-not-repeat-me"
BODIES = {
    "empty": b"",
    "truncated": b'{"flow_id": "%s", ' % SECRET.encode(),
    "a-list": json.dumps([SECRET]).encode(),
    "a-number": b"7",
    "a-string": json.dumps(SECRET).encode(),
    "null": b"null",
    "an-empty-object": b"{}",
    "not-utf8": b'{"flow_id": "\xff\xfe"}',
    "plain-text": SECRET.encode(),
    "nan": b'{"flow_id": NaN, "event_id": NaN, "app_id": NaN, "status": NaN}',
    "infinity": b'{"flow_id": Infinity, "event_id": Infinity, "app_id": Infinity, "status": -Infinity}',
    "lone-surrogate": b'{"flow_id": "\\ud83d", "event_id": "\\ud83d", "app_id": "\\ud83d"}',
    "deep": b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
    "duplicate-garbage": b'{"flow_id": "1"} {"flow_id": "2"}',
}
FITS_EMPTY = {f"{W}/protocol/update/{{flow}}"}
"""Where every field may be absent."""
IDS = {
    "word": "abc",
    "negative": "-1",
    "float": "1.5",
    "huge": "9" * 400,
    "64-bit-plus": "99999999999999999999",
    "sql": "1%20OR%201=1",
    "quote": "'%3B%20DROP%20TABLE%20flows%3B--",
    "nul": "12%003",
    "control": "1%0A2",
    "spaces": "%20%207%20",
    "unicode": "%EF%BC%97",
    "not-utf8": "%FF%FE",
    "path": "..%2F..%2Fetc%2Fpasswd",
    "long": "x" * 5_000,
}


def checked(answer: httpx.Response, path: str) -> dict[str, Any]:
    """The body of an error that is as the surface has it."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        body = json.loads(answer.text.split("\n\n")[0][6:])
        assert body["message"]
        return body
    body = answer.json()
    if surface_of(path) is Surface.NATIVE or answer.status_code == 404:
        assert 400 <= answer.status_code < 500
        assert body["detail"]
    else:
        assert answer.status_code == 200
        assert isinstance(body["code"], int)
        assert body["code"] != 0
        assert body["message"]
    assert "Traceback" not in answer.text
    assert SECRET not in answer.text
    return body


async def written(house: House) -> list[int]:
    return [(await house.world.log.bounds(COMMANDS, partition))[1] for partition in range(house.world.log.partitions(COMMANDS))]


@pytest.mark.parametrize(("path", "kind"), [(p, k) for p in WITH_BODY for k in BODIES if p not in FITS_EMPTY or k != "an-empty-object"])
async def test_a_body_that_is_not_what_it_must_be_is_460(house: House, path: str, kind: str):
    before, began = await written(house), time.monotonic()
    url = path.format(flow="1234567", event_id="1")
    answer = await house.http.post(url, content=BODIES[kind], headers={"content-type": "application/json"})
    assert time.monotonic() - began < 1
    body = checked(answer, path)
    assert body["code"] == (460 if path not in FITS_EMPTY or kind not in {"nan", "infinity"} else body["code"])
    assert "body" in body["message"]
    assert await written(house) == before


@pytest.mark.parametrize(("method", "path"), NATIVE_BODIES)
@pytest.mark.parametrize("kind", sorted(BODIES))
async def test_a_native_body_that_is_not_what_it_must_be_is_4xx_and_is_not_repeated(house: House, method: str, path: str, kind: str):
    url = re.sub(r"{[a-z_]+}", "1", path)
    answer = await house.http.request(method, url, content=BODIES[kind], headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500 or kind == "an-empty-object"
    assert answer.is_success or answer.json()["detail"]
    assert SECRET not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("path", WITH_BODY)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "multipart/form-data; boundary=x"])
async def test_another_content_type_is_460_and_says_what_is_expected(house: House, path: str, kind: str):
    url = path.format(flow="1234567", event_id="1")
    answer = await house.http.post(url, content=b'{"flow_id": "1"}', headers={"content-type": kind})
    body = checked(answer, path)
    assert body["code"] == 460
    assert "application/json" in body["message"]


@pytest.mark.parametrize(("method", "path"), WITH_ID)
@pytest.mark.parametrize("kind", IDS)
async def test_a_strange_id_in_a_path_is_refused(house: House, method: str, path: str, kind: str):
    url = path.replace("{flow}", IDS[kind]).replace("{event_id}", IDS[kind])
    before, began = await written(house), time.monotonic()
    answer = await house.http.request(method, url, json={"name": "x"} if method == "POST" else None)
    assert time.monotonic() - began < 1
    checked(answer, path)
    assert await written(house) == before


WRONG = {
    "flow_id missing": {"flow_id": None},
    "flow_id is a number": {"flow_id": 7},
    "parameters is a list": {"parameters": []},
    "parameters is null": {"parameters": None},
    "stream is a word": {"stream": "perhaps"},
    "stream is seven": {"stream": 7},
    "uid of 41 characters": {"uid": "u" * 41},
    "uid is null": {"uid": None},
    "chat_id of 129 characters": {"chat_id": "c" * 129},
    "chat_id is a list": {"chat_id": []},
    "ext is text": {"ext": SECRET},
    "history is an object": {"history": {}},
    "history holds a number": {"history": [1]},
    "history role is system": {"history": [{"role": "system", "content": SECRET}]},
    "history content missing": {"history": [{"role": "user"}]},
    "history content is an object": {"history": [{"role": "user", "content": {"a": SECRET}}]},
    "history content_type is video": {"history": [{"role": "user", "content": SECRET, "content_type": "video"}]},
    "version is a number": {"version": 3},
}


@pytest.mark.parametrize("door", ["chat/completions", "debug/chat/completions"])
@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_field_of_a_chat_is_460_and_named(house: House, door: str, case: str):
    body = {"flow_id": "7", "parameters": {}, **WRONG[case]}
    answer = await house.http.post(f"{W}/{door}", json=body)
    said = checked(answer, f"{W}/{door}")
    assert said["code"] == 460
    assert f"body->{case.split(maxsplit=1)[0]}" in said["message"]
    assert "Error: " in said["message"]


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("publish", "release_status", "one"),
        ("publish", "release_status", None),
        ("publish", "release_status", 1.5),
        ("publish", "release_status", 10**30),
        ("publish", "plat", "x"),
        ("publish", "data", "x"),
        ("publish", "data", {"id": ""}),
        ("publish", "flow_id", 5),
        ("publish", "version", []),
        ("publish", "version", "v" * 129),
        ("auth", "app_id", None),
        ("protocol/add", "data", "x"),
        ("protocol/add", "status", "one"),
        ("protocol/add", "app_id", 5),
        ("protocol/get", "flow_id", 7),
        ("protocol/delete", "app_id", []),
        ("protocol/update/7", "data", []),
        ("resume", "event_id", 5),
        ("resume", "content", None),
    ],
)
async def test_a_wrong_field_elsewhere_is_460_and_named(house: House, path: str, field: str, value: Any):
    body = {"flow_id": "1234567", "release_status": 1, "app_id": "demo", "event_id": "1", "content": "", field: value}
    said = checked(await house.http.post(f"{W}/{path}", json=body), f"{W}/{path}")
    assert said["code"] == 460
    assert f"body->{field}" in said["message"]


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999", '[-9e307, "1e9", 12E+0400]', '"\\ud83d"', "[" * 1_000 + "]" * 1_000])
@pytest.mark.parametrize("field", ["parameters", "ext"])
async def test_what_json_cannot_carry_is_460_wherever_it_hides(house: House, field: str, value: str):
    body = '{"flow_id": "7", "parameters": {}, "%s": {"x": %s}}' % (field, value)  # noqa: UP031 (braces)
    answer = await house.http.post(f"{W}/chat/completions", content=body.encode(), headers={"content-type": "application/json"})
    assert checked(answer, f"{W}/chat/completions")["code"] == 460


async def test_a_thousand_mistakes_are_told_briefly(house: House):
    history = [{"role": "system"}] * 1_000
    answer = await house.http.post(f"{W}/chat/completions", json={"flow_id": "7", "parameters": {}, "history": history})
    assert answer.json()["code"] == 460
    assert len(answer.text) < 5_000


@pytest.mark.parametrize(("header", "code"), [("x" * 300, 460), ("x" * 255, 20201), ("\xff", 20201)])
async def test_a_strange_idempotency_key_is_refused_or_taken_literally(house: House, header: str, code: int):
    answer = await house.http.post(
        f"{W}/chat/completions", json={"flow_id": "1234567", "parameters": {}}, headers={"Idempotency-Key": header.encode("latin-1")}
    )
    assert answer.json()["code"] == code


async def test_a_header_that_is_no_http_is_refused(house: House):
    answer = await house.http.post(f"{W}/chat/completions", json={}, headers={"Idempotency-Key": "\x7f"})
    assert answer.status_code == 400


TEXTS = {
    "nul": "a\x00b",
    "control": "".join(map(chr, range(1, 32))),
    "emoji": "👩‍👩‍👧‍👦" * 50,
    "right-to-left": "\u202eabc",
    "template": "{{AGENT_USER_INPUT}} {{x}} {% raw %} ${7*7}",
    "sse": "data: {}\n\ndata: [DONE]\n\n",
    "percent": "%s %d %n {0} {}",
    "separators": "\u2028\u2029\x85\x7f",
    "private-use": "\ue000\ue0000\uffff",
}


@pytest.mark.parametrize("kind", TEXTS)
async def test_a_strange_text_comes_back_unchanged_live_and_from_the_record(house: House, kind: str):
    flow = await house.deploy(standard())
    text = TEXTS[kind]
    async with house.chat(flow, text, chat_id="c-" + kind, stream=False) as answer:
        said = json.loads(await answer.aread())
    assert said["choices"][0]["delta"]["content"] == f"msg=Hi {text};end=Hi {text}"
    run = answer.headers["x-event-id"]
    position = (await house.http.get(f"/v1/runs/{run}/text")).json()["position"]
    await house.http.get(f"/v1/runs/{run}", params={"min_position": position})
    messages = (await house.http.get(f"/v1/chats/c-{kind}/messages")).json()["messages"]
    assert [one["content"] for one in messages] == [text, f"msg=Hi {text};end=Hi {text}"]
