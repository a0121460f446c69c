"""Signatures of document 001: who signed, when, and how often."""

from dataclasses import replace

import pytest

from services.api.signing import WINDOW_MS, Signatures, signature
from services.kit.errors import NotReady
from services.kit.world import World
from tests.services.api.conftest import House
from tests.support.worlds import HandClock

SECONDS = 1_790_000_000


@pytest.fixture
async def world(house: House) -> World:
    return replace(house.world, clock=HandClock(SECONDS * 1000))


def test_the_signature_is_the_one_of_the_document():
    assert signature("secret", "app", "1764100000") == "cqUevMjflYy2bAS4bNmD8Y7dguk="


@pytest.mark.parametrize("time", [str(SECONDS), str(SECONDS * 1000), str(SECONDS - 300), str(SECONDS * 1000 + WINDOW_MS)])
async def test_a_fresh_signature_names_its_app(world: World, time: str):
    holder = await Signatures(world).holder("demo", time, signature("demo-secret", "demo", time))
    assert holder is not None
    assert holder.app == "demo"


@pytest.mark.parametrize("time", [str(SECONDS - 301), str(SECONDS * 1000 + WINDOW_MS + 1), "0", "", "-5", "1e9", "９", "9" * 30])
async def test_an_old_early_or_strange_time_fits_nobody(world: World, time: str):
    assert await Signatures(world).holder("demo", time, signature("demo-secret", "demo", time)) is None


@pytest.mark.parametrize(("app", "secret"), [("demo", "other-secret"), ("other", "demo-secret"), ("nobody", "demo-secret"), ("", "")])
async def test_a_signature_of_another_secret_or_app_fits_nobody(world: World, app: str, secret: str):
    time = str(SECONDS)
    assert await Signatures(world).holder(app, time, signature(secret, app, time)) is None
    assert await Signatures(world).holder("demo", time, "ä") is None


async def test_a_signature_is_used_once_and_remembered_as_long_as_it_could_be_used(world: World):
    signatures, time = Signatures(world), str(SECONDS + 299)
    signa = signature("demo-secret", "demo", time)
    assert await signatures.holder("demo", time, signa) is not None
    assert isinstance(world.clock, HandClock)
    world.clock.move(598)
    assert await signatures.holder("demo", time, signa) is None


async def test_more_signatures_than_can_be_remembered_are_refused(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("services.api.signing._REMEMBERED", 1)
    signatures = Signatures(world)
    for number, time in enumerate((str(SECONDS), str(SECONDS + 1))):
        signed = signatures.holder("demo", time, signature("demo-secret", "demo", time))
        if number:
            with pytest.raises(NotReady):
                await signed
        else:
            assert await signed is not None
    assert isinstance(world.clock, HandClock)
    world.clock.move(601)
    later = str(SECONDS + 601)
    assert await signatures.holder("demo", later, signature("demo-secret", "demo", later)) is not None
