"""The rotation of the master key on the command line: nothing is lost, nothing of a key is shown, programs that run go on."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.kit.assemble import build_world
from services.kit.doctor import examine
from services.kit.errors import Refused
from services.kit.settings import load
from services.kit.world import World
from tests.services.test_cli_apps import prozess

VALUE = "sk-sesame-that-is-kept"


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A program that runs, with two secrets."""
    for name in ("MASTER_KEY", "MASTER_KEY_FILE", "DATABASE"):
        monkeypatch.delenv(f"PROZESS_{name}", raising=False)
    made = build_world(load(data=tmp_path, durability="single"))
    await made.database.migrate()
    for value in (VALUE, VALUE + "-2"):
        await made.secrets.put("demo", value)
    yield made
    await made.database.dispose()


async def test_a_rotation_needs_no_restart_and_shows_no_key(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    reference, old = await world.secrets.put("demo", VALUE), (tmp_path / "master.key").read_text().strip()

    async def said(*tokens: str) -> Any:
        assert await prozess("secrets", *tokens, "--data", str(tmp_path)) == 0
        told = capsys.readouterr()
        assert old not in told.out + told.err
        return told.out

    assert "2 secrets would be sealed anew with a new key." in await said("rotate", "--dry-run")
    assert (tmp_path / "master.key").read_text().strip() == old
    assert "2 secrets are sealed anew" in await said("rotate")
    new = (tmp_path / "master.key").read_text().strip()
    assert new != old
    assert len(new) == 64
    (retired,) = tmp_path.glob("master.key.*.retired")  # noqa: ASYNC240 (a test's folder)
    assert (retired.read_text().strip(), retired.stat().st_mode & 0o777) == (old, 0o600)
    assert await world.secrets.resolve("demo", reference) == VALUE
    assert await world.secrets.put("demo", VALUE) == reference
    assert await world.secrets.resolve("demo", await world.secrets.put("demo", "a new one")) == "a new one"
    assert "seals" in await said("status")
    again = build_world(world.settings)
    assert await again.secrets.resolve("demo", reference) == VALUE
    await again.database.dispose()


async def test_an_interrupted_rotation_is_told_by_the_doctor_and_goes_on(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "master.key"
    file.write_text("5a" * 32 + "\n" + file.read_text())
    found = {finding.part: finding async for finding in examine(world.settings)}
    assert (found["master key"].state, "prozess secrets rotate" in found["master key"].said) == ("note", True)
    assert await prozess("secrets", "rotate", "--keep-old", "--data", str(tmp_path)) == 0
    told = capsys.readouterr()
    assert ("Going on" in told.err, "is still read" in told.out) == (True, True)
    assert len(file.read_text().split()) == 2
    assert await prozess("secrets", "rotate", "--data", str(tmp_path)) == 0
    assert file.read_text().split() == ["5a" * 32]


async def test_a_wrong_master_key_is_said_by_doctor_and_rotation_with_what_to_do(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "wrong").write_text("5a" * 32)
    settings = load(data=tmp_path, master_key_file=tmp_path / "wrong")
    found = {finding.part: finding async for finding in examine(settings)}
    assert (found["master key"].state, "PROZESS_MASTER_KEY_FILE" in found["master key"].said) == ("bad", True)
    assert await prozess("secrets", "rotate", "--data", str(tmp_path), "--master-key-file", str(tmp_path / "wrong")) == 2
    assert "the master key is not the right one: 2 secrets" in capsys.readouterr().err


async def test_a_key_of_the_environment_is_rotated_by_hand(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    old = (tmp_path / "master.key").read_text().strip()
    monkeypatch.setenv("PROZESS_MASTER_KEY", old)
    assert await prozess("secrets", "rotate", "--data", str(tmp_path)) == 2
    assert "new,old" in capsys.readouterr().err
    monkeypatch.setenv("PROZESS_MASTER_KEY", f"{'5a' * 32},{old}")
    assert await prozess("secrets", "rotate", "--data", str(tmp_path)) == 0
    monkeypatch.setenv("PROZESS_MASTER_KEY", "5a" * 32)
    made = build_world(load(data=tmp_path))
    assert await made.secrets.resolve("demo", await made.secrets.put("demo", VALUE)) == VALUE
    await made.database.dispose()
    with pytest.raises(Refused, match="64 hexadecimal digits"):
        build_world(load(data=tmp_path, master_key=f"{old},sausage"))
