"""Providers of models: addresses and keys that flows, bots and the other doors name by an id (an app's own, or for all apps).

In come terms and wishes; out goes JSON, keys masked. An app changes its own providers; those for all, and other apps', only a
tenant. Changes are commands on the provider's stream; answers wait until the rows show them, so that the next call asks anew.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from events.commands import CreateProvider, RemoveProvider, ReviseProvider
from events.envelope import Command
from events.provider import ProviderTerms
from events.topics import provider_stream, slot_of
from projections import apps
from projections import providers as rows
from projections.providers import FOR_ALL, Provider
from services.api.answers.problems import Json, Missing, Refusal
from services.api.api import Api, KnownCaller, StrictRoute, TheApi
from services.api.documents.providers import MASK, Change, NewProvider, Scope, Trial, checked_url, of_environment, reference, shown
from services.api.gate.identity import Caller
from services.kit.models.accounts import accounts
from services.kit.models.register import found_of
from services.kit.models.trial import try_out

router = APIRouter(prefix="/v1/providers", route_class=StrictRoute, tags=["providers"])
Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="The provider's id.")]
OfApp = Annotated[str, Query(max_length=64, description="Whose provider; without it the caller's own. Others only for tenants.")]
Wanted = Annotated[Scope | None, Query(description="`app` or `all`; without it the app's own, else the one for all.")]


@router.get("")
async def listing(api: TheApi, caller: KnownCaller, app: OfApp = "") -> Response:
    """What an app can name, in the order in which it is looked for: its own, those for all, those of the environment."""
    whose = _whose(caller, app)
    async with api.world.database.connect() as connection:
        found = await rows.of_app(connection, whose)
    told = [_told(caller, one) for one in sorted(found, key=lambda one: one.app == FOR_ALL)]
    return Json({"providers": [*told, *(of_environment(one) for one in accounts(api.world.settings).values() if one.url)]})


@router.post("", status_code=201)
async def create(body: NewProvider, api: TheApi, caller: KnownCaller, app: OfApp = "") -> Response:
    """A new provider, of the app or (`scope` all) for all apps."""
    owner = await _owner(api, caller, app, body.scope)
    async with api.world.database.connect() as connection:
        if await rows.find(connection, owner, body.id) is not None:
            raise Refusal(460, "id: there is a provider with this id; change it with PATCH", 409)
    terms = ProviderTerms(
        provider=body.id,
        app=owner,
        name=body.name or body.id,
        protocol=body.protocol,
        url=checked_url(body.url),
        key=await reference(api.world.secrets, owner, body.key),
        models=tuple(dict.fromkeys(body.models)),
    )
    await _change(api, caller, owner, body.id, CreateProvider.model_validate(terms.model_dump()))
    return Json(_told(caller, await _one(api, owner, body.id)), 201)


@router.get("/{provider}")
async def read(provider: Id, api: TheApi, caller: KnownCaller, app: OfApp = "", scope: Wanted = None) -> Response:
    """A provider, its key masked."""
    return Json(_told(caller, await _named(api, caller, provider, app, scope)))


@router.patch("/{provider}")
async def change(provider: Id, body: Change, api: TheApi, caller: KnownCaller, app: OfApp = "", scope: Wanted = None) -> Response:
    """Change a provider; what is absent stays, a masked key too. Every program's next call of a model sees it.

    A kept key goes to no other server: who changes it gives the key again, or an empty one.
    """
    found = await _changeable(api, caller, provider, app, scope)
    given = body.model_dump(exclude_unset=True, exclude_none=True)
    if "url" in given:
        given["url"] = checked_url(given["url"], found if given.get("key", MASK).strip() == MASK else None)
    if "key" in given:
        given["key"] = await reference(api.world.secrets, found.app, given["key"], kept=found.key)
    terms = ReviseProvider.model_validate(
        {
            "provider": found.provider,
            "app": found.app,
            "name": found.name,
            "protocol": found.protocol,
            "url": found.url,
            "key": found.key,
            "models": tuple(found.models),
            **given,
        }
    )
    await _change(api, caller, found.app, provider, terms)
    return Json(_told(caller, await _one(api, found.app, provider)))


@router.delete("/{provider}")
async def remove(provider: Id, api: TheApi, caller: KnownCaller, app: OfApp = "", scope: Wanted = None) -> Response:
    """Remove a provider. Who names it is told that there is none; its history stays."""
    found = await _changeable(api, caller, provider, app, scope)
    await _change(api, caller, found.app, provider, RemoveProvider(provider=provider, app=found.app, by=caller.app))
    return Response(status_code=204)


@router.post("/{provider}/test")
async def trial(
    provider: Id, api: TheApi, caller: KnownCaller, body: Trial | None = None, app: OfApp = "", scope: Wanted = None
) -> Response:
    """Ask a provider for its models, and a named model for a word. `ok` says whether it can be used, `said` what is in the way."""
    found = await _named(api, caller, provider, app, scope)
    outcome = await try_out(api.world.settings, found_of(found), api.providers.key(found), body.model if body else "")
    return Json({"id": provider, "scope": "all" if found.app == FOR_ALL else "app", **outcome.told()})


async def _change(api: Api, caller: Caller, owner: str, provider: str, wish: Command) -> None:
    stream = provider_stream(owner, provider)
    await api.commander.change(wish, stream=stream, slot=slot_of(stream), app=caller.app, actor=caller.app)


def _rules(caller: Caller) -> bool:
    return caller.known is not None and caller.known.is_tenant


def _whose(caller: Caller, app: str) -> str:
    if app and app != caller.app and not _rules(caller):
        raise Missing("there is no such app")
    return app or caller.app


async def _owner(api: Api, caller: Caller, app: str, scope: Scope) -> str:
    """In whose name a new provider is made. Raises `Refusal` and `Missing`."""
    if scope == "all":
        _tenants_only(caller)
        return FOR_ALL
    whose = _whose(caller, app)
    async with api.world.database.connect() as connection:
        if await apps.find(connection, whose) is None:
            raise Missing("there is no such app")
    return whose


def _tenants_only(caller: Caller) -> None:
    if not _rules(caller):
        raise Refusal(20002, "the app is not a tenant, and providers for all are a tenant's", 403)


async def _named(api: Api, caller: Caller, provider: str, app: str, scope: Scope | None) -> Provider:
    whose = _whose(caller, app)
    async with api.world.database.connect() as connection:
        for one in (whose, FOR_ALL):
            if scope is None or scope == ("all" if one == FOR_ALL else "app"):
                found = await rows.find(connection, one, provider)
                if found is not None:
                    return found
    raise Missing(f"there is no provider {provider} for this app")


async def _changeable(api: Api, caller: Caller, provider: str, app: str, scope: Scope | None) -> Provider:
    found = await _named(api, caller, provider, app, scope)
    if found.app == FOR_ALL:
        _tenants_only(caller)
    return found


async def _one(api: Api, owner: str, provider: str) -> Provider:
    async with api.world.database.connect() as connection:
        found = await rows.find(connection, owner, provider)
    if found is None:
        raise Missing(f"there is no provider {provider} any more")
    return found


def _told(caller: Caller, one: Provider) -> dict[str, Any]:
    return shown(one, with_url=one.app != FOR_ALL or _rules(caller))
