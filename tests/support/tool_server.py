"""An HTTP service for tests of tools: a real one on a port of 127.0.0.1, that remembers what it was asked.

Paths say what it does: `/echo/…` tells the request as JSON, `/status/N` answers with that status, `/answer` with what
`server.answers` says for the path, `/redirect` leads to `?to=`, `/round` to itself, `/big` is `?bytes=` long, `/silent` never answers,
`/zipped` compresses, and `/sized/N/…` says to HEAD that it is N bytes long (nothing for an empty N). Everything else is 404.
"""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class ToolServer:
    """`answers` by path: a JSON value, a (status, type, bytes), or a list of server-sent data."""

    port: int
    asked: list[Asked] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        return [one.path for one in self.asked]


class Sse(list[str]):
    """An answer as server-sent events, one for each text."""


def answer_to(server: ToolServer, asked: Asked) -> tuple[int, dict[str, str], bytes]:
    query = dict(asked.query)
    known = server.answers.get(asked.path)
    if callable(known):
        known = known(asked)
    if isinstance(known, Sse):
        return 200, {"Content-Type": "text/event-stream"}, b"".join(f"data: {one}\n\n".encode() for one in known)
    if isinstance(known, tuple):
        return known[0], {"Content-Type": known[1]}, known[2]
    if known is not None:
        return 200, {"Content-Type": "application/json"}, json.dumps(known).encode()
    first, *rest = asked.path.strip("/").split("/")
    match first:
        case "echo":
            told = {"method": asked.method, "path": asked.path, "query": asked.query, "headers": asked.headers, "body": asked.body.decode()}
            return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()
        case "status":
            return int(rest[0]), {"Content-Type": "text/plain"}, b"the words of somebody"
        case "redirect":
            return 302, {"Location": query["to"]}, b""
        case "round":
            return 302, {"Location": "/round"}, b""
        case "big":
            return 200, {"Content-Type": "text/plain"}, b"x" * int(query["bytes"])
        case "zipped":
            return 200, {"Content-Type": "text/plain", "Content-Encoding": "gzip"}, gzip.compress(b"x" * 1000)
        case "sized":
            return 200, {"Content-Type": "application/pdf", "Content-Length": rest[0]}, b""
        case "silent":
            server.released.wait(20)
            return 200, {}, b""
        case _:
            return 404, {}, b""


@contextmanager
def tool_server() -> Iterator[ToolServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, parse_qsl(parts.query, keep_blank_values=True), headers, body)
            server.asked.append(asked)
            status, said, content = answer_to(server, asked)
            try:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **said}.items():
                    if value:
                        self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)
            except OSError:
                self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = answer  # noqa: N815 (the library's names)

        def log_message(self, *_: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    server = ToolServer(listening.server_address[1])
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        listening.shutdown()
        listening.server_close()
        thread.join(5)
