"""What the model server of the tests says, chosen by the requested model's name, written like a URL: `say?text=a%20b&hold=1`.

    say     text, thought, field (reasoning_content | reasoning), chars=1 (a token per character)
            nagle=1 (the server's system holds small packets back until earlier ones are acknowledged)
            first_ms, gap_ms (pauses), hold=1 (each token waits for `server.release(key)`)
            prefill=1 (goes on after the assistant's last message) | repeat (says that message again first)
            usage: own (a chunk of its own, where asked for) | last (with the finish reason) | none
            finish: the finish reason
            then: finish | silent | cut | end (no finish reason) | garbage | error | late (cut after the finish reason)
    status  code, times (only the first N calls with this key), error (provider's code), message, retry_after, location;
            then as `say`
    echo    the messages it was given, as JSON
    silent  accepts and says nothing
    drip    roles and comments for ever, never a word
    huge    size: one token of so many characters
    page    a web page with status 200
    excuse  an error object as JSON with status 200
    calls   calls: JSON list of [name, arguments]; each in three fragments
    ask     the last user message is the name, if it is one of these
    <any>   says DEFAULT

Everywhere: key (names the calls and the gate), need (the API key that must come, else 401, which echoes the wrong one).
"""

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, quote

from tests.support.model_answers import Answer

DEFAULT = "This is what the scripted model says."
Params = dict[str, str]
Script = Callable[[Answer, Params], Awaitable[None]]


def model(kind: str, **params: object) -> str:
    """The name of a model that behaves so."""
    return kind + "?" + "&".join(f"{name}={quote(str(value), safe='')}" for name, value in params.items()) if params else kind


def read(body: dict[str, Any]) -> tuple[str, Params]:
    """The kind and its parameters that a request names."""
    name = str(body.get("model", ""))
    if name == "ask":
        asked = [message["content"] for message in body["messages"] if message["role"] == "user"]
        name = asked[-1] if asked else ""
    kind, _, query = name.partition("?")
    return (kind, dict(parse_qsl(query, keep_blank_values=True))) if kind in SCRIPTS else ("say", {})


def tokens(text: str, params: Params) -> list[str]:
    return list(text) if params.get("chars") == "1" else re.findall(r"\S+\s*|\s+", text)


async def say(answer: Answer, params: Params) -> None:
    if params.get("nagle") == "1":
        answer.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    await _pause(params, "first_ms")
    for thought in tokens(params.get("thought", ""), params):
        await _gate(answer, params)
        await answer.delta({params.get("field", "reasoning_content"): thought})
    for word in tokens(_text(answer, params), params):
        await _gate(answer, params)
        await answer.delta({"content": word})
        await _pause(params, "gap_ms")
    await _ENDINGS[params.get("then", "finish")](answer, params)


def _text(answer: Answer, params: Params) -> str:
    text = params.get("text", DEFAULT)
    if "turns" in params:
        turns = params["turns"].split("|")
        text = turns[min(sum(one["role"] == "assistant" for one in answer.body["messages"]), len(turns) - 1)]
    last = answer.body["messages"][-1]
    given = last["content"] if last["role"] == "assistant" else ""
    return text.removeprefix(given) if params.get("prefill") == "1" else text


async def _gate(answer: Answer, params: Params) -> None:
    if params.get("hold") == "1":
        await answer.gate.acquire()


async def _pause(params: Params, name: str) -> None:
    if params.get(name):
        await asyncio.sleep(int(params[name]) / 1000)


async def _finish(answer: Answer, params: Params) -> None:
    await answer.finish(params.get("finish", "stop"), params.get("usage", "own"))


async def _silent(answer: Answer, _params: Params) -> None:
    await answer.begin()
    await asyncio.Event().wait()


async def _cut(answer: Answer, _params: Params) -> None:
    answer.cut()


async def _end(answer: Answer, _params: Params) -> None:
    await answer.close()


async def _garbage(answer: Answer, _params: Params) -> None:
    await answer.raw("data: {this is no JSON\n\n")
    await answer.close()


async def _error(answer: Answer, params: Params) -> None:
    error = {"message": params.get("message", "scripted failure"), "type": "server_error", "code": params.get("error", "scripted")}
    await answer.raw(f"data: {json.dumps({'error': error})}\n\n")
    await answer.close()


async def _late(answer: Answer, params: Params) -> None:
    await answer.chunk({}, finish_reason=params.get("finish", "stop"))
    answer.cut()


_ENDINGS: dict[str, Script] = {
    "finish": _finish,
    "silent": _silent,
    "cut": _cut,
    "end": _end,
    "garbage": _garbage,
    "error": _error,
    "late": _late,
}


async def status(answer: Answer, params: Params) -> None:
    if "times" in params and answer.number > int(params["times"]):
        await say(answer, params)
        return
    error = {"message": params.get("message", "scripted failure"), "type": "scripted", "code": params.get("error", "scripted")}
    headers = {header: params[name] for header, name in (("Retry-After", "retry_after"), ("Location", "location")) if name in params}
    await answer.whole(int(params.get("code", "500")), {"error": error}, headers)


async def echo(answer: Answer, params: Params) -> None:
    await answer.delta({"content": json.dumps(answer.body["messages"], ensure_ascii=False)})
    await _finish(answer, params)


async def silent(_answer: Answer, _params: Params) -> None:
    await asyncio.Event().wait()


async def drip(answer: Answer, _params: Params) -> None:
    while True:
        await answer.delta({"role": "assistant", "content": ""})
        await answer.raw(": still here\n\n")
        await asyncio.sleep(0.005)


async def huge(answer: Answer, params: Params) -> None:
    await answer.delta({"content": "x" * int(params.get("size", "1000000"))})
    await _finish(answer, params)


async def page(answer: Answer, _params: Params) -> None:
    await answer.whole(200, "<html><body>Welcome</body></html>", {"Content-Type": "text/html"})


async def excuse(answer: Answer, params: Params) -> None:
    await answer.whole(200, {"error": {"message": "not today", "code": params.get("error", "scripted")}})


async def calls(answer: Answer, params: Params) -> None:
    for number, (name, arguments) in enumerate(json.loads(params.get("calls", "[]"))):
        half = len(arguments) // 2
        begun = {"index": number, "id": f"call-{number}", "type": "function", "function": {"name": name, "arguments": ""}}
        for fragment in (begun, *({"index": number, "function": {"arguments": part}} for part in (arguments[:half], arguments[half:]))):
            await answer.delta({"tool_calls": [fragment]})
    await answer.finish("tool_calls", "own")


SCRIPTS: dict[str, Script] = {
    "say": say,
    "status": status,
    "echo": echo,
    "silent": silent,
    "drip": drip,
    "huge": huge,
    "page": page,
    "excuse": excuse,
    "calls": calls,
}
