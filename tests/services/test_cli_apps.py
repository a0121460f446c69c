"""Apps and keys on the command line: a secret printed once, the api's words on standard error."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from services.cli import main
from tests.services.api.conftest import running, serving


async def prozess(*tokens: str) -> int:
    """The command line beside the service, in a thread of its own."""
    return await anyio.to_thread.run_sync(main, list(tokens))


async def test_an_app_lives_from_its_creation_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    async with running(tmp_path) as world:
        async for house in serving(world):
            at = ("--url", str(house.http.base_url), "--key", "demo-key:demo-secret")

            async def said(*tokens: str, code: int = 0, at: tuple[str, ...] = at) -> Any:
                assert await prozess(*tokens, *at) == code
                return capsys.readouterr()

            pair = (await said("app", "create", "desk")).out.split()[-1]
            assert "desk" in (await said("app", "list")).out
            own = ("--url", at[1], "--key", pair)
            assert await prozess("app", "show", "desk", *own) == 0
            assert pair.split(":")[0] in capsys.readouterr().out
            reading = (await said("key", "create", "desk", "--scope", "read")).out.split()[-1]
            assert await prozess("app", "list", "--url", at[1], "--key", reading) == 2
            assert "`admin`" in capsys.readouterr().err
            rotated = (await said("key", "rotate", "desk", pair.split(":")[0])).out.split()[-1]
            assert await prozess("app", "list", *own) == 2
            assert await prozess("app", "list", "--url", at[1], "--key", rotated) == 0
            capsys.readouterr()
            await said("key", "disable", "desk", reading.split(":")[0])
            await said("app", "disable", "desk")
            assert "enabled: no" in (await said("app", "show", "desk")).out
            await said("app", "enable", "desk")
            assert "audit: no" in (await said("app", "show", "desk")).out
            await said("app", "audit", "desk", "on")
            assert "audit: yes" in (await said("app", "show", "desk")).out
            assert "taken" in (await said("app", "create", "desk", code=2)).err


async def test_nobody_is_asked_without_a_key(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PROZESS_KEY", raising=False)
    assert await prozess("app", "list") == 2
    assert "--key" in capsys.readouterr().err


async def test_an_api_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]):
    assert await prozess("app", "list", "--url", "http://127.0.0.1:9", "--key", "a:b") == 2
    assert "does not answer" in capsys.readouterr().err
