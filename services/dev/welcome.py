"""What `prozess dev` prints: the address, and three lines for a shell that work as they are.

The first asks the demo flow and keeps the run's id (header `X-Event-Id`) in a shell variable, the second follows that
run again from its fourth event on, the third reads the chat's history.
"""

import asyncio
import json

import httpx
from rich.console import Console
from rich.markup import escape
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from services.dev import demo
from services.kit.settings import Settings

_ANYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 (compared, not bound)
_PATIENCE_S = 30


def address(settings: Settings) -> str:
    """Where a client on this machine finds the api."""
    host = "127.0.0.1" if settings.host in _ANYWHERE else settings.host
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def lines(settings: Settings) -> dict[str, str]:
    """The shell lines by what they show."""
    base = address(settings)
    key = f"-H 'Authorization: Bearer {demo.KEY}:{demo.SECRET}'"
    body = {
        "flow_id": demo.FLOW,
        "uid": "you",
        "chat_id": demo.CHAT,
        "stream": True,
        "parameters": {"AGENT_USER_INPUT": "What does an event log remember?"},
    }
    asked = f"{key} -H 'Content-Type: application/json' -d '{json.dumps(body)}'"
    post = f"curl -sN -D - -o /dev/stderr {base}/workflow/v1/chat/completions {asked}"
    return {
        "Chat (the answer streams, and EVENT keeps the run's id)": (
            f"""EVENT=$({post} | tr -d '\\r' | awk 'tolower($1) == "x-event-id:" {{print $2}}')"""
        ),
        "Resume (the same run again, after its third event)": (f"""curl -sN "{base}/v1/runs/$EVENT/events" {key} -H 'Last-Event-ID: 3'"""),
        "History (what was said in this chat)": f"curl -s {base}/v1/chats/{demo.CHAT}/messages {key}",
    }


def greet(settings: Settings, obstacle: str = "") -> None:
    """Print the address and the lines; without a demo only the address, and what is in its way."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]Prozess[/] listens on {address(settings)} (data in {escape(str(settings.data))}; Ctrl-C ends it).")
    if obstacle:
        console.print(f"The demo flow {demo.FLOW} cannot be started here: {obstacle}.", markup=False)
    elif settings.demo:
        for told, line in lines(settings).items():
            console.print(f"\n[dim]# {told}[/]")
            console.print(line, markup=False)


async def answering(settings: Settings, stop: asyncio.Event) -> bool:
    """Wait until the api answers; False if it was stopped first. Raises `httpx.TransportError` after 30 seconds."""
    again = AsyncRetrying(
        retry=retry_if_exception_type(httpx.TransportError), stop=stop_after_delay(_PATIENCE_S), wait=wait_fixed(0.02), reraise=True
    )
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        async for attempt in again:
            with attempt:
                if stop.is_set():
                    return False
                await client.get(f"{address(settings)}/health/live")
    return True
