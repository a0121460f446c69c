"""Whether the service is well, and what it measures.

Live means that the process answers. Ready means that log, rows, schema and projector are there and that nothing in this
process waits for something else; what is missing is named, with 503. `?style=001` speaks the words of documents 001, 002 and 004.
"""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from events.topics import EVENTS
from projections import checkpoints
from services.api.answers.problems import Json
from services.api.api import Api, TheApi
from services.kit.errors import LogError, Refused
from services.kit.log import Log
from services.kit.telling import health
from services.kit.telling.metrics import CONTENT_TYPE

router = APIRouter(tags=["health"])
SERVICE = "prozess"
_LAG_MS = 30_000
_PARTS = ("log", "database", "schema", "projector")
_Style = Annotated[str, Query(max_length=16, description="`001`: healthy and unhealthy instead of UP and DOWN.")]
_NOT_READY: dict[int | str, dict[str, Any]] = {503: {"description": "Something that is needed is missing; it is named."}}


@router.get("/health", responses=_NOT_READY)
async def whole(api: TheApi, style: _Style = "") -> Response:
    """Everything at a glance."""
    return await _report(api, style)


@router.get("/health/ready", responses=_NOT_READY)
async def ready(api: TheApi, style: _Style = "") -> Response:
    """Whether requests can be served."""
    return await _report(api, style)


@router.get("/health/live")
async def live(style: _Style = "") -> Response:
    """Whether the process answers."""
    return Json({"status": "healthy" if style == "001" else "UP", "service": SERVICE})


@router.get("/metrics")
async def metrics(api: TheApi) -> Response:
    """For Prometheus."""
    api.world.metrics.log_reachable.set(int(api.world.log.reachable))
    return Response(api.world.metrics.render(), media_type=CONTENT_TYPE)


async def _report(api: Api, style: str) -> Response:
    missing = await _missing(api)
    up, down = ("healthy", "unhealthy") if style == "001" else ("UP", "DOWN")
    fine = not missing
    said: dict[str, object] = {
        "status": up if fine else down,
        "service": SERVICE,
        "timestamp": datetime.fromtimestamp(api.world.clock.now() / 1000, UTC).isoformat(),
        "checks": {part: down if part in missing else up for part in dict.fromkeys((*_PARTS, *missing))},
        "missing": missing,
        "database": "disconnected" if "database" in missing else "connected",
        "workflow_engine": "unavailable" if {"log", "projector"} & set(missing) else "running",
    }
    return Json(said, 200 if fine else 503)


async def _missing(api: Api) -> list[str]:
    missing = await health.missing(api.world)
    if "database" not in missing:
        try:
            await api.world.database.check_schema()
        except Refused:
            missing.append("schema")
    if not missing and await _lags(api):
        missing.append("projector")
    return missing


async def _lags(api: Api) -> bool:
    """Whether a record waits longer than 30 s for the rows, in any partition."""
    try:
        async with api.world.database.connect() as connection:
            reached = await checkpoints.all_reached(connection)
        partitions = range(api.world.log.partitions(EVENTS))
        oldest = await asyncio.gather(*(_waiting_since(api.world.log, one, reached.get(one, 0)) for one in partitions))
    except (LogError, SQLAlchemyError, OSError):
        return True
    return any(api.world.clock.now() - since > _LAG_MS for since in oldest if since is not None)


async def _waiting_since(log: Log, partition: int, reached: int) -> int | None:
    """The time of the first record that the rows do not have (ms since 1970)."""
    first, end = await log.bounds(EVENTS, partition)
    waiting = await log.read(EVENTS, partition, max(first, reached), 1) if reached < end else ()
    return waiting[0].record.time if waiting else None
