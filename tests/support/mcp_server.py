"""A real MCP server on a port of 127.0.0.1: streamable HTTP at `/mcp`, server-sent events at `/sse`. It remembers its calls."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer


@dataclass
class McpServer:
    """`calls` are (tool, arguments), `keys` the `X-Key` headers that came with them."""

    port: int
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    @property
    def sse_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/sse"


def _tools(server: McpServer) -> MCPServer:
    made = MCPServer("house")

    @made.tool()
    def add(a: int, b: int, context: Context) -> int:
        """Adds two numbers."""
        server.calls.append(("add", {"a": a, "b": b}))
        server.keys.append((context.headers or {}).get("x-key", ""))
        return a + b

    @made.tool()
    def weather(city: str) -> dict[str, Any]:
        """Tells the weather."""
        server.calls.append(("weather", {"city": city}))
        return {"city": city, "sky": "blue"}

    @made.tool()
    def fail() -> str:
        """Fails."""
        raise ValueError("the words of somebody")

    @made.tool()
    async def silent() -> str:
        """Says nothing for long."""
        await asyncio.to_thread(server.released.wait, 20)
        return "late"

    return made


@contextmanager
def mcp_server() -> Iterator[McpServer]:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    server = McpServer(bound.getsockname()[1])
    tools = _tools(server)
    app = tools.streamable_http_app()
    app.router.routes.extend(tools.sse_app().routes)
    running = _Server(uvicorn.Config(app, log_level="critical", ws="none", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=lambda: asyncio.run(running.serve([bound])), daemon=True)
    thread.start()
    assert running.ready.wait(10), "the MCP server did not start"
    try:
        yield server
    finally:
        server.released.set()
        running.should_exit = True
        thread.join(10)
        bound.close()


class _Server(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()
