"""A model server for tests: real sockets on 127.0.0.1, the OpenAI protocol, misbehaviour on command (`model_scripts`).

It runs in a thread of its own, so that tests of any kind (async, sync, other processes) can use it. What it saw is on
record: every request with headers and body, every call whose client left early. Waiting is bounded and never a sleep.

    with ModelServer() as server:
        url = server.url                       # …/v1/chat/completions; server.base ends with /v1
        name = model("say", text="one two", hold=1, key="k")
        server.release("k")                    # lets one token out
        server.wait_aborted("k")               # until the client of such a call has left

`python -m tests.support.model_server 18999` runs it alone; `POST /release?key=k&n=2` opens a gate from outside.
"""

import asyncio
import json
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.support.model_answers import Answer
from tests.support.model_scripts import SCRIPTS, model, read

__all__ = ["ModelServer", "Seen", "model"]
_LIMIT = 64 * 1024 * 1024
_WAIT_S = 20.0


@dataclass(frozen=True)
class Seen:
    """A request as it came. `connection` numbers the socket it came on."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    key: str
    connection: int


class ModelServer:
    """See the module. `port` 0 takes a free one."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Seen] = []
        self.aborted: list[str] = []
        self.connections = 0
        self.open: set[int] = set()
        self._changed = threading.Condition()
        self._counts: Counter[str] = Counter()
        self._gates: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(0))
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve(port)), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(_WAIT_S), "the model server did not start"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_WAIT_S)
        self._loop.close()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def url(self) -> str:
        return self.base + "/chat/completions"

    def release(self, key: str = "", n: int = 1) -> None:
        """Let n tokens of held calls with this key out."""
        for _ in range(n):
            self._loop.call_soon_threadsafe(lambda: self._gates[key].release())

    def calls(self, key: str = "") -> list[Seen]:
        with self._changed:
            return [seen for seen in self.requests if seen.key == key]

    def wait_calls(self, n: int = 1, key: str = "") -> list[Seen]:
        """The calls with this key, as soon as there are n."""
        self._wait(lambda: self._counts[key] >= n, f"{n} calls with key {key!r}")
        return self.calls(key)

    def wait_aborted(self, key: str = "", n: int = 1) -> None:
        """Until the clients of n calls with this key have left early."""
        self._wait(lambda: self.aborted.count(key) >= n, f"{n} clients of calls with key {key!r} to leave")

    def wait_closed(self, connection: int) -> None:
        """Until the client has closed this connection."""
        self._wait(lambda: connection not in self.open, f"connection {connection} to be closed")

    def _wait(self, true: Callable[[], bool], what: str) -> None:
        with self._changed:
            assert self._changed.wait_for(true, _WAIT_S), f"waited {_WAIT_S:g} s for {what}"

    async def _serve(self, port: int) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", port, limit=_LIMIT)
        self.port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self.open.add(number)
        try:
            first = b""
            while not writer.is_closing():
                head = first + await reader.readuntil(b"\r\n\r\n")
                line, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)}
                content = await reader.readexactly(int(headers.get("content-length", "0")))
                first = await self._answer(line.split(" ")[1], Asked(number, headers, content), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with self._changed:
                self.open.discard(number)
                self._changed.notify_all()

    async def _answer(self, target: str, asked: "Asked", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """Answer, while watching for the client to leave; the first byte of the next request, if it was seen."""
        parts = urlsplit(target)
        simple = Answer(writer, {}, asyncio.Semaphore(0), 0)
        if parts.path.endswith("/release"):
            query = dict(parse_qsl(parts.query))
            self.release(query.get("key", ""), int(query.get("n", "1")))
            await simple.whole(200, {})
        elif parts.path.endswith("/models"):
            names = [{"id": name, "object": "model"} for name in SCRIPTS]
            await simple.whole(200, {"object": "list", "data": names})
        elif parts.path.endswith("/chat/completions"):
            return await self._chat(target, asked, reader, writer)
        else:
            await simple.whole(404, {"error": {"message": "there is nothing here", "code": "not_found"}})
        return b""

    async def _chat(self, target: str, asked: "Asked", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        body = json.loads(asked.content)
        kind, params = read(body)
        key = params.get("key", "")
        with self._changed:
            self._counts[key] += 1
            self.requests.append(Seen(target, asked.headers, body, key, asked.connection))
            self._changed.notify_all()
        answer = Answer(writer, body, self._gates[key], self._counts[key])
        script = SCRIPTS[kind](answer, params) if _admitted(asked, params) else _turned_away(answer, asked)
        working, watching = asyncio.ensure_future(script), asyncio.ensure_future(reader.read(1))
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        left = watching.done() and not working.done()
        for task in (working, watching):
            task.cancel()
        results = await asyncio.gather(working, watching, return_exceptions=True)
        if left or isinstance(results[0], ConnectionError):
            with self._changed:
                self.aborted.append(key)
                self._changed.notify_all()
            writer.close()
        return results[1] if isinstance(results[1], bytes) else b""


@dataclass(frozen=True)
class Asked:
    """A request, not understood yet."""

    connection: int
    headers: dict[str, str]
    content: bytes


def _admitted(asked: Asked, params: dict[str, str]) -> bool:
    return "need" not in params or asked.headers.get("authorization") == f"Bearer {params['need']}"


async def _turned_away(answer: Answer, asked: Asked) -> None:
    given = asked.headers.get("authorization", "").removeprefix("Bearer ")
    await answer.whole(401, {"error": {"message": f"Incorrect API key provided: {given}.", "code": "invalid_api_key"}})


if __name__ == "__main__":
    with ModelServer(int(sys.argv[1]) if len(sys.argv) > 1 else 0) as alone:
        sys.stdout.write(alone.base + "\n")
        sys.stdout.flush()
        threading.Event().wait()
