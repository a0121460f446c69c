"""Chats with bots (astron.md 2.1, 2.2; document 001): with a stored bot or the request's own model, and coming back to them.

In come checked requests; out go chunks of the run. What cannot begin is said in the stop chunk, at 200.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response, StreamingResponse

from events.acceptance import Accepted
from events.run import RunStarted
from projections import bots as rows
from services.api.answers.compact import DONE, record
from services.api.answers.problems import BadRequest, Json, Missing, Refusal, wrong_of
from services.api.api import Api, KnownCaller, StrictRoute, TheApi
from services.api.asking.model_chat import Model
from services.api.asking.starting import launch, opened, run_id
from services.api.dialects import agent
from services.api.documents.bots import model_of_bot, model_of_custom
from services.api.following.follow import Follower
from services.api.following.streams import EVENT_ID, HEADERS, answer, from_position, in_agent, timed, whole
from services.api.gate.identity import Caller
from services.api.gate.outcome import fails
from services.api.requests.agent import BotChat, Chat, CustomChat
from services.kit.errors import NotReady
from services.kit.ids import new_id
from services.kit.secrets.port import is_reference

router = APIRouter(prefix="/agent/v1", route_class=StrictRoute, tags=["agent"])
PATH = "/agent/v1/chat/completions"
_SSE = "text/event-stream; charset=utf-8"
Key = Annotated[str, Header(alias="Idempotency-Key", max_length=255, description="A repeat with the same key follows the first run.")]
Numbered = Annotated[str, Header(alias="X-Stream-Ids", max_length=8, description="`1` puts the position as an `id:` line before chunks.")]
LastId = Annotated[str, Header(alias="Last-Event-ID", max_length=64, description="The last `id` that was read.")]


@router.post("/chat/completions")
async def chat(body: BotChat, api: TheApi, caller: KnownCaller, request: Request, key: Key = "", numbered: Numbered = "") -> Response:
    """Ask a bot."""
    try:
        model, digest = await model_of(api, caller, body)
        run, follower = await begin(api, caller, body, model, body.bot_id, digest, key)
    except (Refusal, NotReady) as no:
        return _refused(api, no, stream=body.stream, in_form=body.is_documents)
    return await _answer(api, request, follower, run, body, numbered)


@router.post("/custom/chat/completions")
async def custom(body: CustomChat, api: TheApi, caller: KnownCaller, request: Request, key: Key = "", numbered: Numbered = "") -> Response:
    """Ask a model that the request names. The answer is always a stream."""
    body = body.model_copy(update={"stream": True})
    try:
        model = await _custom_model(api, caller, body)
        run, follower = await begin(api, caller, body, model, "", "", key)
    except (Refusal, NotReady) as no:
        return _refused(api, no, stream=True, in_form=body.is_documents)
    return await _answer(api, request, follower, run, body, numbered)


@router.get("/chat/completions")
async def attach(
    api: TheApi,
    request: Request,
    event_id: Annotated[str, Query(max_length=64, description="The run, from `X-Event-Id`.")] = "",
    last: LastId = "",
    after: Annotated[int, Query(ge=0, lt=1 << 53, description="The last position that was read; the header wins.")] = 0,
) -> Response:
    """Come back to a stream. Chunks carry their position as `id`, so an `EventSource` goes on by itself."""
    try:
        caller = await api.identity.caller(request)
        api.limits.follow()
        position = _cursor(event_id, last, after)
        follower = await found(api, caller, event_id, position)
    except Refusal as no:
        if no.status is not None:
            raise
        return _refused(api, no, stream=True, in_form=True)
    rendering = from_position(in_agent(), position)
    return answer(follower, rendering, api.world.settings.agent_ping_s, event_id, api.world.metrics.open_streams.labels("agent"))


async def model_of(api: Api, caller: Caller, body: BotChat) -> tuple[Model, str]:
    """What a chat with the bot asks, and the digest of the bot's configuration. Raises `Refusal`: 40001."""
    async with api.world.database.connect() as connection:
        bot = await rows.find(connection, body.bot_id, caller.app)
    if bot is None:
        raise Refusal(agent.UNKNOWN_BOT, "bot_id: this app has no such bot")
    return model_of_bot(bot.configuration, body.sampling), bot.digest


async def begin(api: Api, caller: Caller, body: Chat, model: Model, bot: str, bot_digest: str, key: str = "") -> tuple[str, Follower]:
    """Start the chat."""
    return await launch(
        api, caller, lambda run: agent.to_command(body, run, caller.app, model, bot=bot, bot_digest=bot_digest, key=key), key=key
    )


async def found(api: Api, caller: Caller, event_id: str, position: int) -> Follower:
    """A follower of this app's run from its first event on; the position must be one that the run has. Raises `Refusal`."""
    run = run_id(event_id)
    unknown = Refusal(agent.INVALID, "event_id: this app has no such run")
    if run is None:
        raise unknown
    try:
        if position:
            (await opened(api, run, position)).close()
        follower = await opened(api, run)
    except Missing:
        raise unknown from None
    except BadRequest as wrong:
        raise Refusal(agent.INVALID, str(wrong)) from None
    begun = await follower.peek()
    if not isinstance(begun.envelope.data, RunStarted) or begun.envelope.data.app != caller.app:
        follower.close()
        raise unknown
    return follower


async def _answer(api: Api, request: Request, follower: Follower, run: str, body: Chat, numbered: str) -> Response:
    settings, metrics = api.world.settings, api.world.metrics
    if body.stream:
        rendering = timed(in_agent(ping=body.meta_data.ping), metrics.first_token_seconds.labels("agent").observe)
        if numbered == "1":
            rendering = from_position(rendering, 0)
        return answer(follower, rendering, settings.agent_ping_s, run, metrics.open_streams.labels("agent"))
    chunks, text = agent.Chunks(), agent.Whole()

    def take(event: Accepted) -> agent.Chunk | None:
        return next((done for chunk in chunks.feed(event) if (done := text.add(chunk)) is not None), None)

    said = await whole(follower, request, settings.ping_s, take)
    return Response(status_code=204, headers={EVENT_ID: run}) if said is None else Json(said, headers={EVENT_ID: run})


def _refused(api: Api, no: Exception, *, stream: bool, in_form: bool) -> Response:
    wrong = wrong_of(PATH, no)
    fails(wrong.number)
    chunk = agent.Chunks(is_documents=in_form).refusal(wrong, api.world.clock.now(), new_id())
    if not stream:
        return Json(agent.Whole().add(chunk))

    async def records() -> AsyncIterator[bytes]:
        yield record(chunk) + DONE

    return StreamingResponse(records(), headers=HEADERS, media_type=_SSE)


async def _custom_model(api: Api, caller: Caller, body: CustomChat) -> Model:
    key = body.model.api_key
    return model_of_custom(body, key if not key or is_reference(key) else await api.world.secrets.put(caller.app, key))


def _cursor(event_id: str, last: str, after: int) -> int:
    if not event_id:
        raise Refusal(agent.INVALID, "event_id: field required; ask with POST, and come back here with the X-Event-Id of the answer")
    if last and not (last.isascii() and last.isdigit() and len(last) < 16):
        raise Refusal(agent.INVALID, "Last-Event-ID: expected a position, a whole number")
    return int(last) if last else after
