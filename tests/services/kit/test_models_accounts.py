"""The providers of the wiki as accounts: who is asked, with which key, and what is said where one is missing."""

import pytest

from services.kit.models.accounts import accounts, obstacle
from services.kit.models.port import ModelFailed, Question, Token
from services.kit.models.provider import Models
from tests.support.fixtures.effects import LeapingClock, effect_settings
from tests.support.model_server import ModelServer

ENVIRONMENT = {
    "GOOGLE_API_KEY": "",
    "OPENROUTER_API_KEY": "",
    "DASHSCOPE_API_KEY": "",
    "AZURE_OPENAI_API_KEY": "",
    "AZURE_OPENAI_ENDPOINT": "",
    "OLLAMA_HOST": "",
}


@pytest.mark.parametrize(
    ("name", "given", "url"),
    [
        ("google", {"GOOGLE_API_KEY": "k"}, "https://generativelanguage.googleapis.com/v1beta/openai"),
        ("openai", {"OPENAI_API_KEY": "k"}, "https://api.openai.com/v1"),
        ("openai", {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "http://127.0.0.1:1/v1"),
        ("openrouter", {"OPENROUTER_API_KEY": "k"}, "https://openrouter.ai/api/v1"),
        ("ollama", {"OLLAMA_HOST": "http://127.0.0.1:11434/"}, "http://127.0.0.1:11434/v1"),
        (
            "azure",
            {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com"},
            "https://x.openai.azure.com/openai/v1",
        ),
        ("dashscope", {"DASHSCOPE_API_KEY": "k"}, "https://dashscope.aliyuncs.com/compatible-mode/v1"),
    ],
)
def test_an_account_is_set_up_by_its_variables(name: str, given: dict[str, str], url: str):
    without, account = (accounts(effect_settings(**{**ENVIRONMENT, **more}))[name] for more in ({}, given))
    assert obstacle(without, "m").startswith(f"the provider {name} is not set up here: set ")
    assert (account.url, obstacle(account, "m")) == (url, "")


def test_the_script_needs_no_account():
    assert obstacle(accounts(effect_settings(**ENVIRONMENT))["openai"], "offline-demo") == ""


async def test_a_url_that_names_an_account_takes_its_address_and_key():
    with ModelServer() as server:
        models = Models(effect_settings(**{**ENVIRONMENT, "GOOGLE_API_KEY": "g-key", "GOOGLE_BASE_URL": server.base}), LeapingClock())
        try:
            call = models.call(Question(url="provider:google", model="say?text=hi&need=g-key", messages=(("user", "x"),)))
            assert "".join([part.text async for part in call.stream() if isinstance(part, Token)]) == "hi"
            for url, said in (("provider:openrouter", "OPENROUTER_API_KEY"), ("provider:nobody", "not known")):
                with pytest.raises(ModelFailed, match=said):
                    models.call(Question(url=url, model="m", messages=()))
        finally:
            await models.aclose()
