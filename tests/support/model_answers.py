"""One answer of the model server of the tests, written chunk by chunk to a real socket, or whole where no stream was asked for."""

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any


@dataclass
class Answer:
    """The answer to `body`. `number` counts the calls with the same key from 1; `gate` holds back tokens."""

    writer: asyncio.StreamWriter
    body: dict[str, Any]
    gate: asyncio.Semaphore
    number: int
    begun: bool = False
    sent: int = 0
    text: str = ""

    @property
    def usage(self) -> dict[str, int]:
        given = sum(len(str(message["content"]).split()) for message in self.body["messages"])
        return {"prompt_tokens": given, "completion_tokens": self.sent, "total_tokens": given + self.sent}

    async def delta(self, delta: dict[str, Any]) -> None:
        self.sent += 1
        self.text += delta.get("content") or ""
        await self.chunk(delta)

    async def chunk(self, delta: dict[str, Any], finish_reason: str | None = None, usage: dict[str, int] | None = None) -> None:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
        await self._event({"choices": choices, "usage": usage})

    async def finish(self, reason: str, usage: str) -> None:
        if not self.body.get("stream"):
            message = {"role": "assistant", "content": self.text}
            choice = {"index": 0, "message": message, "finish_reason": reason}
            await self.whole(200, self._named("chat.completion") | {"choices": [choice], "usage": self.usage})
            return
        await self.chunk({}, reason, self.usage if usage == "last" else None)
        if usage == "own" and (self.body.get("stream_options") or {}).get("include_usage"):
            await self._event({"choices": [], "usage": self.usage})
        await self.raw("data: [DONE]\n\n")
        await self.close()

    async def begin(self) -> None:
        if not self.begun and self.body.get("stream"):
            self.begun = True
            head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
            self.writer.write(head.encode())
            await self.writer.drain()

    async def raw(self, text: str) -> None:
        if not self.body.get("stream"):
            return
        await self.begin()
        payload = text.encode()
        self.writer.write(b"%x\r\n%s\r\n" % (len(payload), payload))
        await self.writer.drain()

    async def close(self) -> None:
        await self.begin()
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    def cut(self) -> None:
        """Break the connection in the middle of a chunk."""
        self.writer.write(b"ff\r\ndata: {")
        self.writer.close()

    async def whole(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        payload = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        lines = {"Content-Type": "application/json", "Content-Length": str(len(payload)), **(headers or {})}
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.writer.write(head.encode() + b"\r\n" + payload)
        await self.writer.drain()

    def _named(self, kind: str) -> dict[str, Any]:
        return {"id": f"cmpl-{self.number}", "object": kind, "created": 1_700_000_000, "model": self.body.get("model", "")}

    async def _event(self, content: dict[str, Any]) -> None:
        await self.raw(f"data: {json.dumps(self._named('chat.completion.chunk') | content, ensure_ascii=False)}\n\n")
