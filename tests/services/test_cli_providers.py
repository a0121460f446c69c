"""Providers of models on the command line: keys from a file or the environment, never shown."""

from pathlib import Path
from typing import Any

import pytest

from tests.services.api.conftest import running, serving
from tests.services.test_cli_apps import prozess
from tests.support.model_server import ModelServer, model

KEY = "sk-sesame-of-the-command-line"


async def test_a_provider_lives_from_its_creation_to_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "key").write_text(KEY + "\n")
    with ModelServer() as server:
        async with running(tmp_path / "house") as world:
            async for house in serving(world):
                at = ("--url", str(house.http.base_url), "--key", "demo-key:demo-secret")

                async def said(*tokens: str, code: int = 0, at: tuple[str, ...] = at) -> Any:
                    assert await prozess("provider", *tokens, *at) == code
                    told = capsys.readouterr()
                    assert KEY not in told.out + told.err
                    return told

                own = ("--provider-url", server.base, "--provider-key-file", str(tmp_path / "key"), "--model", "m-1", "--model", "m-2")
                await said("add", "acme", *own)
                assert "m-1, m-2" in (await said("list")).out
                assert "********" in (await said("show", "acme")).out
                assert "answers" in (await said("test", "acme", "--model", model("say", text="x", need=KEY))).out
                assert "nothing" not in (await said("change", "acme", code=2)).err
                monkeypatch.setenv("PROZESS_PROVIDER_KEY", "sk-another")
                await said("change", "acme", "--name", "Acme")
                assert "401" in (await said("test", "acme", "--model", model("say", text="x", need=KEY), code=1)).out
                await said("add", "acme", *own, "--for-all")
                await said("remove", "acme")
                assert "all" in (await said("show", "acme")).out
                assert "there is a provider" in (await said("add", "acme", *own, "--for-all", code=2)).err
                await said("remove", "acme", "--for-all")
                assert "no provider acme" in (await said("show", "acme", code=2)).err
