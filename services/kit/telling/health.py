"""Whether a program is well: `/health/live`, `/health/ready` and `/metrics` for programs that serve nothing else.

Live means that the loop turns. Ready means that the log and the rows answer and that no part waits for something else; what
is missing is named, with 503.
The api has its own, richer routes and asks `missing` for the same facts.
"""

import asyncio

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.kit.program.serving import listen, serve
from services.kit.telling.metrics import CONTENT_TYPE
from services.kit.world import World

_PATIENCE_S = 2.0


async def missing(world: World) -> list[str]:
    """What does not answer or cannot go on now: `log`, `database`, parts such as `partition 0`; or nothing."""
    world.metrics.log_reachable.set(int(world.log.reachable))
    absent = [] if world.log.reachable else ["log"]
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await world.database.ask(lambda rows: rows.scalar(select(1)), "health")  # in place on SQLite: a busy thread is no outage
    except (TimeoutError, SQLAlchemyError, OSError):
        absent.append("database")
    return [*absent, *world.obstacles.parts]


def create_app(world: World, program: str) -> Starlette:
    """The three routes."""

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "UP", "service": program})

    async def ready(_request: Request) -> Response:
        absent = await missing(world)
        return JSONResponse({"status": "DOWN" if absent else "UP", "service": program, "missing": absent}, 503 if absent else 200)

    async def metrics(_request: Request) -> Response:
        world.metrics.log_reachable.set(int(world.log.reachable))
        return Response(world.metrics.render(), media_type=CONTENT_TYPE)

    return Starlette(routes=[Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", metrics)])


async def run(world: World, program: str, stop: asyncio.Event) -> None:
    """Serve the routes on `metrics_port`, where it is set. Raises `Refused` for a taken port."""
    if world.settings.metrics_port == 0:
        return
    bound = listen(world.settings.host, world.settings.metrics_port, "--metrics-port")
    await serve(create_app(world, program), bound, stop, drain_s=1)
