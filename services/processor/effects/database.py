"""Doing one statement in a database: the effect of a started `database` node.

In comes a `DatabaseRequest`; out come `ToolSent`, `ToolAnswered` and last `Done` with `isSuccess`, `message` and `outputList`, or
`Broke`: 21002 where the node does not fit the database, 21000 where the database did not do it.
"""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Protocol, cast

from pydantic import JsonValue

from events.node import Problem
from services.core.codes import Code
from services.core.running.effects import Broke, DatabaseRequest, Done, Outcome
from services.kit.outside.databases import DatabaseFailed
from services.kit.outside.outward import CallFailed
from services.kit.settings import Settings
from services.processor.tools.evidence import Evidence
from services.processor.tools.statements import BadStatement, do
from services.processor.tools.toolbox import Toolbox
from services.processor.where import replaced

_MODES = ("sql", "insert", "update", "select", "delete")


class World(Protocol):
    """What this effect needs of the world."""

    @property
    def settings(self) -> Settings: ...
    @property
    def toolbox(self) -> Toolbox: ...


async def perform(request: DatabaseRequest, world: World) -> AsyncGenerator[Outcome, None]:
    """Do it, in one transaction."""
    evidence: Evidence | None = None
    register = world.toolbox.register
    try:
        app = replaced(request.caller, world.settings) or request.app
        found = await register.find(app, request.database, "database")
        if found is None:
            yield _broke(
                Code.PG_SQL_PARAM_ERROR, f"{_whose(request, app)} has no database {request.database}: store it with PUT /v1/tools/{{id}}"
            )
            return
        dsn = await register.secret(app, str(found.content["dsn"]), f"the address of the database {request.database}")
        attributes: dict[str, JsonValue] = {
            "db.system.name": str(found.content.get("dialect") or ""),
            "db.operation.name": _MODES[request.mode],
            "db.collection.name": request.table,
            "prozess.tool.version": found.version,
        }
        evidence = Evidence("database", request.database, _told(request), attributes)
        yield evidence.sent
        is_read_only = bool(found.content.get("read_only")) or request.mode == _MODES.index("select")
        rows, count = await world.toolbox.databases.run(dsn, partial(do, request), request.quiet_ms / 1000, read_only=is_read_only)
    except (CallFailed, DatabaseFailed) as failure:
        code = Code.PG_SQL_PARAM_ERROR if isinstance(failure, BadStatement) else Code.PG_SQL_REQUEST_ERROR
        message = f"the database {request.database}: {failure.message}"
        if evidence is not None:
            yield evidence.failed(CallFailed(message, kind=failure.kind), code)
        yield _broke(code, message, temporary=failure.temporary)
        return
    listed = cast("JsonValue", rows)
    yield evidence.answered(listed)
    yield Done(outputs={"isSuccess": True, "message": f"{count} rows", "outputList": listed})


def _whose(request: DatabaseRequest, app: str) -> str:
    return "this app" if app == request.app else f"the calling app {app}, whose databases open runs use,"


def _told(request: DatabaseRequest) -> JsonValue:
    where: list[JsonValue] = [[one.field, one.operator, one.value] for one in request.conditions]
    return {"mode": request.mode, "sql": request.sql, "table": request.table, "values": request.values, "where": where}


def _broke(code: Code, message: str, *, temporary: bool = False) -> Broke:
    return Broke(Problem(code=code, message=message), temporary=temporary)
