"""Apps and their keys: created, listed, disabled; keys made, rotated, disabled (tenants for all apps, an app for its own keys).

In come names and wishes; out goes JSON. A secret is told once, where it is made; what is kept is a hash, and the sealed secret
for doors where callers sign.
"""

import asyncio
import secrets
from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, Any, Self

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from events.app import ALL_SCOPES, Key, Scope
from events.commands import CreateKey, DisableKey, RegisterApp, RotateKey, SetAuditPolicy, SwitchApp
from events.envelope import Command
from events.topics import app_stream, slot_of
from projections import apps
from services.api.answers.problems import BadRequest, Json, Missing, Refusal
from services.api.api import Api, KnownCaller, StrictRoute, TheApi
from services.api.gate.identity import Caller
from services.kit.secrets import passwords

router = APIRouter(prefix="/v1/apps", route_class=StrictRoute, tags=["apps"])
Name = Annotated[str, Path(max_length=128)]
_PLATFORMS = 7
_AGENTS, _NO_AUDIT = 1, 0


class Terms(BaseModel):
    """What is known of an app. `platform_rights` and `source` are platforms: 1, 2, 4, rights as their sum."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str = Field("", max_length=128, description="For people; empty: the app's own name.")
    is_tenant: bool = False
    source: int = Field(1, ge=1, le=_PLATFORMS)
    platform_rights: int = Field(0, ge=0, le=_PLATFORMS)
    audit_policy: int = Field(0, ge=_NO_AUDIT, le=_AGENTS)


class NewApp(Terms):
    """The body of a new app."""

    app: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", description="Letters, digits, `-` and `_`; 64 at most.")


class NewKey(BaseModel):
    """The body of a new key."""

    model_config = ConfigDict(extra="forbid")
    scopes: tuple[Scope, ...] = Field(ALL_SCOPES, min_length=1, description="What the key is for.")


class Switch(BaseModel):
    """The body that disables an app or enables it again, or has its words judged (`audit_policy` 1) or not (0)."""

    model_config = ConfigDict(extra="forbid", strict=True)
    enabled: bool | None = None
    audit_policy: int | None = Field(None, ge=_NO_AUDIT, le=_AGENTS)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.enabled is None) == (self.audit_policy is None):
            raise ValueError("expected either enabled or audit_policy")
        return self


@router.get("")
async def listing(api: TheApi, caller: KnownCaller) -> Response:
    """All apps for a tenant, its own for any other."""
    async with api.world.database.connect() as connection:
        found = await apps.listing(connection)
    return Json({"apps": [_shown(app) for app in found if _rules(caller) or app.app == caller.app]})


@router.post("", status_code=201)
async def create(body: NewApp, api: TheApi, caller: KnownCaller) -> Response:
    """A new app, with one key for everything."""
    _tenants_only(caller)
    if body.is_tenant:
        _within(caller, ALL_SCOPES)
    async with api.world.database.connect() as connection:
        if await apps.find(connection, body.app) is not None:
            raise Refusal(460, "app: this name is taken", 409)
    told, key = await _new_key(api, body.app, ALL_SCOPES)
    wish = RegisterApp.model_validate({**body.model_dump(), "name": body.name or body.app, "keys": (key,)})
    await _change(api, caller, body.app, wish)
    return Json({"app": body.app, **told}, 201)


@router.get("/{app}")
async def one(app: Name, api: TheApi, caller: KnownCaller) -> Response:
    """An app and its keys, without their secrets."""
    found = await _mine(api, caller, app)
    async with api.world.database.connect() as connection:
        keys = await apps.keys_of(connection, app)
    return Json({**_shown(found), "keys": [asdict(key) for key in keys]})


@router.patch("/{app}")
async def switch(app: Name, body: Switch, api: TheApi, caller: KnownCaller) -> Response:
    """Disable an app, or enable it again; or set its audit policy. Its next request sees it, on every instance."""
    _tenants_only(caller)
    await _mine(api, caller, app)
    if body.audit_policy is not None:
        await _change(api, caller, app, SetAuditPolicy(app=app, audit_policy=body.audit_policy))
        return Json({"app": app, "audit_policy": body.audit_policy})
    enabled = bool(body.enabled)
    if app == caller.app and not enabled:
        raise BadRequest("app: an app cannot disable itself")
    await _change(api, caller, app, SwitchApp(app=app, enabled=enabled))
    return Json({"app": app, "enabled": enabled})


@router.post("/{app}/keys", status_code=201)
async def create_key(app: Name, body: NewKey, api: TheApi, caller: KnownCaller) -> Response:
    """One more key. Nobody can give away a scope that its own key does not have."""
    await _mine(api, caller, app)
    _within(caller, body.scopes)
    told, key = await _new_key(api, app, body.scopes)
    await _change(api, caller, app, CreateKey(app=app, key=key))
    return Json({"app": app, **told}, 201)


@router.post("/{app}/keys/{key}/rotate")
async def rotate(app: Name, key: Name, api: TheApi, caller: KnownCaller) -> Response:
    """A new secret for a key; the old one opens nothing from the next request on. Only for what one's own key is for."""
    await _mine(api, caller, app)
    async with api.world.database.connect() as connection:
        of_key = next((one.scopes for one in await apps.keys_of(connection, app) if one.key == key), ())
    _within(caller, of_key)
    secret = secrets.token_urlsafe(32)
    kept = await api.world.secrets.put(app, secret)
    await _change(api, caller, app, RotateKey(app=app, key=key, secret_hash=await _hashed(secret), secret_ref=kept))
    return Json({"app": app, **_told(key, secret)})


