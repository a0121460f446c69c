"""The api: says. HTTP in, commands to the log, events out as streams, rows out as JSON.

`create_app` puts routes on a world; `run` serves them until it is asked to stop, lets streams end, and drains.
"""

import asyncio

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from services.api.answers.problems import Native, Refusal, path_of
from services.api.api import Api
from services.api.described import describe
from services.api.gate.measured import Measured
from services.api.gate.middleware import Admission, BodyLimit, Codes, Guard, Methods, Paths, UploadLimit, allowed
from services.api.gate.quick import Quick
from services.api.routes import (
    agent,
    apps,
    assistant,
    bots,
    chat,
    comparing,
    debugging,
    doors,
    flows,
    health,
    interface,
    openai,
    protocol,
    providers,
    publishing,
    records,
    runs,
    sockets,
    tools,
    uploads,
    wiki,
)
from services.kit.errors import ProzessError, Refused
from services.kit.program.serving import listen, serve
from services.kit.settings import Settings
from services.kit.world import World

_HEADERS = (
    "Authorization",
    "Content-Type",
    "x-consumer-username",
    "x_consumer_username",
    "Last-Event-ID",
    "Idempotency-Key",
    "X-Stream-Ids",
    "X-Stream-Format",
)
_EXPOSED = ("X-Event-Id", "Deprecation", "Link", "Retry-After")
_FORESEEN = (Refusal, RequestValidationError, Native, ProzessError, OSError, SQLAlchemyError)


PARTS = (
    agent,
    apps,
    assistant,
    bots,
    chat,
    comparing,
    debugging,
    doors,
    flows,
    openai,
    protocol,
    providers,
    publishing,
    runs,
    records,
    health,
    interface,
    sockets,
    tools,
    uploads,
    wiki,
)


def _upload_bytes(settings: Settings) -> int:
    return settings.file_max_bytes * settings.files_at_once + 1024 * 1024


def create_app(world: World) -> FastAPI:
    """The application on this world."""
    api = Api.of(world)
    app = FastAPI(
        title="Prozess",
        summary="Every AI chat and workflow run, on the record.",
        version="1",
        strict_content_type=False,
        docs_url=None,
        redoc_url=None,
    )
    app.state.api = api
    for part in PARTS:
        app.include_router(part.router)

    routes = [route for part in PARTS for route in part.router.routes]
    describe(app, routes)

    async def render(request: Request, wrong: Exception) -> Response:
        return api.problems.render(path_of(request), wrong)

    async def refuse(request: Request, wrong: Exception) -> Response:
        assert isinstance(wrong, HTTPException), "that is what this is the handler of"
        headers = {**(wrong.headers or {}), **({"Allow": ", ".join(allowed(routes, request.scope))} if wrong.status_code == 405 else {})}
        return api.problems.refuse(path_of(request), wrong.status_code, str(wrong.detail), headers)

    for kind in _FORESEEN:
        app.add_exception_handler(kind, render)
    app.add_exception_handler(HTTPException, refuse)
    app.add_middleware(Quick, api=api, foreseen=_FORESEEN, render=render)
    app.add_middleware(Guard, problems=api.problems)
    app.add_middleware(BodyLimit, problems=api.problems, limit=world.settings.max_body_bytes, read_s=world.settings.request_read_s)
    app.add_middleware(UploadLimit, problems=api.problems, limit=_upload_bytes(world.settings))
    app.add_middleware(Methods)
    if world.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=world.settings.cors_origins,
            allow_credentials=True,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            allow_headers=_HEADERS,
            expose_headers=_EXPOSED,
        )
    app.add_middleware(Admission, problems=api.problems, limits=api.limits, idle_s=world.settings.idle_close_s)
    app.add_middleware(Measured, metrics=world.metrics, traces=world.traces, access_log=world.settings.access_log)
    app.add_middleware(Paths)
    if world.settings.error_codes == "documented":
        app.add_middleware(Codes, documented=True)
    return app


async def run(world: World, stop: asyncio.Event) -> None:
    """Serve until `stop`, then end streams and drain for at most 10 s.

    Raises `Refused` for a taken port or a log that cannot be read on.
    """
    bound = listen(world.settings.host, world.settings.port)
    app = create_app(world)
    api: Api = app.state.api
    ending = asyncio.Event()

    async def watch() -> None:
        waits = [asyncio.create_task(event.wait()) for event in (stop, api.tails.failed)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        ending.set()
        await api.close()

    watching = asyncio.create_task(watch())
    try:
        settings = world.settings
        await serve(app, bound, ending, frame_bytes=settings.max_body_bytes, keep_alive_s=settings.keep_alive_timeout_s)
    finally:
        watching.cancel()
        await api.close()
    if api.tails.failed.is_set():
        raise Refused(api.tails.reason)
