"""Signatures of document 001: who signed, when, and how often, whichever api process is asked."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.api.answers.problems import Refusal
from services.api.api import Api
from services.api.gate.signing import WINDOW_MS, signature
from services.core.deciders import app as core_app
from services.kit.world import World
from tests.services.api.conftest import House, bearer
from tests.support.worlds import HandClock

SECONDS = 4_000_000_000
"""The apis' clock stands there. The owner's goes on by itself long before, so it remembers every use."""
_NEW = iter(range(1, 100))


def fresh(seconds: int = SECONDS, app: str = "demo") -> tuple[str, str, str]:
    """What signs the app in, never twice the same."""
    at = str(seconds * 1000 + next(_NEW))
    return app, at, signature(f"{app}-secret", app, at)


@pytest.fixture
async def world(house: House) -> World:
    return replace(house.world, clock=HandClock(SECONDS * 1000))


@pytest.fixture
async def api(world: World) -> AsyncIterator[Api]:
    """One more api of the house, whose clock stands still."""
    made = Api.of(world)
    yield made
    await made.close()


def test_the_signature_is_the_one_of_the_document():
    assert signature("secret", "app", "1764100000") == "cqUevMjflYy2bAS4bNmD8Y7dguk="


@pytest.mark.parametrize("at", [str(SECONDS), str(SECONDS * 1000), str(SECONDS - 300), str(SECONDS * 1000 + WINDOW_MS)])
async def test_a_fresh_signature_names_its_app(api: Api, at: str):
    signer = await api.signatures.signer("demo", at, signature("demo-secret", "demo", at))
    assert signer is not None
    assert signer.app.app == "demo"
    assert await api.signatures.still(signer)


@pytest.mark.parametrize("at", [str(SECONDS - 301), str(SECONDS * 1000 + WINDOW_MS + 1), "0", "", "-5", "1e9", "９", "9" * 30])
async def test_an_old_early_or_strange_time_fits_nobody(api: Api, at: str):
    assert await api.signatures.signer("demo", at, signature("demo-secret", "demo", at)) is None


@pytest.mark.parametrize(("app", "secret"), [("demo", "other-secret"), ("other", "demo-secret"), ("nobody", "demo-secret"), ("", "")])
async def test_a_signature_of_another_secret_or_app_fits_nobody(api: Api, app: str, secret: str):
    at = str(SECONDS)
    assert await api.signatures.signer(app, at, signature(secret, app, at)) is None
    assert await api.signatures.signer("demo", at, "ä") is None


async def test_of_many_uses_at_once_at_two_apis_one_opens_the_door(api: Api, house: House):
    signed = fresh()
    found = await asyncio.gather(*(one.signatures.signer(*signed) for one in (api, house.api) * 5))
    assert sum(one is not None for one in found) == 1


async def test_a_signature_opens_nothing_again_at_an_api_that_was_started_anew_as_long_as_it_fits(api: Api, world: World):
    signed = fresh(SECONDS + 298)
    assert await api.signatures.signer(*signed) is not None
    clock = world.clock
    assert isinstance(clock, HandClock)
    clock.move(597)
    anew = Api.of(world)
    assert await anew.signatures.signer(*signed) is None
    await anew.close()


async def test_a_key_that_may_not_run_signs_nobody_in_and_a_disabled_one_no_longer(api: Api, house: House):
    made = (await house.http.post("/v1/apps/other/keys", json={"scopes": ["read"]})).json()
    at = str(SECONDS)
    assert await api.signatures.signer("other", at, signature(made["secret"], "other", at)) is None
    able = (await house.http.post("/v1/apps/other/keys", json={"scopes": ["run"]})).json()
    signer = await api.signatures.signer("other", at, signature(able["secret"], "other", at))
    assert signer is not None
    assert (await house.http.delete(f"/v1/apps/other/keys/{able['key']}")).status_code == 200
    assert not await api.signatures.still(signer)


async def test_a_disabled_app_signs_nobody_in(api: Api, house: House):
    for enabled in (False, True):
        assert (await house.http.patch("/v1/apps/other", json={"enabled": enabled}, headers=bearer("demo"))).status_code == 200
        assert (await api.signatures.signer(*fresh(app="other")) is not None) is enabled


async def test_more_signatures_than_can_be_remembered_are_too_many(api: Api, monkeypatch: pytest.MonkeyPatch):
    assert await api.signatures.signer(*fresh()) is not None
    monkeypatch.setattr(core_app, "MAX_SIGNATURES", 1)
    with pytest.raises(Refusal) as refused:
        await api.signatures.signer(*fresh())
    assert refused.value.status == 429
