"""Bots for tests of the doors that talk to them."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

from tests.services.api.conftest import House
from tests.support.model_server import ModelServer, model

_NUMBERS: Iterator[int] = count(1)
CONFIG = "/agent/v1/bot-config"
CHAT = "/agent/v1/chat/completions"


def configuration(bot: str, server: ModelServer | None = None, *, answer: str = "", **more: Any) -> dict[str, Any]:
    """A bot that says what a scripted model says; `more` is the script, keys that bots have go into the bot."""
    own = {
        name: more.pop(name)
        for name in list(more)
        if name in {"tool_ids", "mcp_server_ids", "mcp_server_urls", "flow_ids", "regular_config"}
    }
    parameter, kind = more.pop("parameter", {}), more.pop("kind", "say")
    plan = {"api": "", "domain": "offline-demo", "sk": ""}
    if server is not None:
        plan = {"api": server.base, "domain": model(kind, **more), "sk": "sk-of-the-bot"}
    models = {"instruct": json.dumps({"think_tip": "", "answer_tip": answer}), "plan": {**plan, "parameter": parameter}}
    return {"app_id": "demo", "bot_id": bot, "model_config": models, "regular_config": {}, **own}


async def made(house: House, server: ModelServer | None = None, **more: Any) -> str:
    """A new bot's id."""
    bot = f"bot {next(_NUMBERS)}/å"
    answer = (await house.http.post(CONFIG, json=configuration(bot, server, **more))).json()
    assert answer["code"] == 0, answer
    return bot


def asked(bot: str, *texts: str, **more: Any) -> dict[str, Any]:
    """The body of a chat: what was said in turns."""
    said = [{"role": "assistant" if number % 2 else "user", "content": text} for number, text in enumerate(texts or ("where?",))]
    return {"bot_id": bot, "uid": "u-1", "messages": said, "stream": True, **more}


def chunks(text: str) -> list[dict[str, Any]]:
    """The chunks of a stream that ended; everything in it must be data, comments and ids apart."""
    lines = [line for line in text.split("\n") if line and not line.startswith((":", "id: "))]
    assert all(line.startswith("data: ") for line in lines), lines
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line[6:]) for line in lines[:-1]]


def content(found: list[dict[str, Any]], name: str = "content") -> str:
    return "".join(one["choices"][0]["delta"][name] or "" for one in found)
