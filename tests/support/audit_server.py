"""iFlytek's audit service as far as we speak it, over a real socket: checks signatures, judges by words, fails when told to.

    server = AuditServer(refuse=("bad",)); await server.start(); …; await server.stop()

Every call is kept with its path, query and body. `script` are answers for the next calls: a status, a code of the service, `hang`.
"""

import asyncio
import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

APP, KEY, SECRET = "aud-app", "aud-key", "aud-secret"
FIELDS = {
    "/v1.0/audit/v3/aichat/input": {"intention", "stage", "content", "chat_sid"},
    "/v1.0/audit/v3/aichat/output": {
        "intention", "stage", "content", "pindex", "is_pending", "is_stage_end", "is_end", "chat_sid",
    },
}  # fmt: skip


@dataclass
class Call:
    path: str
    query: dict[str, str]
    body: dict[str, Any]


@dataclass
class AuditServer:
    """`held` makes every call wait until `let_go`; `arrived` says that one came."""

    refuse: tuple[str, ...] = ("bad",)
    action: str = "discontinue"
    script: list[int | str] = field(default_factory=list[int | str])
    calls: list[Call] = field(default_factory=list[Call])
    port: int = 0
    held: asyncio.Event | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in tuple(self._open):
                writer.close()
            await self._server.wait_closed()
            self._server = None

    @property
    def environment(self) -> dict[str, Any]:
        """Settings that lead here."""
        return {
            "audit": "iflytek",
            "IFLYTEK_AUDIT_APP_ID": APP,
            "IFLYTEK_AUDIT_ACCESS_KEY_ID": KEY,
            "IFLYTEK_AUDIT_ACCESS_KEY_SECRET": SECRET,
            "IFLYTEK_AUDIT_HOST": f"http://127.0.0.1:{self.port}/v1.0",
        }

    def told(self, path: str = "output") -> list[str]:
        """The contents that were to be judged."""
        return [call.body["content"] for call in self.calls if call.path.endswith(path)]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while request := await self._request(reader):
                status, body = await self._answer(*request)
                text = json.dumps(body, ensure_ascii=False).encode()
                head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
                writer.write(head.encode() + text)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> tuple[str, str, bytes] | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        first, *lines = head.split("\r\n")
        length = next((int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:")), 0)
        method, target, _ = first.split(" ")
        return method, target, await reader.readexactly(length)

    async def _answer(self, method: str, target: str, raw: bytes) -> tuple[int, Any]:
        parts = urlsplit(target)
        query, body = dict(parse_qsl(parts.query)), json.loads(raw)
        wrong = _wrong(method, parts.path, query, body)
        if wrong:
            return 403, {"code": "999", "message": wrong}
        self.calls.append(Call(parts.path, query, body))
        self.arrived.set()
        if self.held is not None:
            await self.held.wait()
        told = self.script.pop(0) if self.script else 0
        if told == "hang":
            await asyncio.Event().wait()
        if isinstance(told, str):
            return 200, {"code": told, "message": "not now"}
        if told:
            return told, {"message": body["content"]}
        bad = any(word in body["content"] for word in self.refuse)
        data = {"action": self.action if bad else "none", "sid": f"aud-{len(self.calls)}"}
        return 200, {"code": "000000", "message": "success", "data": {**data, **({"category_list": [{"category": "test"}]} if bad else {})}}


def _wrong(method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> str:
    given = {name: value for name, value in query.items() if name != "signature"}
    base = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(given.items()))
    signature = base64.b64encode(hmac.new(SECRET.encode(), base.encode(), hashlib.sha1).digest()).decode()
    if method != "POST" or path not in FIELDS:
        return "there is no such call"
    if query.get("signature") != signature:
        return "the signature is wrong"
    if {"appId", "accessKeyId", "utc", "uuid"} - given.keys():
        return "a parameter is missing"
    missing = FIELDS[path] - body.keys()
    return f"missing: {missing}" if missing else ""
