"""Providers are created once, then changed and removed; an id is free again afterwards."""

from events.commands import CreateProvider, RemoveProvider, ReviseProvider
from events.provider import ProviderConfigured, ProviderRemoved
from events.refusal import CommandRefused
from services.core.deciders.provider import PROVIDER
from tests.support.spec import given

TERMS = {
    "provider": "acme",
    "app": "demo",
    "protocol": "openai",
    "url": "https://m.example/v1",
    "key": "secret:" + "0f" * 16,
    "models": ("a",),
}
THERE = ProviderConfigured.model_validate(TERMS)
REMOVE = RemoveProvider(provider="acme", app="demo", by="boss")


def refused(wished: str, message: str) -> CommandRefused:
    return CommandRefused(wished=wished, target="provider-demo/acme", code=20805, message=message)


def test_a_provider_is_created_once():
    given(PROVIDER).when(CreateProvider.model_validate(TERMS)).then(THERE)
    taken = refused("provider.create", "id: there is a provider with this id")
    given(PROVIDER, THERE).when(CreateProvider.model_validate(TERMS)).then(taken)


def test_a_provider_is_changed_as_a_whole():
    changed = {**TERMS, "url": "https://n.example/v1", "key": ""}
    given(PROVIDER, THERE).when(ReviseProvider.model_validate(changed)).then(ProviderConfigured.model_validate(changed))


def test_what_is_not_there_is_neither_changed_nor_removed():
    for wish in (ReviseProvider.model_validate(TERMS), REMOVE):
        given(PROVIDER).when(wish).then(refused(wish.type, "provider: there is no such provider"))


def test_a_removed_id_is_free_again():
    given(PROVIDER, THERE).when(REMOVE).then(ProviderRemoved(by="boss"))
    given(PROVIDER, THERE, ProviderRemoved(by="boss")).when(CreateProvider.model_validate(TERMS)).then(THERE)
