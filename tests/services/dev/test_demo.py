"""The demo's wishes: fixed, complete, and never against what somebody has changed."""

import pytest

from events.commands import BindFlow, DraftFlow, PublishFlow, RegisterApp
from events.topics import SLOTS, minted_at, slot_of_id
from services.core.language.definition import digest
from services.core.language.graph import compile_
from services.dev import demo
from services.dev.app import settings_for_dev
from services.dev.welcome import address, lines
from services.kit.secrets import passwords
from services.kit.settings import Settings, load, variable


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


def test_the_flow_s_id_is_one_that_could_have_been_minted():
    assert 0 <= slot_of_id(demo.FLOW) < SLOTS
    assert minted_at(demo.FLOW) == 1_760_000_000_000


def test_the_demo_flow_is_a_valid_graph():
    compile_(demo.document(demo.OFFLINE))


def test_the_same_model_gives_the_same_definition_everywhere():
    assert digest(demo.document(demo.OFFLINE)) == digest(demo.document(demo.OFFLINE))
    assert digest(demo.document("gpt-4o-mini")) != digest(demo.document(demo.OFFLINE))


def test_without_an_account_the_offline_model_answers():
    assert demo.model_for(load()) == "offline-demo"


@pytest.mark.parametrize("given", [{"openai_api_key": "k"}, {"openai_base_url": "http://127.0.0.1:9/v1"}])
def test_with_an_account_the_environment_s_model_answers(given: dict[str, str]):
    assert demo.model_for(load(**given)) == "gpt-4o-mini"
    assert demo.model_for(load(**given, openai_model="other")) == "other"


def test_the_app_is_a_tenant_with_all_rights_no_audit_and_the_documented_key():
    register, draft, publish, bind = (wish.command for wish in demo.wishes(demo.document("m")))

    assert isinstance(register, RegisterApp)
    assert (register.app, register.is_tenant, register.source, register.platform_rights, register.audit_policy) == ("demo", True, 1, 7, 0)
    assert [key.key for key in register.keys] == ["demo-key"]
    assert passwords.verify("demo-secret", register.keys[0].secret_hash)
    assert isinstance(draft, DraftFlow)
    assert draft.definition == digest(demo.document("m"))
    assert isinstance(publish, PublishFlow)
    assert (publish.operation, publish.platform) == (1, 1)
    assert bind == BindFlow(flow=demo.FLOW, app="demo")


def test_the_ids_of_the_commands_are_the_same_every_time():
    assert [wish.id for wish in demo.wishes(demo.document("a"))] == [wish.id for wish in demo.wishes(demo.document("b"))]


def test_dev_is_easier_unless_somebody_said_otherwise(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PROZESS_CORS_ORIGINS", "https://mine.example")

    settings = settings_for_dev(load(durability="replicated"))

    assert (settings.durability, settings.cors_origins) == ("replicated", ("https://mine.example",))
    assert (settings.trusted_proxies, settings.demo) == (("127.0.0.0/8", "::1/128"), True)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://127.0.0.1:8080"),
        ("::1", "http://[::1]:8080"),
    ],
)
def test_the_printed_address_is_one_that_a_client_can_use(host: str, expected: str):
    assert address(load(host=host)) == expected


def test_there_are_three_lines_each_on_one_line():
    assert [line.split()[0].split("=")[0].removeprefix("EVENT=$(") for line in lines(load()).values()] == ["EVENT", "curl", "curl"]
    assert all("\n" not in line for line in lines(load()).values())
