"""The OpenAI door: chat completions and models, for clients that know nothing of flows and bots.

In come requests as the official clients send them; out go chunks, one answer, or `{"error"}` with a status. What fails
before a word was said is an error with its status even where a stream was asked for.
"""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from events.acceptance import Accepted
from projections import bots, flows, providers
from services.api.answers.problems import Json, Refusal
from services.api.api import Api, KnownCaller, StrictRoute, TheApi
from services.api.asking.model_chat import Model
from services.api.asking.starting import launch
from services.api.dialects import openai
from services.api.dialects.openai import Target
from services.api.documents.bots import model_of_bot
from services.api.following.follow import Follower
from services.api.following.streams import EVENT_ID, answer, from_position, in_openai, timed, whole
from services.api.gate.identity import Caller
from services.api.requests.agent import Sampling
from services.api.requests.chat import Pinned
from services.api.requests.openai import Completion
from services.api.routes.agent import Key, Numbered
from services.kit.models import offline
from services.kit.models.accounts import SCHEME
from services.kit.models.listing import Listed
from services.kit.models.register import unknown

PATH = "/v1/chat/completions"
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request is not as it must be, or names a plugin that is not there"},
    401: {"description": "No key, or a wrong one"},
    404: {"description": "No such model, or not for this app"},
    429: {"description": "The model's provider takes no more now"},
    502: {"description": "The model's provider failed"},
    504: {"description": "The model's provider, or the run, took too long"},
}
router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["openai"])


@router.post("/chat/completions", responses=_ERRORS)
async def complete(
    body: Completion, api: TheApi, caller: KnownCaller, request: Request, key: Key = "", numbered: Numbered = ""
) -> Response:
    """Ask a flow, a bot or a model."""
    target = await _target(api, caller, body.model)
    run, follower = await launch(api, caller, lambda run: openai.to_command(body, run, caller.app, target, key), chat=body.chat_id, key=key)
    if body.stream:
        return await _stream(api, follower, run, body, numbered=numbered == "1")
    return await _whole(api, follower, run, request)


@router.get("/models", responses={401: _ERRORS[401]})
async def models(api: TheApi, caller: KnownCaller) -> Response:
    """What this app may ask: published flows it is bound to, its bots, its providers' models, those of the process's own endpoint."""
    return Json({"object": "list", "data": [_model(one) for one in await _models(api, caller)]})


@router.get("/models/{model:path}", responses={401: _ERRORS[401], 404: _ERRORS[404]})
async def model(model: str, api: TheApi, caller: KnownCaller) -> Response:
    """One of them."""
    found = next((one for one in await _models(api, caller) if one.name == model), None)
    if found is None:
        raise Refusal(20201, "there is no such model")
    return Json(_model(found))


async def _models(api: Api, caller: Caller) -> list[Listed]:
    async with api.world.database.connect() as connection:
        own = await bots.of_app(connection, caller.app)
        bound = await flows.runnable(connection, caller.app)
        others = await providers.of_app(connection, caller.app)
    found = [Listed(flow.flow, flow.created // 1000, "flow") for flow in bound]
    found += [Listed(bot.bot, bot.updated // 1000, "bot") for bot in own]
    named = {one.provider: one for one in reversed(others)}
    found += [Listed(f"{one.provider}/{model}", one.updated // 1000, "provider") for one in named.values() for model in one.models]
    return [*found, *await api.models.listed()]


def _model(one: Listed) -> dict[str, Any]:
    return {"id": one.name, "object": "model", "created": one.created, "owned_by": one.owner}


async def _target(api: Api, caller: Caller, name: str) -> Target:
    """What a model's name means: a flow, a bot, or a model of the endpoint, which knows its own. Raises `Refusal`."""
    async with api.world.database.connect() as connection:
        if name.isascii() and name.isdigit():
            release = await flows.resolve_start(connection, name, "", caller.app, "open")
            if isinstance(release, flows.Release):
                return Target(flow=Pinned(release.flow, release.version, release.definition, release.owner))
        bot = await bots.find(connection, name, caller.app)
        listed = await providers.of_app(connection, caller.app)
    if bot is not None:
        return Target(model=model_of_bot(bot.configuration, Sampling.model_validate({})), bot=bot.bot, bot_digest=bot.digest)
    provider, _, model = name.removeprefix(SCHEME).partition("/")
    if any(one.provider == provider for one in listed) or (name.startswith(SCHEME) and await _is_there(api, caller, provider)):
        return Target(model=Model(model, provider=provider))
    is_id = name.isascii() and name.isdigit()
    if name != offline.NAME and (is_id or not api.models.has_endpoint):
        raise Refusal(20201, "there is no such model")
    return Target(model=Model(name))


async def _is_there(api: Api, caller: Caller, provider: str) -> bool:
    """Whether the app can name this provider. Raises `Refusal` where it cannot."""
    if await api.providers.find(caller.app, provider) is None:
        raise Refusal(20201, f"model: {unknown(provider)}")
    return True


async def _stream(api: Api, follower: Follower, run: str, body: Completion, *, numbered: bool) -> Response:
    """Chunks, unless the run fails before it said anything."""
    usage = body.stream_options is not None and body.stream_options.include_usage
    settings, metrics = api.world.settings, api.world.metrics
    fold = openai.Chunks(include_usage=usage, pauses=True)
    rendering = timed(in_openai(include_usage=usage, pauses=True), metrics.first_token_seconds.labels("openai").observe)
    before: list[Accepted] = []
    try:
        while not follower.ended and not fold.spoke:
            events = await follower.next(settings.ping_s)
            before += events
            for event in events:
                fold.feed(event)
            if not events:
                break
    except BaseException:
        follower.close()
        raise
    if fold.wrong is not None and not fold.spoke:
        follower.close()
        return _failed(api, fold, run)
    gauge = metrics.open_streams.labels("openai")
    return answer(follower, from_position(rendering, 0) if numbered else rendering, settings.ping_s, run, gauge, before=before)


async def _whole(api: Api, follower: Follower, run: str, request: Request) -> Response:
    chunks, text = openai.Chunks(include_usage=False, pauses=True), openai.Whole()

    def take(event: Accepted) -> openai.Chunk | None:
        return next((done for chunk in chunks.feed(event) if (done := text.add(chunk, chunks.usage)) is not None), None)

    said = await whole(follower, request, api.world.settings.ping_s, take)
    if said is None:
        return Response(status_code=204, headers={EVENT_ID: run})
    return Json(said, headers={EVENT_ID: run}) if chunks.wrong is None else _failed(api, chunks, run)


def _failed(api: Api, fold: openai.Chunks, run: str) -> Response:
    assert fold.wrong is not None, "only failed runs are said so"
    said = api.problems.say(PATH, fold.wrong)
    said.headers[EVENT_ID] = run
    return said
