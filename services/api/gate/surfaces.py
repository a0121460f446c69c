"""Which surface a path belongs to, and which spelling of it is current.

In comes the path as asked; out goes the one that has a route, and whether the caller used a legacy prefix (003, versioning
policy). Everything else knows only current paths.
"""

from enum import Enum

CURRENT = "/workflow/v1"
_COMPATIBLE = "/sparkflow/v1"
_OLD_DOORS = ("/v1/publish", "/v1/auth")
_CHATS = ("/chat/completions", "/resume")
_DRAWN = {"/layout": "/protocol", "/protocolcompare": "/protocol/compare", "/v1/publish": "/publish", "/v1/auth": "/auth"}


class Surface(Enum):
    """Who speaks: errors and identity look different on each."""

    CHAT = "chat"
    """Workflow chats and resumes: frames, E2 and E4."""
    WORKFLOW = "workflow"
    """The other workflow routes: envelopes E1 and E3."""
    AGENT = "agent"
    """Bots: chunks, 200 with the code in the body."""
    BOTS = "bots"
    """The configuration of bots: envelopes."""
    OPENAI = "openai"
    """Chat completions and models as OpenAI has them: HTTP statuses and `{"error"}`."""
    ASSISTANT = "assistant"
    """Messages of 002: HTTP statuses, some of them as a block."""
    WIKI = "wiki"
    """Questions about a repository: HTTP statuses and `{"detail"}`."""
    NATIVE = "native"
    """Ours: HTTP statuses and `{"detail"}`."""


_DOORS = {
    "/agent/v1/bot-config": Surface.BOTS,
    "/agent/v1": Surface.AGENT,
    "/v1/chat/completions": Surface.OPENAI,
    "/v1/models": Surface.OPENAI,
    "/api/v1/chat": Surface.ASSISTANT,
    "/api/v1/models": Surface.ASSISTANT,
    "/chat/completions/stream": Surface.WIKI,
    "/api/chat/stream": Surface.WIKI,
    "/ws/chat": Surface.WIKI,
}
SPEAK_HTTP = frozenset({Surface.NATIVE, Surface.OPENAI, Surface.ASSISTANT, Surface.WIKI})
"""Surfaces whose errors are HTTP statuses; nobody without a key comes in there."""


def surface_of(path: str) -> Surface:
    """The surface of a current path."""
    for door, surface in _DOORS.items():
        if path == door or path.startswith(door + "/"):
            return surface
    if not path.startswith(CURRENT + "/"):
        return Surface.NATIVE
    rest = path.removeprefix(CURRENT).removeprefix("/debug")
    return Surface.CHAT if any(rest == chat or rest.startswith(chat + "/") for chat in _CHATS) else Surface.WORKFLOW


def current(path: str) -> tuple[str, bool]:
    """The current spelling of a path, and whether the one that was used is deprecated."""
    if path in _OLD_DOORS:
        return CURRENT + path.removeprefix("/v1"), True
    if path.startswith(_COMPATIBLE + "/"):
        return CURRENT + _inside(path.removeprefix(_COMPATIBLE)), True
    if path.startswith(CURRENT + "/"):
        return CURRENT + _inside(path.removeprefix(CURRENT)), False
    inner = _inside(path)
    if path.startswith(("/open/", "/debug/")) and inner.removeprefix("/debug") in _CHATS:
        return CURRENT + inner, False
    return path, False


def _inside(rest: str) -> str:
    """The part after the prefix: `/open/…` (000) and what was only drawn or misspelt."""
    if rest.startswith("/open/") and rest.removeprefix("/open") in _CHATS:
        return rest.removeprefix("/open")
    for drawn, real in _DRAWN.items():
        if rest == drawn or rest.startswith(drawn + "/"):
            return real + rest.removeprefix(drawn)
    return rest
