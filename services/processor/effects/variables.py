"""Reading what earlier runs stored: the effect of a started `node-variable` node.

In comes a `VariablesRequest`; out comes `Done` with the stored values, or `Broke`. Reading again does no harm.
"""

from collections.abc import AsyncGenerator
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from events.node import Problem
from services.core.codes import Code
from services.core.running.effects import Broke, Done, Outcome, VariablesRequest
from services.kit.errors import ProzessError
from services.kit.settings import Settings
from services.kit.variables import Variables


class World(Protocol):
    """What this effect needs of the world."""

    @property
    def settings(self) -> Settings: ...
    @property
    def variables(self) -> Variables: ...


async def perform(request: VariablesRequest, world: World) -> AsyncGenerator[Outcome, None]:
    """Read them."""
    try:
        values = await world.variables.read(request.run, request.pool, world.settings.write_wait_s)
    except (ProzessError, SQLAlchemyError, OSError):
        problem = Problem(code=Code.VARIABLE_NODE_EXECUTION_ERROR, message="the stored variables cannot be read now; try again")
        yield Broke(problem, temporary=True)
        return
    yield Done(outputs={"values": values})
