"""What the routes stand on: one value with everything, and the ways in which routes get at it."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.requests import Request as Plain
from starlette.types import Receive, Scope
from starlette.websockets import WebSocket

from events.json_text import read_json
from services.api.answers.problems import Problems, Refusal
from services.api.asking.commander import Commander
from services.api.following.follow import Followers
from services.api.following.history import History
from services.api.following.tail import Tails
from services.api.gate.identity import Caller, Identity
from services.api.gate.known_apps import KnownApps
from services.api.gate.limits import Limits
from services.api.gate.signing import Signatures
from services.kit.models.listing import OwnModels
from services.kit.models.register import Providers
from services.kit.rows import Rows
from services.kit.world import World


@dataclass(frozen=True)
class Api:
    """Everything a route may need."""

    world: World
    rows: Rows
    history: History
    tails: Tails
    followers: Followers
    commander: Commander
    limits: Limits
    known_apps: KnownApps
    identity: Identity
    problems: Problems
    models: OwnModels
    providers: Providers
    signatures: Signatures
    sockets: set[WebSocket] = field(default_factory=set[WebSocket])
    """Those that are open."""

    @classmethod
    def of(cls, world: World) -> "Api":
        """Stand everything on a world; nothing is read before it is needed."""
        history = History(world.database)
        tails = Tails(world, history)
        commander = Commander(world, tails)
        sockets = set[WebSocket]()
        world.metrics.limit_most.labels("instance_sockets").set(world.settings.sockets)
        world.metrics.limit_used.labels("instance_sockets").set_function(lambda: len(sockets))
        known_apps = KnownApps(world, commander)
        limits = Limits(world.settings, world.metrics, world.clock, tails.works)
        return cls(
            world=world,
            rows=Rows(world.database),
            history=history,
            tails=tails,
            followers=Followers(world, history, tails),
            commander=commander,
            limits=limits,
            known_apps=known_apps,
            identity=Identity(world, limits, known_apps),
            problems=Problems(world.clock),
            models=OwnModels(world.settings),
            providers=Providers(world.settings, world.database, world.secrets),
            sockets=sockets,
            signatures=Signatures(world, commander),
        )

    def has_room_for_a_socket(self) -> bool:
        """Whether one more may be open; that it may not is counted."""
        if len(self.sockets) < self.world.settings.sockets:
            return True
        self.world.metrics.limited.labels("instance_sockets").inc()
        return False

    async def close(self) -> None:
        """End all streams and stop reading."""
        await self.tails.close()
        await self.known_apps.aclose()


def _api(request: Request) -> Api:
    api: Api = request.app.state.api
    return api


async def _caller(request: Request, api: Annotated[Api, Depends(_api)]) -> Caller:
    return await api.identity.caller(request)


def _known(caller: Annotated[Caller, Depends(_caller)]) -> Caller:
    if caller.known is None:
        raise Refusal(20001, "x-consumer-username: there is no such app")
    return caller


TheApi = Annotated[Api, Depends(_api)]
TheCaller = Annotated[Caller, Depends(_caller)]
KnownCaller = Annotated[Caller, Depends(_known)]


class StrictJson(Plain):
    """Bodies as JSON says: UTF-8, no NaN, no lone surrogates, bounded depth."""

    async def json(self) -> Any:
        """The value. Raises `JSONDecodeError`, which becomes a validation error that does not repeat the body."""
        try:
            return read_json(await self.body())
        except ValueError as wrong:
            raise json.JSONDecodeError(str(wrong), "", 0) from None


class StrictRoute(APIRoute):
    """A route whose bodies are `StrictJson`."""

    def get_route_handler(self) -> Any:
        """The handler, given a stricter request."""
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Any:
            scope: Scope = request.scope
            receive: Receive = request.receive
            return await handle(_StrictRequest(scope, receive))

        return strictly


class _StrictRequest(StrictJson, Request):
    """FastAPI's request with our reading of bodies."""


async def bounded(api: Api, work: Any) -> Any:
    """Await something for at most `write_wait_s`. Raises `TimeoutError`."""
    async with asyncio.timeout(api.world.settings.write_wait_s):
        return await work
