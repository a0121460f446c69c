"""The api's own list of routes, so that a new one is seen by every test that asks about all.

FastAPI's pages about the interface are not ours and left out.
"""

import re
from dataclasses import dataclass

from fastapi.routing import APIRoute
from starlette.routing import WebSocketRoute

from services.api.app import PARTS
from services.api.gate.scopes import PUBLIC

SOCKET = "WS"


@dataclass(frozen=True, order=True)
class Door:
    """A way in: a method (or `WS`) and a template."""

    template: str
    method: str

    def __str__(self) -> str:
        return f"{self.method} {self.template}"

    @property
    def is_public(self) -> bool:
        """Whether it asks nobody who they are."""
        return self.method == "OPTIONS" or any(re.fullmatch(one, self.template) for one in PUBLIC)

    def path(self, value: str = "1234567") -> str:
        """A path for it, with the same value for everything in braces."""
        return re.sub(r"\{[^}]+\}", value, self.template)


def doors() -> list[Door]:
    """All of them."""
    found: set[Door] = set()
    for part in PARTS:
        for route in part.router.routes:
            if isinstance(route, APIRoute):
                found |= {Door(route.path, method) for method in route.methods}
            elif isinstance(route, WebSocketRoute):
                found.add(Door(route.path, SOCKET))
    return sorted(found)


def kept() -> list[Door]:
    """Those that ask who comes in, over HTTP."""
    return [door for door in doors() if not door.is_public and door.method != SOCKET]
