"""Where a model is asked and with whose key: the node's own address, or a provider; the caller's credentials in open runs."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from services.core.running.effects import ModelRequest
from services.kit.models.port import ModelFailed
from services.kit.models.register import Found
from services.kit.settings import Settings
from services.processor.where import where
from tests.support.fixtures.effects import PlainSecrets, effect_settings

REFERENCE = "secret:" + "0f" * 16


@dataclass
class Known:
    """Providers by app and id; pairs by app."""

    found: dict[tuple[str, str], Found] = field(default_factory=dict)

    async def ask(self, app: str, provider: str, model: str) -> Found:
        try:
            return self.found[app, provider]
        except KeyError:
            raise ModelFailed(f"there is no provider {provider} for {app}", kind="provider") from None

    async def pair(self, app: str) -> str:
        return f"{app}-key:{app}-secret"


@dataclass
class Seen:
    settings: Settings
    secrets: Any
    providers: Any


def asking(**changes: Any) -> ModelRequest:
    return ModelRequest(**{"app": "author", "url": "", "key": REFERENCE, "model": "m", "messages": ()} | changes)


async def told(found: dict[tuple[str, str], Found] | None = None, environment: str = "", **changes: Any) -> tuple[str, str, bool]:
    settings = effect_settings(RUNTIME_ENV=environment)
    way = await where(asking(**changes), Seen(settings, PlainSecrets({("author", REFERENCE): "author's"}), Known(found or {})))
    return way.url, way.key, way.is_trusted


def provider(whose: Any, key: str = "") -> Found:
    return Found("xinghuo", whose, f"https://{whose}", ("m",), key=key)


async def test_a_node_that_names_nothing_is_asked_with_its_own_key():
    assert await told(url="https://m") == ("https://m", "author's", False)


async def test_a_providers_key_comes_before_the_nodes_which_stands_in_where_there_is_none():
    assert await told({("author", "acme"): provider("app", "theirs")}, provider="acme") == ("https://app", "theirs", False)
    assert await told({("author", "acme"): provider("all")}, url="provider:acme") == ("https://all", "author's", True)


async def test_the_callers_own_provider_is_asked_in_the_authors_place():
    known = {("author", "xinghuo"): provider("app", "author's"), ("caller", "xinghuo"): provider("app", "caller's")}
    assert await told(known, provider="xinghuo", caller="caller") == ("https://app", "caller's", False)
    with pytest.raises(ModelFailed, match="no provider xinghuo for caller"):
        await told({("author", "xinghuo"): provider("app", "author's")}, provider="xinghuo", caller="caller")


async def test_a_keyless_provider_for_all_gets_the_callers_pair_and_nobody_elses_address_does():
    assert (await told({("caller", "xinghuo"): provider("all")}, provider="xinghuo", caller="caller"))[1] == "caller-key:caller-secret"
    assert (await told({("caller", "xinghuo"): provider("app")}, provider="xinghuo", caller="caller"))[1] == ""
    with pytest.raises(ModelFailed, match="nodeParam.source to openai"):
        await told(url="https://authors.example", caller="caller")


async def test_the_authors_key_pays_for_no_caller():
    assert await told(caller="caller") == ("", "", False)


async def test_an_author_who_calls_has_the_nodes_key():
    assert await told(url="https://m", caller="author") == ("https://m", "author's", False)


@pytest.mark.parametrize("environment", ["dev", "test"])
async def test_in_development_nothing_is_replaced(environment: str):
    assert await told(environment=environment, url="https://m", caller="caller") == ("https://m", "author's", False)


async def test_a_pair_of_the_node_is_both_halves():
    assert (await told({("author", "acme"): provider("app")}, provider="acme", secret="second"))[1] == "author's:second"


async def test_a_model_is_named_by_somebody():
    with pytest.raises(ModelFailed, match="no model is named"):
        await told({("author", "acme"): Found("acme", "app", "https://m", ())}, provider="acme", model="")
