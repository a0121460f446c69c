"""Addresses of models that people name go through the guard of `egress`; those that the operator sets do not."""

from pathlib import Path

import pytest

from services.kit.models.port import ModelFailed, Question, Token
from services.kit.models.provider import Models
from tests.support.fixtures.effects import LeapingClock, effect_settings
from tests.support.model_server import ModelServer


async def said(models: Models, url: str, **more: bool) -> str:
    question = Question(url=url, model="say?text=hi", messages=(("user", "x"),), quiet_s=10, **more)
    try:
        return "".join([part.text async for part in models.call(question).stream() if isinstance(part, Token)])
    finally:
        await models.aclose()


HOSTS = ("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "[::1]", "169.254.169.254", "0.0.0.0")


@pytest.mark.parametrize("host", HOSTS)
async def test_a_node_does_not_reach_into_our_network(host: str):
    with ModelServer() as server:
        with pytest.raises(ModelFailed) as failed:
            await said(Models(effect_settings(egress_networks=()), LeapingClock()), f"http://{host}:{server.port}/v1")
        assert (failed.value.kind, "egress_networks" in failed.value.message) == ("refused", True)
        assert server.requests == []


async def test_networks_of_the_setting_and_addresses_of_the_operator_are_reached():
    with ModelServer() as server:
        for settings, more in (
            ({"egress_networks": ("127.0.0.0/8",)}, {}),
            ({"OPENAI_BASE_URL": server.base}, {}),
            ({}, {"is_trusted": True}),
        ):
            models = Models(effect_settings(**{"egress_networks": (), **settings}), LeapingClock())
            assert await said(models, server.base, **more) == "hi"


async def test_passwords_of_a_netrc_are_not_sent_to_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with ModelServer() as server:
        assert await said(Models(effect_settings(), LeapingClock()), server.base, is_trusted=True) == "hi"
        assert "basic" not in str(server.requests).lower()


async def test_a_proxy_of_the_environment_is_used_for_the_operators_addresses(monkeypatch: pytest.MonkeyPatch):
    with ModelServer() as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("no_proxy", "")
        assert await said(Models(effect_settings(), LeapingClock()), "http://model.invalid/v1", is_trusted=True) == "hi"
