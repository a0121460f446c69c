"""Settings say which variable is wrong, and never what it held."""

from pathlib import Path

import pytest

from services.kit.errors import Refused
from services.kit.settings import Settings, load, variable


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


def test_what_is_given_wins_over_the_environment_and_nothing_is_the_default(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PROZESS_PORT", "9000")
    monkeypatch.setenv("PROZESS_PARTITIONS", "4")

    settings = load(port=9001, host=None)

    assert (settings.port, settings.partitions, settings.host) == (9001, 4, "127.0.0.1")


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PROZESS_CORS_ORIGINS", "https://a.example, https://b.example,")

    assert load().cors_origins == ("https://a.example", "https://b.example")


def test_an_empty_variable_is_no_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PROZESS_PARTITIONS", "")

    assert load().partitions == 8


def test_the_model_endpoint_has_the_names_that_its_clients_use(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://models.example/v1")

    assert load().openai_base_url == "http://models.example/v1"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PROZESS_PARTITIONS", "sausage", "PROZESS_PARTITIONS is not right: input should be a valid integer"),
        ("PROZESS_PORT", "70000", "PROZESS_PORT is not right: input should be less than or equal to 65535"),
        ("PROZESS_DURABILITY", "sausage", "PROZESS_DURABILITY is not right: input should be 'replicated' or 'single'"),
        ("PROZESS_TRUSTED_PROXIES", "10.0.0.1,sausage", "PROZESS_TRUSTED_PROXIES is not right: every part should be an address"),
        ("PROZESS_MODEL_CONTINUES", "sausage", "PROZESS_MODEL_CONTINUES is not the JSON that was expected"),
        ("PROZESS_TOPIC_PREFIX", "sausage!", "PROZESS_TOPIC_PREFIX is not right"),
    ],
)
def test_a_wrong_variable_is_named_in_one_sentence_without_its_value(monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str):
    monkeypatch.setenv(name, value)

    with pytest.raises(Refused) as no:
        load()

    assert str(no.value).startswith(expected)
    assert "sausage" not in str(no.value)
    assert "\n" not in str(no.value)


def test_two_wrong_variables_are_both_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PROZESS_PORT", "x")
    monkeypatch.setenv("PROZESS_PING_S", "1")

    with pytest.raises(Refused, match=r"PROZESS_PORT .*; PROZESS_PING_S "):
        load()


def test_credentials_are_not_shown_when_settings_are_printed():
    settings = load(
        kafka_sasl_password="hush-1", openai_api_key="hush-2", master_key="hush-3", database="postgresql://prozess:hush-4@rows.example/p"
    )

    assert "hush" not in repr(settings)
    assert "hush" not in str(settings)


def test_the_home_folder_may_be_written_with_a_tilde():
    assert load(data=Path("~/prozess")).data == Path.home() / "prozess"


def test_every_setting_says_what_it_does():
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
