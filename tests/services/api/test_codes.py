"""Codes of the table that no other test makes occur, over HTTP."""

from typing import Any

import pytest

from services.kit.errors import Unreachable
from tests.services.api.conftest import House, W
from tests.services.api.test_chat import frames
from tests.support.flows import Part, at, end, flow, start
from tests.support.model_server import ModelServer, model

PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"


def around(part: Part) -> dict[str, Any]:
    return flow(start(AGENT_USER_INPUT="string"), part, end("{{o}}", o=at("it.output")), edges="start > it > end")


async def test_an_agent_without_its_tools_fails_with_23700(house: House, model_server: ModelServer):
    param = {
        "appId": "a", "apiKey": "k", "apiSecret": "s", "maxLoopCount": 3,
        "modelConfig": {"domain": model("say", text="x"), "api": model_server.base, "agentStrategy": 1},
        "instruction": {"reasoning": "", "answer": "", "query": "{{q}}"}, "plugin": {"tools": ["nobody-stored-it"]},
    }  # fmt: skip
    flow_id = await house.deploy(around(Part("it", "agent", {"q": at("start.AGENT_USER_INPUT")}, {"output": "string"}, param)))
    async with house.chat(flow_id) as answer:
        found = await frames(answer)
    assert found[-1]["code"] == 23700


async def test_a_store_that_takes_no_file_is_23604(house: House, monkeypatch: pytest.MonkeyPatch):
    async def full(*_: Any) -> None:
        raise Unreachable("the disk is full")

    monkeypatch.setattr(type(house.world.files), "put", full)
    said = (await house.http.post(f"{W}/upload_file", files={"file": ("a.pdf", PDF)})).json()
    assert (said["code"], said["symbol"]) == (23604, "FILE_STORAGE_ERROR")
    assert "disk" not in said["message"]
