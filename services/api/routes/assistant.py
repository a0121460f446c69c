"""The assistant's door (002): a message in, an answer as blocks or whole, with the session's memory.

In come checked requests; out go blocks of a run. The route is decided before the run is started and recorded with it; a
session belongs to the app that calls, so that another app's session is an empty one.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from events.topics import EVENTS, slot_of_name
from projections import chat_messages, providers
from projections.chat_messages import Message
from services.api.answers.problems import BadRequest, Json
from services.api.api import Api, StrictRoute, TheApi, TheCaller
from services.api.asking.model_chat import Said
from services.api.asking.routing import NoRoute, Offer, Route, route
from services.api.asking.starting import launch
from services.api.dialects import assistant
from services.api.dialects.assistant import Memory
from services.api.following.follow import Follower
from services.api.following.streams import EVENT_ID, answer, in_assistant, timed, whole
from services.api.gate.identity import Caller
from services.api.requests.assistant import Ask
from services.core.words.tokens import estimate
from services.kit.errors import NotReady
from services.kit.ids import new_id
from services.kit.models import offline
from services.kit.models.accounts import SCHEME
from services.kit.settings import Settings

router = APIRouter(prefix="/api/v1", route_class=StrictRoute, tags=["assistant"])
PLAIN, EVENT_STREAM = "text/plain; charset=utf-8", "text/event-stream; charset=utf-8"
_PAGE, _PAGES = 50, 8
_Key = Annotated[str, Header(alias="Idempotency-Key", max_length=255)]


@router.post("/chat/stream")
async def stream(
    body: Ask, api: TheApi, caller: TheCaller, key: _Key = "", accept: Annotated[str, Header(alias="Accept")] = ""
) -> Response:
    """Answer a message, block by block."""
    run, follower = await _start(api, caller, body, key)
    metrics, name = api.world.metrics, "assistant"
    rendering = timed(in_assistant(), metrics.first_token_seconds.labels(name).observe)
    media_type = EVENT_STREAM if "text/event-stream" in accept else PLAIN
    return answer(follower, rendering, api.world.settings.ping_s, run, metrics.open_streams.labels(name), media_type=media_type)


@router.post("/chat")
async def chat(body: Ask, api: TheApi, caller: TheCaller, request: Request, key: _Key = "") -> Response:
    """Answer a message at once. A run that fails answers with `error`."""
    run, follower = await _start(api, caller, body, key)
    said = await whole(follower, request, api.world.settings.ping_s, assistant.Whole().take)
    return Response(status_code=204) if said is None else Json(said, headers={EVENT_ID: run})


@router.get("/models")
async def models(api: TheApi, caller: TheCaller) -> Response:
    """The models that may be named, by class."""
    offered = _with(offer(api.world.settings), await _named(api, caller))
    return Json({"local_models": list(offered.local), "cloud_models": list(offered.cloud)})


def offer(settings: Settings) -> Offer:
    """What the settings offer. A machine with no model at all has the script that is honest about being none, if it is a demo."""
    cloud: tuple[str, ...] = ()
    if settings.openai_base_url or settings.openai_api_key:
        cloud = tuple(dict.fromkeys((settings.openai_model, *settings.assistant_models)))
    local = (settings.local_model,) if settings.local_base_url else ()
    if not cloud and not local and settings.demo:
        local = (offline.NAME,)
    return Offer(local, cloud)


async def _start(api: Api, caller: Caller, ask: Ask, key: str) -> tuple[str, Follower]:
    wrong = ask.outside()
    if wrong:
        raise BadRequest(wrong)
    named = await _named(api, caller)
    decided = _route(_with(offer(api.world.settings), named), ask)
    session = ask.session_id or (_session_of(caller.app, key) if key else new_id())
    memory = await remembered(api, caller.app, session) if ask.session_id else Memory()
    url = api.world.settings.local_base_url if decided.model_used == "local_small" else ""
    if decided.model in named:
        provider, model = named[decided.model]
        url, decided = SCHEME + provider, replace(decided, model=model, reasons=(*decided.reasons, f"at the provider {provider}"))
    return await launch(
        api, caller, lambda run: assistant.to_command(ask, run, caller.app, session, decided, url, memory, key), chat=session, key=key
    )


def _session_of(app: str, key: str) -> str:
    """The session of a message that names none: with an idempotency key the same for every repeat."""
    return hashlib.sha256(f"{app}\0{key}".encode()).hexdigest()[:32]


async def _named(api: Api, caller: Caller) -> dict[str, tuple[str, str]]:
    """The models of the providers that an app can name, as `<provider>/<model>`."""
    async with api.world.database.connect() as connection:
        found = {one.provider: one for one in reversed(await providers.of_app(connection, caller.app))}
    return {f"{one.provider}/{model}": (one.provider, model) for one in found.values() for model in one.models}


def _with(offered: Offer, named: Iterable[str]) -> Offer:
    """The offer, and models of providers after those of the settings: they are asked where they are named, or nothing else is there."""
    return replace(offered, cloud=tuple(dict.fromkeys((*offered.cloud, *named))))


def _route(offered: Offer, ask: Ask) -> Route:
    try:
        return route(ask.message, ask.model_type or "auto_select", ask.preferred_model or "", offered)
    except NoRoute as no:
        if no.wrong:
            raise BadRequest(str(no)) from None
        raise NotReady(str(no)) from None


async def remembered(api: Api, app: str, session: str) -> Memory:
    """The newest whole turns of a session that fit the budget, oldest first. Raises `NotReady` where the rows lag too long.

    A turn whose answer is still being given, or never began, is none.
    """
    settings = api.world.settings
    partition = api.tails.partition(slot_of_name("chat", app, session))
    _, end = await api.world.log.bounds(EVENTS, partition)
    if end:
        await api.rows.wait(partition, end - 1, settings.write_wait_s)
    said: list[Said] = []
    tokens, answers, cursor = 0, dict[str, Message](), None
    async with api.world.database.connect() as connection:
        for _ in range(_PAGES):
            page = await chat_messages.page(connection, app, session, cursor, _PAGE, newest_first=True)
            for one in page.messages:
                if one.role == "assistant":
                    answers[one.run] = one
                    continue
                answered = answers.pop(one.run, None)
                if answered is None or answered.status == "running" or not answered.content:
                    continue
                cost = estimate(one.content) + estimate(answered.content)
                if tokens + cost > settings.history_tokens:
                    return Memory(said[::-1], left_out=True, tokens=tokens)
                tokens += cost
                said += [Said("assistant", answered.content), Said("user", one.content)]
            cursor = page.cursor
            if cursor is None:
                return Memory(said[::-1], tokens=tokens)
    return Memory(said[::-1], left_out=True, tokens=tokens)
