"""The settings that documents 000 and 001 name: each is there, in its range, listed, refused outside, and the profile sets it."""

import pytest

from services.cli import main
from services.cli.options import AllInOne, Inner, Outer, settings
from services.kit import settings_table
from services.kit.documented import PROFILE, RANGES, TABLE
from services.kit.errors import Refused
from services.kit.settings import Settings, load, variable

NAMED = [one for one in TABLE if one.setting]
BOUNDED = [row for row in settings_table.rows() if row.may_be.startswith(("from", "more"))]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


@pytest.mark.parametrize("one", TABLE, ids=lambda one: one.name)
def test_what_a_document_names_is_a_setting_or_says_why_not(one):
    assert (one.setting in Settings.model_fields) != bool(one.instead)


@pytest.mark.parametrize("name", PROFILE)
def test_the_documented_profile_sets_the_documents_value_and_yields_to_what_is_given(name: str):
    assert getattr(load(profile="documented"), name) == PROFILE[name]
    other = Settings.model_fields[name].get_default()
    assert getattr(load(profile="documented", **({name: other} if name not in RANGES else {})), name) in {other, PROFILE[name]}


@pytest.mark.parametrize("name", RANGES)
def test_the_documents_range_is_kept_with_its_profile_and_its_ends_are_inside(name: str):
    low, high = RANGES[name]
    for inside in (low, high):
        assert getattr(load(profile="documented", **{name: inside}), name) == inside
        assert getattr(load(**{name: inside}), name) == inside, "without the profile the range is wider, never narrower"
    for outside in (low - 0.5, high + 0.5):
        with pytest.raises(Refused, match=variable(name)) as no:
            load(profile="documented", **{name: outside})
        assert "should be" in str(no.value)


@pytest.mark.parametrize("row", BOUNDED, ids=lambda row: row.name)
def test_every_range_refuses_what_is_outside_in_one_sentence_that_names_the_variable(row, monkeypatch: pytest.MonkeyPatch):
    words = row.may_be.replace(",", "").split()
    low = float(words[words.index("from" if "from" in words else "than") + 1])
    monkeypatch.setenv(row.variable, str(int(low) - 1))
    with pytest.raises(Refused, match=rf"{row.variable} is not right: input should be"):
        load()
    if "to" in words:
        monkeypatch.setenv(row.variable, str(int(float(words[words.index("to") + 1])) + 1))
        with pytest.raises(Refused, match=rf"{row.variable} is not right: input should be less than"):
            load()


@pytest.mark.parametrize(("larger", "smaller"), [("database_max_size", "database_min_size"), ("max_connections", "pool_size")])
def test_a_most_that_is_less_than_the_least_is_refused(larger: str, smaller: str):
    with pytest.raises(Refused, match=f"{variable(larger)} is not right: input should be at least {variable(smaller)}"):
        load(**{larger: 1, smaller: 2})


def test_a_number_of_a_setting_without_a_range_is_the_exception():
    numbers = {name for name, field in Settings.model_fields.items() if field.annotation in {int, float}}
    assert numbers == {row.name for row in BOUNDED}


def test_every_setting_is_listed_by_the_command_and_on_the_page(capsys: pytest.CaptureFixture[str]):
    assert main(["settings"]) == 0
    told = capsys.readouterr().out
    page = settings_table.page()
    for name in Settings.model_fields:
        assert variable(name) in told
        assert f"`{variable(name)}`" in page
    for one in TABLE:
        assert one.name in page


@pytest.mark.parametrize("program", [Outer, Inner, AllInOne])
def test_every_program_takes_the_profile_as_an_option(program: type[Outer | Inner]):
    assert settings(program(profile="documented")).max_concurrent_requests == 100
    assert settings(program()).max_concurrent_requests == 2_000
