"""Providers of models as apps send them: checked, their keys taken out; and as they are shown, their keys masked."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from projections.providers import FOR_ALL, Provider
from services.api.answers.problems import BadRequest
from services.kit.models.accounts import Account
from services.kit.models.endpoint import endpoint_of
from services.kit.models.port import ModelFailed
from services.kit.secrets.port import Secrets

MASK = "********"
Scope = Literal["app", "all"]
_Name = Annotated[str, Field(max_length=128, description="For people; empty: the id.")]
_Url = Annotated[str, Field(min_length=1, max_length=2048, description="OpenAI address: https://host/v1, without a key in it.")]
_Key = Annotated[str, Field(max_length=8192, description="The key; kept sealed, given back masked.")]
_Model = Annotated[str, Field(min_length=1, max_length=1024)]
_Models = Annotated[list[_Model], Field(max_length=1000, description="Models; the first is asked where none is named.")]
_Protocol = Annotated[Literal["openai"], Field(description="How it is spoken with.")]
_VERSION = re.compile(r"api-version=[A-Za-z0-9._-]{1,40}")


class NewProvider(BaseModel):
    """The body of a new provider."""

    model_config = ConfigDict(extra="forbid")
    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Letters, digits, `.`, `-` and `_`; 64 at most.")
    scope: Scope = Field("app", description="`app`: the app's own; `all`: for every app (tenants only).")
    name: _Name = ""
    protocol: _Protocol = "openai"
    url: _Url
    key: _Key = ""
    models: _Models = Field(default_factory=list[_Model])


class Change(BaseModel):
    """The body of a change; absent fields stay, and so does a key that is sent back masked. An empty key takes it away."""

    model_config = ConfigDict(extra="forbid")
    name: _Name | None = None
    protocol: _Protocol | None = None
    url: _Url | None = None
    key: _Key | None = None
    models: _Models | None = None


class Trial(BaseModel):
    """The body of a test. Without a model only the list of models is asked for."""

    model_config = ConfigDict(extra="forbid")
    model: str = Field("", max_length=1024)


def checked_url(url: str, keeping: Provider | None = None) -> str:
    """The address. Raises `BadRequest` where it is none, carries a key, or would take the key that `keeping` has to another server."""
    try:
        endpoint = endpoint_of(url)
    except ModelFailed:
        raise BadRequest("url: expected an address such as https://host/v1, without user and password") from None
    query = url.partition("#")[0].partition("?")[2]
    if endpoint.query and not _VERSION.fullmatch(query):
        raise BadRequest("url: expected no parameters but api-version; a key goes into `key`")
    if keeping is not None and keeping.key and _server(url) != _server(keeping.url):
        raise BadRequest("key: expected anew (or empty), since url names another server than the one that the key was given for")
    return url.strip().partition("#")[0]


def _server(url: str) -> tuple[str, str, int]:
    endpoint = endpoint_of(url)
    return endpoint.base.partition(":")[0].lower(), endpoint.host.lower(), endpoint.port


async def reference(secrets: Secrets, owner: str, key: str, *, kept: str = "") -> str:
    """The reference of a key; that of the `kept` one for a masked key. Raises `BadRequest`."""
    key = key.strip()
    if key == MASK:
        if not kept:
            raise BadRequest("key: this is a mask, and there is no key behind it; send the key itself")
        return kept
    if not (key.isascii() and key.isprintable()):
        raise BadRequest("key: expected printable characters of ASCII")
    return await secrets.put(owner, key) if key else ""


def shown(one: Provider, *, with_url: bool) -> dict[str, Any]:
    """As it is read. The address of one for all is for tenants."""
    told: dict[str, Any] = {
        "id": one.provider,
        "scope": "all" if one.app == FOR_ALL else "app",
        "name": one.name or one.provider,
        "protocol": one.protocol,
        "url": one.url,
        "key": MASK if one.key else "",
        "models": one.models,
        "revision": one.position,
        "updated": one.updated,
    }
    return told if with_url else {name: value for name, value in told.items() if name != "url"}


def of_environment(account: Account) -> dict[str, Any]:
    """One that the operator has set in the environment."""
    return {
        "id": account.name,
        "scope": "environment",
        "name": account.label,
        "protocol": "openai",
        "key": MASK if account.key else "",
        "models": [account.model],
    }
