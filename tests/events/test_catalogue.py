"""The register is whole: every class is in it, under a name of its own, with a schema file and samples."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import events
from events.catalogue import BY_TYPE, COMMANDS, EVENTS, Unknown, data_of
from events.envelope import Command, Damaged, Event, Fact, Protected, encode
from infra.schemas import FOLDER
from tests.support import samples

FACTS = [pytest.param(fact, id=f"{fact.type}.v{fact.version}") for fact in (*EVENTS, *COMMANDS)]
NOUNS = {"node.delta"}
PAST = re.compile(r"[a-z_]+\.([a-z_]+ed|done|begun|given|taken|taken_off|bound|unbound|held|timed_out|put|sent|read|written)")
IMPERATIVE = re.compile(r"[a-z_]+\.[a-z_]+(?<!ed)")


def classes(parent: type[Fact]) -> Iterator[type[Fact]]:
    for child in parent.__subclasses__():
        if child.__module__.startswith("events."):
            yield child
            yield from classes(child)


def test_every_class_with_a_stored_name_is_registered() -> None:
    for path in Path(events.__path__[0]).glob("*.py"):
        import_module(f"events.{path.stem}")
    named = {fact for fact in classes(Fact) if "type" in vars(fact)}
    assert named == {*EVENTS, *COMMANDS}


def test_no_two_classes_share_a_stored_name() -> None:
    assert len(BY_TYPE) == len(EVENTS) + len(COMMANDS)


@pytest.mark.parametrize("fact", FACTS)
def test_names_of_events_are_past_and_names_of_commands_are_not(fact: type[Fact]) -> None:
    pattern = PAST if issubclass(fact, Event) else IMPERATIVE
    assert pattern.fullmatch(fact.type) or fact.type in NOUNS
    assert issubclass(fact, Event) is not issubclass(fact, Command)


@pytest.mark.parametrize("fact", FACTS)
def test_every_version_has_a_schema_file_and_samples_that_stay(fact: type[Fact]) -> None:
    for version in range(1, fact.version + 1):
        assert (FOLDER / f"{fact.type}.v{version}.json").exists(), "run make schemas"
        assert samples.path_of(fact, version).exists(), "run python -m tests.support.samples"


@pytest.mark.parametrize("fact", FACTS)
def test_the_two_samples_set_every_field(fact: type[Fact]) -> None:
    least, most = samples.MINIMAL[fact], samples.FULL[fact]
    optional = {name for name, field in fact.model_fields.items() if not field.is_required()}
    assert {name for name in optional if getattr(most, name) == getattr(least, name)} == set()


def test_a_name_that_is_not_registered_is_unknown() -> None:
    record = encode(samples.envelope(samples.minimal(EVENTS[0])))
    with pytest.raises(Unknown, match=r"run\.imagined version 1"):
        data_of(samples.meta(type="run.imagined"), record.value)


def test_a_version_from_the_future_is_unknown() -> None:
    with pytest.raises(Unknown, match=r"run\.completed version 2"):
        data_of(samples.meta(type="run.completed", version=2), b"{}")


def test_damage_is_told_with_the_field_and_without_the_words() -> None:
    with pytest.raises(Damaged, match=r"run\.completed event-1 cannot be read: outputs\.words, usage") as told:
        data_of(samples.meta(type="run.completed"), b'{"outputs": {"subject": "s", "words": "geheim"}}')
    assert "geheim" not in str(told.value)
    assert told.value.__suppress_context__


def test_a_value_that_is_no_json_is_damaged() -> None:
    with pytest.raises(Damaged, match=r"run\.completed"):
        data_of(samples.meta(type="run.completed"), b"\x00\xff")


def test_a_persons_words_are_protected_wherever_a_field_of_that_name_stands() -> None:
    protected = {"text", "outputs", "inputs", "raw_output", "parameters", "history", "ext", "uid"}
    bare = [
        f"{fact.type}.{name}"
        for fact in BY_TYPE.values()
        for name in protected & fact.model_fields.keys()
        if not isinstance(getattr(samples.FULL[fact], name) or getattr(samples.MINIMAL[fact], name), Protected)
    ]
    assert bare == []
