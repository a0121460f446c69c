"""The providers of models that flows, bots and the other doors can name: an app's own, those for all, those of the environment.

In come an app and an id; out goes where to ask, with which key, and whether the address is the operator's (those for all and of
the environment are, and may be in networks that are not public). Rows are read and keys resolved for every call, so that a change
is effective with the next one, in every program.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from projections import apps, providers
from projections.providers import FOR_ALL, Provider
from services.kit.database import Database, is_gone
from services.kit.errors import SecretMissing
from services.kit.models.accounts import SCHEME, UNSPOKEN, Account, accounts, obstacle
from services.kit.models.port import ModelFailed
from services.kit.secrets.port import Secrets
from services.kit.settings import Settings

Whose = Literal["app", "all", "environment"]


@dataclass(frozen=True, slots=True)
class Found:
    """Where to ask. An empty `url` is the process's own endpoint; `revision` counts the changes of a registered provider."""

    provider: str
    whose: Whose
    url: str
    models: tuple[str, ...]
    key: str = field(default="", repr=False)
    revision: int = 0
    label: str = ""

    @property
    def is_trusted(self) -> bool:
        """Whether the operator set the address."""
        return self.whose != "app"


class Providers:
    """Looks providers up."""

    def __init__(self, settings: Settings, database: Database, secrets: Secrets) -> None:
        self._accounts = accounts(settings)
        self._database = database
        self._secrets = secrets

    async def find(self, app: str, provider: str) -> Found | None:
        """What the app means by this id, the key left out. Raises `ModelFailed` where the rows do not answer."""
        row = await self._row(app, provider)
        return found_of(row) if row is not None else self._of_environment(provider)

    async def ask(self, app: str, provider: str, model: str) -> Found:
        """The same, ready to be asked. Raises `ModelFailed`, which names the provider, where there is none or its key is not known."""
        row = await self._row(app, provider)
        if row is not None:
            return replace(found_of(row), key=await self.key(row))
        account = self._accounts.get(provider)
        if account is None:
            raise unknown(provider)
        reason = obstacle(account, model)
        if reason:
            raise ModelFailed(reason, kind="key")
        return replace(of_account(account), key=account.key)

    async def missing(self, app: str, provider: str, model: str) -> str:
        """Why this provider cannot be asked, as a sentence; empty for no reason."""
        if not provider:
            return ""
        try:
            await self.ask(app, provider, model)
        except ModelFailed as failure:
            return failure.message
        return ""

    async def pair(self, app: str) -> str:
        """The first key pair of an app, as `key:secret`; empty where it has none that was kept. Raises `ModelFailed`."""
        try:
            async with self._database.connect() as connection:
                held = await apps.pair(connection, app)
            return "" if held is None else f"{held[0]}:{await self._secrets.resolve(app, held[1])}"
        except SecretMissing:
            return ""

    async def key(self, row: Provider) -> str:
        """The key of a registered provider. Raises `ModelFailed`."""
        if not row.key:
            return ""
        try:
            return await self._secrets.resolve(row.app, row.key)
        except SecretMissing:
            said = f"the key of the provider {row.provider} is not known here (any more): give it again"
            raise ModelFailed(said, kind="key") from None

    async def _row(self, app: str, provider: str) -> Provider | None:
        try:
            return await self._database.ask(lambda rows: providers.named(rows, app, provider), "provider", app, provider)
        except Exception as wrong:
            if is_gone(wrong):
                raise ModelFailed("the register of providers does not answer now", kind="register", temporary=True) from None
            raise

    def _of_environment(self, provider: str) -> Found | None:
        account = self._accounts.get(provider)
        return None if account is None else of_account(account)


def found_of(row: Provider) -> Found:
    """A registered provider, its key left out."""
    whose: Whose = "all" if row.app == FOR_ALL else "app"
    return Found(row.provider, whose, row.url, tuple(row.models), revision=row.position, label=row.name or row.provider)


def of_account(account: Account) -> Found:
    """A provider of the environment, its key left out. The process's own endpoint has no address of its own here."""
    url = "" if account.name == "openai" else account.url
    return Found(account.name, "environment", url, (account.model,), label=account.label)


def unknown(provider: str) -> ModelFailed:
    """There is no such provider."""
    if provider in UNSPOKEN:
        return ModelFailed(f"the provider {provider} does not speak the OpenAI protocol and is not served here", kind="provider")
    said = f"there is no provider {provider[:100]} for this app: add it with POST /v1/providers or `prozess provider add`"
    return ModelFailed(said, kind="provider")


def id_in(url: str) -> str:
    """The id in an address of the form `provider:<id>`; empty for other addresses."""
    return url.removeprefix(SCHEME) if url.startswith(SCHEME) else ""
