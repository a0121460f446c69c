"""Where a model is asked, and with whose key: the node's own address, or a provider that it names.

In comes a `ModelRequest`; out comes `Where`, its key resolved. In open runs the calling app's credentials take the place of the
node's where the request says so (astron.md 6.7), unless the environment is one of development: providers are the caller's own, and
one for all that has no key gets the caller's key pair. Credentials of a caller never go to an address that an author wrote.
"""

from dataclasses import dataclass, field
from typing import Protocol

from services.core.running.effects import ModelRequest
from services.kit.errors import SecretMissing
from services.kit.models.port import ModelFailed
from services.kit.models.register import Providers, id_in
from services.kit.secrets.port import Secrets, is_reference
from services.kit.settings import Settings

_DEVELOPMENT = frozenset({"dev", "test"})


class World(Protocol):
    """What is looked at."""

    @property
    def settings(self) -> Settings: ...
    @property
    def secrets(self) -> Secrets: ...
    @property
    def providers(self) -> Providers: ...


@dataclass(frozen=True, slots=True)
class Where:
    """An address ("" = the process's own), a model's name and a key. `provider` and its `revision` are for the record."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    is_trusted: bool = False
    provider: str = ""
    revision: int = 0


def replaced(caller: str, settings: Settings) -> str:
    """The app whose credentials take the place of a node's; empty for nobody's."""
    return "" if settings.runtime_env in _DEVELOPMENT else caller


async def where(request: ModelRequest, world: World) -> Where:
    """Where to ask. Raises `ModelFailed` with a sentence that names what is missing."""
    caller = replaced(request.caller, world.settings)
    provider = request.provider or id_in(request.url)
    if provider:
        return await _of_provider(request, world, caller, provider)
    is_replaced = bool(caller) and caller != request.app
    if is_replaced and request.url:
        said = "in an open run the credentials of the calling app take the place of the node's, and they do not go to the node's own url"
        raise ModelFailed(f"{said}: set nodeParam.source to openai, or name a provider", kind="credentials")
    return Where(request.url, request.model, "" if is_replaced else await _key_of_node(request, world.secrets))


async def _of_provider(request: ModelRequest, world: World, caller: str, provider: str) -> Where:
    found = await world.providers.ask(caller or request.app, provider, request.model)
    key = found.key
    if not key and found.whose != "environment":
        if not caller or caller == request.app:
            key = await _key_of_node(request, world.secrets)
        if caller and found.whose == "all":
            key = await world.providers.pair(caller) or key
    model = request.model or next(iter(found.models), "")
    if not model:
        raise ModelFailed(f"no model is named, and the provider {provider} lists none", kind="request")
    return Where(found.url, model, key, found.is_trusted, provider, found.revision)


async def _key_of_node(request: ModelRequest, secrets: Secrets) -> str:
    """The node's key, or both halves of its pair."""
    halves = [one for one in (request.key, request.secret) if one]
    try:
        return ":".join([await secrets.resolve(request.app, one) if is_reference(one) else one for one in halves])
    except SecretMissing:
        raise ModelFailed("the key of this model is not known here (any more): save the flow again with its key", kind="key") from None
