"""Tools of MCP servers, with the official client, behind the guard of `egress`.

In come a server (of the app's register, or an address) and a tool's name; out go its result as JSON, or what tools there
are. Each call opens a session of its own and closes it: a server that is restarted in between is no failure.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2
from mcp.client.client import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent
from pydantic import JsonValue

from events.json_text import is_finite
from services.core.language.values import MAX_DEPTH, deeper, encodable, read
from services.kit.outside.egress import EgressRefused
from services.kit.outside.outward import CallFailed, Outward
from services.kit.outside.redaction import without
from services.processor.tools.port import Ready
from services.processor.tools.register import Register

PAGES = 20


@dataclass(frozen=True, slots=True)
class Server:
    """Where an MCP server is and what it is told. `name` is for sentences."""

    name: str
    url: str = field(repr=False)
    transport: str = "streamable-http"
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@dataclass(frozen=True, slots=True)
class Offered:
    """A tool that a server has."""

    name: str
    description: str
    parameters: dict[str, JsonValue]


class McpTools:
    """All sessions of one program."""

    def __init__(self, outward: Outward, register: Register) -> None:
        self._outward = outward
        self._register = register

    async def server(self, app: str, server: str, url: str) -> Server:
        """The server of this id, else of this address. Raises `CallFailed`."""
        if not server:
            parts = urlsplit(url)
            if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
                raise CallFailed("the MCP server's address should look like https://host/mcp", kind="url")
            return Server(parts.hostname, url, "sse" if parts.path.rstrip("/").endswith("/sse") else "streamable-http")
        found = await self._register.find(app, server, "mcp")
        if found is None:
            raise CallFailed(f"this app has no MCP server {server[:100]}: store it with PUT /v1/tools/{{id}}", kind="tool")
        headers = await self._register.secrets(app, found.content.get("headers") or {}, f"the header of {server}")
        return Server(server, str(found.content["url"]), str(found.content.get("transport") or "streamable-http"), headers)

    async def listed(self, server: Server, seconds: float) -> list[Offered]:
        """What tools the server has. Raises `CallFailed`."""
        found: list[Offered] = []
        async with self._session(server, seconds) as client:
            cursor: str | None = None
            for _ in range(PAGES):
                page = await client.list_tools(cursor=cursor)
                found += [_offered(cast("Any", one)) for one in page.tools]
                cursor = page.next_cursor
                if not cursor:
                    break
        return found

    def ready(self, server: Server, tool: str, arguments: dict[str, JsonValue], seconds: float) -> Ready:
        """The call of a tool."""

        async def run() -> JsonValue:
            async with self._session(server, seconds) as client:
                told = _result(await client.call_tool(tool, arguments), f"the tool {tool} of {server.name}")
                return without(told, (part for value in server.headers.values() for part in (value, value.rpartition(" ")[2])))

        sent: dict[str, JsonValue] = {"name": tool, "arguments": arguments}
        return Ready("mcp", tool, sent, {"mcp.method.name": "tools/call", "prozess.tool.server": server.name}, run)

    @asynccontextmanager
    async def _session(self, server: Server, seconds: float) -> AsyncGenerator[Client]:
        """A session; whatever goes wrong in it is a `CallFailed`, also where the client's own tasks gather it in a group."""
        what = f"the MCP server {server.name}"
        try:
            async with (
                asyncio.timeout(seconds),
                self._transport(server, seconds) as transport,
                Client(transport, read_timeout_seconds=seconds, cache=None) as client,
            ):
                yield client
        except TimeoutError:
            raise CallFailed(f"{what} did not answer within {seconds:g} s", kind="timeout", temporary=True) from None
        except Exception as wrong:  # noqa: BLE001 (groups of anything; each becomes one sentence)
            raise _failed(wrong, what, seconds) from None

    @asynccontextmanager
    async def _transport(self, server: Server, seconds: float) -> AsyncGenerator[Any]:
        def make() -> httpx2.AsyncClient:
            return self._outward.egress.client(self._outward.max_bytes, headers=dict(server.headers))

        if server.transport == "sse":
            yield sse_client(server.url, timeout=seconds, sse_read_timeout=seconds, httpx_client_factory=_Factory(make))
            return
        async with make() as http:
            yield streamable_http_client(server.url, http_client=http)


class _Factory:
    """Gives a guarded client to a transport that wants to make its own."""

    def __init__(self, make: Callable[[], httpx2.AsyncClient]) -> None:
        self._make = make

    def __call__(self, headers: dict[str, str] | None = None, timeout: object = None, auth: object = None) -> httpx2.AsyncClient:
        assert timeout or auth is None, "what is signed in is in the headers, times are bounded outside"
        made = self._make()
        made.headers.update(headers or {})
        return made


def _offered(tool: Any) -> Offered:
    schema = cast("dict[str, JsonValue]", tool.input_schema or {"type": "object"})
    return Offered(str(tool.name), encodable(str(tool.description or "")), schema)


def _result(answer: Any, what: str) -> JsonValue:
    """The structured result where there is one, else the text (as JSON where it is that). Raises `CallFailed` for the tool's own no."""
    if not isinstance(answer, CallToolResult):
        raise CallFailed(f"{what} answered in a form that is not understood", kind="mcp")
    if answer.is_error:
        raise CallFailed(f"{what} says that it failed", kind="tool_error")
    structured = cast("JsonValue", answer.structured_content)
    if structured is not None:
        if deeper(structured, MAX_DEPTH):
            raise CallFailed(f"{what} answered with something nested deeper than {MAX_DEPTH}", kind="no_json")
        if not is_finite(structured):
            raise CallFailed(f"{what} answered with a number that is larger than any", kind="no_json")
        only = structured.get("result") if isinstance(structured, dict) and len(structured) == 1 else None
        return structured if only is None else only
    text = encodable("\n".join(one.text for one in answer.content if isinstance(one, TextContent)))
    try:
        return read(text)
    except ValueError:
        return text


def _failed(wrong: BaseException, what: str, seconds: float) -> CallFailed:
    inner = _innermost(wrong)
    match inner:
        case CallFailed():
            return inner
        case EgressRefused():
            return CallFailed(f"{what} is not called: {inner}", kind="refused")
        case TimeoutError() | httpx2.TimeoutException():
            return CallFailed(f"{what} did not answer within {seconds:g} s", kind="timeout", temporary=True)
        case httpx2.HTTPStatusError():
            status = inner.response.status_code
            return CallFailed(f"{what} answered {status}", kind=str(status), temporary=status >= 500)
        case MCPError():
            return CallFailed(f"{what} refused the call (MCP error {inner.error.code})", kind=str(inner.error.code))
        case httpx2.HTTPError() | OSError():
            return CallFailed(f"{what} cannot be reached, or it broke off", kind="connection", temporary=True)
        case _:
            return CallFailed(f"{what} answered in a form that is not understood ({type(inner).__name__})", kind="mcp")


def _innermost(wrong: BaseException) -> BaseException:
    """The one that says most: our own refusals first, else the first of a group."""
    while isinstance(wrong, BaseExceptionGroup):
        inside = [_innermost(one) for one in cast("BaseExceptionGroup[BaseException]", wrong).exceptions]
        wrong = next((one for one in inside if isinstance(one, CallFailed | EgressRefused)), inside[0])
    return wrong
