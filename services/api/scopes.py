"""What a key must be for, to be used at a door: run, read, publish, admin or audit.

In comes a method and a current path; out goes the scope. Whoever a trusted proxy names has all scopes: what that caller may do
is the proxy's matter.
"""

import re

from events.app import Scope
from services.api.surfaces import CURRENT

_READING = frozenset({"GET", "HEAD"})
_RULES: tuple[tuple[str, Scope, Scope], ...] = (
    (r"/v1/audit(/.*)?", "audit", "audit"),
    (r"/v1/(apps|providers)(/.*)?", "admin", "admin"),
    (CURRENT + r"/(publish|auth|protocol/.*|node/debug|code/run|run)", "publish", "publish"),
    (CURRENT + r"/get_flow_info/.*", "read", "read"),
    (r"/v1/(flows|tools)(/.*)?", "read", "publish"),
    (r"/agent/v1/bot-config(/.*)?", "read", "publish"),
    (r"/v1/runs/[^/]*(/(events|text))?|/v1/(runs|chats)(/.*)?", "read", "run"),
)
"""Paths, the scope for reading there, and the one for everything else. What no rule names runs something."""


def scope_of(method: str, path: str) -> Scope:
    """The scope that a request needs."""
    for pattern, reading, changing in _RULES:
        if re.fullmatch(pattern, path):
            return reading if method in _READING else changing
    return "run"
