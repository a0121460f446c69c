"""Every sample ever kept reaches today's class with nothing lost; old shapes climb step by step."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from events import catalogue
from events.catalogue import BY_TYPE, data_of
from events.envelope import Damaged, Event
from events.upcasters import UPCASTERS, Shape, upcast
from tests.support import samples

KEPT = [pytest.param(path, id=path.stem) for path in sorted(samples.FOLDER.glob("*.json"))]


class LampLit(Event):
    """Version 1 said `watts`, version 2 `power`, version 3 has `power` in milliwatts and a `room`."""

    type: ClassVar[str] = "lamp.lit"
    version: ClassVar[int] = 3
    power_mw: int
    room: str


def lamp_lit_v1_to_v2(shape: Shape) -> Shape:
    return {"power": shape["watts"]}


def lamp_lit_v2_to_v3(shape: Shape) -> Shape:
    return {"power_mw": int(str(shape["power"])) * 1000, "room": "unknown"}


STEPS = {("lamp.lit", 1): lamp_lit_v1_to_v2, ("lamp.lit", 2): lamp_lit_v2_to_v3}


@pytest.fixture
def lamp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "BY_TYPE", {**BY_TYPE, "lamp.lit": LampLit})
    monkeypatch.setattr(catalogue, "upcast", lambda type_, version, newest, shape: upcast(type_, version, newest, shape, STEPS))


@pytest.mark.parametrize(("version", "shape"), [(1, {"watts": 5}), (2, {"power": 5}), (3, {"power_mw": 5000, "room": "unknown"})])
@pytest.mark.usefixtures("lamp")
def test_every_version_reaches_todays_class(version: int, shape: Mapping[str, Any]) -> None:
    assert data_of(samples.meta(type="lamp.lit", version=version), json.dumps(shape).encode()) == LampLit(power_mw=5000, room="unknown")


@pytest.mark.usefixtures("lamp")
def test_an_old_shape_without_what_its_step_needs_is_damaged() -> None:
    with pytest.raises(Damaged, match=r"lamp\.lit"):
        data_of(samples.meta(type="lamp.lit", version=1), b'{"volts": 5}')


def test_a_missing_step_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(KeyError):
        upcast("lamp.lit", 1, 3, {"watts": 5}, {("lamp.lit", 1): lamp_lit_v1_to_v2})


def test_every_old_version_of_the_catalogue_has_its_step() -> None:
    assert set(UPCASTERS) == {(fact.type, version) for fact in BY_TYPE.values() for version in range(1, fact.version)}


@pytest.mark.parametrize("path", KEPT)
def test_every_kept_sample_is_read_with_nothing_lost(path: Any) -> None:
    type_, _, version = path.stem.rpartition(".v")
    for stored in json.loads(path.read_text()).values():
        read = data_of(samples.meta(type=type_, version=int(version)), json.dumps(stored).encode())
        assert isinstance(read, BY_TYPE[type_])
        if int(version) == read.version:
            assert_contains(json.loads(read.model_dump_json()), stored)


def assert_contains(whole: Any, part: Any) -> None:
    if isinstance(part, dict):
        for name, value in part.items():
            assert_contains(whole[name], value)
    else:
        assert whole == part