@router.delete("/{app}/keys/{key}")
async def disable_key(app: Name, key: Name, api: TheApi, caller: KnownCaller) -> Response:
    """Make a key useless for good."""
    await _mine(api, caller, app)
    await _change(api, caller, app, DisableKey(app=app, key=key))
    return Json({"app": app, "key": key, "enabled": False})


async def _change(api: Api, caller: Caller, app: str, wish: Command) -> None:
    stream = app_stream(app)
    await api.commander.change(wish, stream=stream, slot=slot_of(stream), app=caller.app, actor=caller.app)


async def _new_key(api: Api, app: str, scopes: tuple[Scope, ...]) -> tuple[dict[str, str], Key]:
    """What is told once, and what is kept."""
    name, secret = f"pk{secrets.token_hex(12)}", secrets.token_urlsafe(32)
    kept = await api.world.secrets.put(app, secret)
    return _told(name, secret), Key(key=name, secret_hash=await _hashed(secret), secret_ref=kept, scopes=scopes)


async def _hashed(secret: str) -> str:
    return await asyncio.to_thread(passwords.create, secret)


def _told(key: str, secret: str) -> dict[str, str]:
    return {"key": key, "secret": secret, "token": f"{key}.{secret}"}


def _rules(caller: Caller) -> bool:
    return caller.known is not None and caller.known.is_tenant


def _tenants_only(caller: Caller) -> None:
    if not _rules(caller):
        raise Refusal(20002, "the app is not a tenant", 403)


def _within(caller: Caller, scopes: Iterable[str]) -> None:
    """Nobody comes by a scope that the own key does not have. Raises `Refusal`."""
    beyond = set(scopes) - caller.scopes
    if beyond:
        raise Refusal(20003, f"scopes: your own key is not for {', '.join(sorted(beyond))}", 403)


async def _mine(api: Api, caller: Caller, app: str) -> apps.App:
    async with api.world.database.connect() as connection:
        found = await apps.find(connection, app) if _rules(caller) or app == caller.app else None
    if found is None:
        raise Missing("there is no such app")
    return found


def _shown(app: apps.App) -> dict[str, Any]:
    return {name: value for name, value in asdict(app).items() if name not in {"partition", "offset"}}
