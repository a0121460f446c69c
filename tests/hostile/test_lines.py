"""Words that want to be lines of something else: of an event stream, a log, the metrics, a header."""

import io
import json
import re

import pytest

from services.kit.telling import logs
from tests.services.api.conftest import House, W
from tests.services.api.test_chat import standard

EVIL = "x\n\nevent: evil\ndata: {}\n\n\rid: 99\r\n\r\ndata: [DONE]\n\n\u2028data: evil\x85data: evil\x0b\x0c\x1c\x00retry: 1\n"
LINE = re.compile(r"(data|id|event): |:|$")


@pytest.fixture(scope="module")
async def linear(house: House) -> str:
    return await house.deploy(standard())


def checked(raw: bytes) -> None:
    """Every line, however a client splits them, is one that we wrote."""
    for line in re.split("\r\n|\n|\r", raw.decode()):
        assert LINE.match(line), line
        if line.startswith("event: "):
            assert line != "event: evil"
        if line.startswith("data: ") and line != "data: [DONE]":
            json.loads(line[6:])


async def test_no_text_of_a_person_becomes_a_line_of_a_stream(house: House, linear: str):
    async with house.chat(linear, EVIL, uid=EVIL[:40], chat_id="lines", headers={"X-Stream-Ids": "1"}) as answer:
        checked(await answer.aread())
        run = answer.headers["x-event-id"]
    for accept in ({"Accept": "text/event-stream"}, {}):
        checked((await house.http.get(f"/v1/runs/{run}/events", headers=accept)).content)
    again = await house.http.get(f"{W}/chat/completions/{run}", headers={"X-Stream-Ids": "1"})
    checked(again.content)
    body = {"model": linear, "messages": [{"role": "user", "content": EVIL}], "stream": True}
    streamed = await house.http.post("/v1/chat/completions", json=body)
    checked(streamed.content)
    assert streamed.text.count("[DONE]\n\n") == 1


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_line_of_a_log_stays_one_line_and_moves_no_cursor(is_terminal: bool):
    class Out(io.StringIO):
        def isatty(self) -> bool:
            return is_terminal

    out = Out()
    logs.configure("test", "info", out)
    try:
        evil = 'a\n{"level": "error", "event": "made up"}\r\x1b[2J\x1b]0;title\x07\x9b31m'
        logs.logger("x").info("asked", path=evil, ids={"flow": evil}, listed=[evil])
        logs.logger("x").warning(evil)
    finally:
        logs.configure("test", "info")
    lines = out.getvalue().split("\n")
    assert len(lines) == 3
    assert "\r" not in out.getvalue()
    for control in ("\x1b[2J", "\x1b]0", "\x07"):
        assert control not in out.getvalue()
    if not is_terminal:
        assert [json.loads(line)["level"] for line in lines[:2]] == ["info", "warning"]


async def test_no_word_of_a_caller_becomes_a_label_or_a_line_of_the_metrics(house: House, linear: str):
    word = "evil_label"
    for path in (f"/{word}", f"/v1/{word}", f"{W}/{word}%0a", f"/v1/models/{word}%22%7D%201%0aevil 1", f"/files/{word}/{word}.txt"):
        await house.http.get(path)
    await house.http.request("EVIL", f"/{word}")
    for body in ({"model": word, "messages": [{"role": "user", "content": word}]}, {"flow_id": word, "uid": word, "parameters": {}}):
        for door in ("/v1/chat/completions", f"{W}/chat/completions"):
            await house.http.post(door, json=body)
    async with house.chat(linear, word, uid=word, chat_id=word, ext={"caller": word}) as answer:
        await answer.aread()
    wiki = {"repo_url": word, "provider": word, "model": word, "type": word, "messages": [{"role": "user", "content": word}]}
    await house.http.post("/chat/completions/stream", json=wiki)
    await house.http.post("/api/v1/chat", json={"message": word, "model_type": word, "preferred_model": word})
    told = (await house.http.get("/metrics")).text
    assert word not in told
    assert "EVIL" not in told
    assert len(told) < 400_000


@pytest.mark.parametrize(
    "header", ["Idempotency-Key", "X-Stream-Ids", "Last-Event-ID", "traceparent", "Accept", "Origin", "X-Forwarded-For"]
)
async def test_no_header_of_a_caller_comes_back_as_a_header(house: House, linear: str, header: str):
    async with house.chat(linear, headers={header: "evil: a"}, stream=False) as answer:
        await answer.aread()
        for name, value in answer.headers.items():
            assert "evil" not in value or name == "access-control-allow-origin"
