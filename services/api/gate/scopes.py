"""What a key must be for, to be used at a door: run, read, publish, admin or audit.

In comes a method and the template of a route; out goes the scope. A door that no rule names opens for nobody: so a new route says
what it wants here, or is `PUBLIC`. Whoever a trusted proxy names has all scopes: what that caller may do is the proxy's matter.
"""

import re

from events.app import Scope
from services.api.gate.surfaces import CURRENT

_READING = frozenset({"GET", "HEAD"})
_RULES: tuple[tuple[str, Scope, Scope], ...] = (
    (r"/v1/audit/events", "audit", "audit"),
    (r"/v1/apps(/.*)?", "admin", "admin"),
    (r"/v1/providers(/.*)?", "publish", "admin"),
    (CURRENT + r"/(publish|auth|protocol/.*|node/debug(/.*)?|code/run|run)", "publish", "publish"),
    (CURRENT + r"/get_flow_info/.*", "read", "read"),
    (r"/v1/(flows|tools)(/.*)?", "read", "publish"),
    (r"/agent/v1/bot-config", "read", "publish"),
    (r"/v1/(runs|chats)(/.*)?", "read", "run"),
    (CURRENT + r"(/debug)?/(chat/completions|resume)(/.*)?", "run", "run"),
    (CURRENT + r"/upload_files?", "run", "run"),
    (r"/agent/v1(/custom)?/chat/completions", "run", "run"),
    (r"/v1/chat/completions|/v1/models(/.*)?", "run", "run"),
    (r"/api/v1/(chat|chat/stream|models)", "run", "run"),
    (r"/api/chat/stream|/chat/completions/stream|/ws/chat|/api/rpa-openapi/ws", "run", "run"),
)
"""Templates of routes, the scope for reading there, and the one for everything else."""
PUBLIC = (
    r"/health(/ready|/live)?|/metrics",
    r"/docs|/docs/(assets/\{name\}|doors|doors/\{name\}|errors|metrics|settings)|/v1/errors",
    r"/files/\{token\}/\{name\}",
    r"/lang/config|/models/config",
)
"""Routes without identity: health, pages about the service, signed links, and what the document's wiki asks before anybody signs in."""


def scope_of(method: str, template: str) -> Scope:
    """The scope that a request needs. Raises `LookupError` for a route that no rule names."""
    for pattern, reading, changing in _RULES:
        if re.fullmatch(pattern, template):
            return reading if method in _READING else changing
    raise LookupError(f"{template} has no scope")
