"""Finding what a sub-flow runs: the effect of a started `flow` node.

In comes a `ReleaseRequest`; out comes `Pinned`, or `Broke` with the code of the look-up.
"""

from collections.abc import AsyncGenerator
from typing import Protocol

from services.core.running.effects import Outcome, ReleaseRequest
from services.kit.database import Database
from services.processor.definitions.releases import look_up


class World(Protocol):
    """What this effect needs of the world."""

    @property
    def database(self) -> Database: ...


async def perform(request: ReleaseRequest, world: World) -> AsyncGenerator[Outcome, None]:
    """Look it up."""
    yield await look_up(world.database, request.flow, request.version, request.app)
