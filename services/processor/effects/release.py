"""Finding what a sub-flow runs: the effect of a started `flow` node. The rules are those of any start.

In comes a `ReleaseRequest`; out comes `Pinned`, or `Broke` with the code of the look-up. Looking again does no harm.
"""

from collections.abc import AsyncGenerator
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from events.node import Problem
from projections import flows
from services.core.codes import Code
from services.core.effects import Broke, Outcome, Pinned, ReleaseRequest
from services.kit.database import Database

_WHY = {
    "no_flow": (Code.FLOW_NOT_FOUND_ERROR, "there is no flow {flow}"),
    "not_bound": (Code.APP_FLOW_NOT_AUTH_BOND_ERROR, "the app is not bound to flow {flow}"),
    "binding_off": (Code.APP_FLOW_NO_LICENSE_ERROR, "the app's licence for flow {flow} is off"),
    "not_released": (Code.FLOW_NOT_PUBLISH_ERROR, "flow {flow}, or this version of it, is not published"),
    "no_content": (Code.PROTOCOL_VALIDATION_ERROR, "flow {flow} has no content yet"),
}


class World(Protocol):
    """What this effect needs of the world."""

    @property
    def database(self) -> Database: ...


async def perform(request: ReleaseRequest, world: World) -> AsyncGenerator[Outcome, None]:
    """Look it up."""
    try:
        async with world.database.connect() as connection:
            found = await flows.resolve_start(connection, request.flow, request.version, request.app, "open")
    except (SQLAlchemyError, OSError):
        problem = Problem(code=Code.WORKFLOW_EXECUTION_ERROR, message="the flows cannot be read now; try again")
        yield Broke(problem, temporary=True)
        return
    if isinstance(found, flows.NoStart):
        code, words = _WHY[found.reason]
        yield Broke(Problem(code=code, message="the sub-flow cannot start: " + words.format(flow=request.flow)))
        return
    yield Pinned(found.flow, found.version, found.definition, found.owner)
