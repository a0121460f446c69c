"""A client that does not give up: it asks, reads frames, loses its connection, and comes back with its last position.

In come the addresses of several apis and a flow; out come the text that a person would have seen, and how long things took.
Whatever happens to one api, the next attempt goes to the next. Asking is repeated with one idempotency key.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import httpx

PATIENCE_S = 150.0
_PATH = "/workflow/v1/chat/completions"
_PAUSE_S = 0.1


class Reader:
    """One question and its answer. `words` are the pieces as they came, `ended` the last frame."""

    def __init__(self, client: httpx.AsyncClient, urls: Sequence[str], at: int = 0) -> None:
        self._client = client
        self._urls = urls
        self.at = at
        self.run = ""
        self.seq = 0
        self.words: list[str] = []
        self.ended: dict[str, Any] | None = None
        self.refusals: list[str] = []
        self.first_s = 0.0
        """From the question to the first piece of the answer."""
        self.longest_s = 0.0
        """The longest silence between two pieces."""
        self.began = self._last = 0.0

    @property
    def text(self) -> str:
        """What was shown so far."""
        return "".join(self.words)

    async def ask(self, flow: str, *, key: str = "", until: int | None = None, chat: str = "") -> None:
        """Ask, and read so many pieces or to the end of the connection. Without a key the question is put once."""
        body = {
            "flow_id": flow,
            "uid": "u-1",
            "stream": True,
            "parameters": {"AGENT_USER_INPUT": "go"},
            **({"chat_id": chat} if chat else {}),
        }
        headers = {"Idempotency-Key": key} if key else {}
        self.began = self._last = time.monotonic()
        async with asyncio.timeout(PATIENCE_S):
            while not self.run:
                await self._attempt("POST", _PATH, until, json=body, headers=headers)
                if not key and not self.run:
                    raise AssertionError(f"the question was refused: {self.refusals}")

    async def come_back(self, until: int | None = None) -> None:
        """Again and again, until so many pieces are there or the run has ended."""
        async with asyncio.timeout(PATIENCE_S):
            while self.ended is None and (until is None or len(self.words) < until):
                await self._attempt("GET", f"{_PATH}/{self.run}", until, params={"after_seq": self.seq})

    async def whole(self, flow: str, key: str) -> None:
        """Ask and read to the end, whatever happens on the way."""
        await self.ask(flow, key=key)
        await self.come_back()

    async def _attempt(self, method: str, path: str, until: int | None, **more: Any) -> None:
        try:
            async with self._client.stream(method, self._urls[self.at % len(self._urls)] + path, **more) as answer:
                if "x-event-id" in answer.headers and answer.status_code == httpx.codes.OK:
                    self.run = answer.headers["x-event-id"]
                    await self._read(answer, until)
                else:
                    self.refusals.append(_refusal(answer.status_code, await answer.aread()))
        except httpx.TransportError as wrong:
            self.refusals.append(type(wrong).__name__)
        if self.ended is None and (until is None or len(self.words) < until):
            self.at += 1
            await asyncio.sleep(_PAUSE_S)

    async def _read(self, answer: httpx.Response, until: int | None) -> None:
        async for line in answer.aiter_lines():
            if not line:
                continue
            frame = json.loads(line.removeprefix("data: "))
            choice = frame["choices"][0]
            if choice.get("finish_reason") == "ping":
                continue
            self.seq = frame["workflow_step"]["seq"]
            if choice.get("finish_reason") == "stop":
                self.ended = frame
                return
            if piece := choice["delta"]["content"]:
                now = time.monotonic()
                self.first_s = self.first_s or now - self.began
                self.longest_s = max(self.longest_s, now - self._last)
                self._last = now
                self.words.append(piece)
            if until is not None and len(self.words) >= until:
                return


def _refusal(status: int, body: bytes) -> str:
    """In a few words; the code of the surface first, where there is one."""
    try:
        said = json.loads(body)
        return f"code-{said['code']} {said['message'][:200]}"
    except (ValueError, KeyError, TypeError):
        return f"{status} {body[:200].decode(errors='replace')}"
