"""The configuration of bots: create, change, read, remove (astron.md 2.4). Only their own app may, or a tenant for it.

In come configurations; out go envelopes with what is stored, keys as references. Changes are commands on the bot's
stream; answers wait until the rows show them.
"""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from events.bot import BotTerms
from events.commands import CreateBot, RemoveBot, ReviseBot
from events.envelope import Command
from events.topics import bot_stream, slot_of
from projections import bots as rows
from services.api.answers.problems import Json, Refusal
from services.api.api import Api, KnownCaller, StrictRoute, TheApi
from services.api.asking.starting import may_edit
from services.api.documents.bots import Configuration, shown, stored
from services.api.documents.flows import without_keys
from services.api.gate.identity import Caller
from services.core.language.definition import digest
from services.kit.models.endpoint import endpoint_of
from services.kit.models.port import ModelFailed
from services.kit.models.register import id_in

router = APIRouter(prefix="/agent/v1", route_class=StrictRoute, tags=["bots"])
_UNKNOWN, _INVALID, _NO_ENTRY = 40001, 40003, 40040
App = Annotated[str, Query(min_length=1, max_length=64, description="The app that owns the bot.")]
Bot = Annotated[str, Query(min_length=1, max_length=64, description="The bot.")]


@router.post("/bot-config")
async def create(body: Configuration, api: TheApi, caller: KnownCaller) -> Response:
    """Create a bot."""
    terms = await _terms(api, caller, body)
    return await _changed(api, caller, body.bot_id, CreateBot.model_validate(terms.model_dump()))


@router.put("/bot-config")
async def change(body: Configuration, api: TheApi, caller: KnownCaller) -> Response:
    """Configure a bot anew: the whole configuration is replaced."""
    terms = await _terms(api, caller, body)
    return await _changed(api, caller, body.bot_id, ReviseBot.model_validate(terms.model_dump()))


@router.get("/bot-config")
async def read(app_id: App, bot_id: Bot, api: TheApi, caller: KnownCaller) -> Response:
    """The configuration."""
    _allow(caller, app_id)
    return await _stored(api, app_id, bot_id)


@router.delete("/bot-config")
async def remove(app_id: App, bot_id: Bot, api: TheApi, caller: KnownCaller) -> Response:
    """Remove the bot. Its history stays."""
    _allow(caller, app_id)
    await _submit(api, caller, bot_id, RemoveBot(bot=bot_id, app=app_id))
    return _success(None)


async def _terms(api: Api, caller: Caller, body: Configuration) -> BotTerms:
    """What is stored. Raises `Refusal` for an app that the caller may not act for, and for an address that is none."""
    _allow(caller, body.app_id)
    try:
        owner = await api.known_apps.find(body.app_id)
    except Refusal as no:
        raise Refusal(_NO_ENTRY, no.message) from None
    if owner is None:
        raise Refusal(_NO_ENTRY, "app_id: there is no such app")
    for name, model in (("plan", body.models.plan), ("summary", body.models.summary)):
        if model is not None and model.api and not id_in(model.api):
            try:
                endpoint_of(model.api)
            except ModelFailed as wrong:
                raise Refusal(_INVALID, f"model_config.{name}.api: {wrong.message}") from None
    clean = await without_keys(api.world.secrets, body.app_id, stored(body), _INVALID, everywhere=True)
    return BotTerms(bot=body.bot_id, app=body.app_id, configuration=clean, digest=digest(clean))


async def _changed(api: Api, caller: Caller, bot: str, command: CreateBot | ReviseBot) -> Response:
    await _submit(api, caller, bot, command)
    return _success(shown(command.configuration))


async def _submit(api: Api, caller: Caller, bot: str, command: Command) -> None:
    stream = bot_stream(bot)
    await api.commander.change(command, stream=stream, slot=slot_of(stream), app=caller.app, actor=caller.app)


async def _stored(api: Api, app: str, bot: str) -> Response:
    async with api.world.database.connect() as connection:
        found = await rows.find(connection, bot, app)
    if found is None:
        raise _unknown()
    return _success(shown(found.configuration))


def _allow(caller: Caller, app: str) -> None:
    if not may_edit(caller, app):
        raise _unknown()


def _unknown() -> Refusal:
    return Refusal(_UNKNOWN, "bot_id: this app has no such bot")


def _success(data: object) -> Response:
    return Json({"code": 0, "message": "success", "data": data})
