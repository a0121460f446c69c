"""What a start of a flow by another run would run, by the rules of any start; looking again does no harm.

In come a flow, a version ("" = the newest) and the app that starts it; out comes `Pinned`, or `Broke` with the code of the look-up.
"""

from sqlalchemy.exc import SQLAlchemyError

from events.node import Problem
from projections import flows
from services.core.codes import Code
from services.core.running.effects import Broke, Pinned
from services.kit.database import Database

_WHY = {
    "no_flow": (Code.FLOW_NOT_FOUND_ERROR, "there is no flow {flow}"),
    "not_bound": (Code.APP_FLOW_NOT_AUTH_BOND_ERROR, "the app is not bound to flow {flow}"),
    "binding_off": (Code.APP_FLOW_NO_LICENSE_ERROR, "the app's licence for flow {flow} is off"),
    "not_released": (Code.FLOW_NOT_PUBLISH_ERROR, "flow {flow}, or this version of it, is not published"),
    "no_content": (Code.PROTOCOL_VALIDATION_ERROR, "flow {flow} has no content yet"),
}


async def look_up(database: Database, flow: str, version: str, app: str) -> Pinned | Broke:
    """Look it up."""
    try:
        async with database.connect() as connection:
            found = await flows.resolve_start(connection, flow, version, app, "open")
    except (SQLAlchemyError, OSError):
        problem = Problem(code=Code.WORKFLOW_EXECUTION_ERROR, message="the flows cannot be read now; try again")
        return Broke(problem, temporary=True)
    if isinstance(found, flows.NoStart):
        code, words = _WHY[found.reason]
        return Broke(Problem(code=code, message="the sub-flow cannot start: " + words.format(flow=flow)))
    return Pinned(found.flow, found.version, found.definition, found.owner)
