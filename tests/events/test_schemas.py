"""The committed schemas are what the classes say, samples obey them, and released ones only grow."""

import json
from copy import deepcopy
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from events.catalogue import BY_TYPE, COMMANDS
from events.envelope import Fact, encode
from infra import schemas
from infra.asyncapi import asyncapi
from infra.compatibility import breaks
from tests.support import samples

FACTS = [pytest.param(fact, id=f"{fact.type}.v{fact.version}") for fact in BY_TYPE.values()]
OLD: dict[str, Any] = {
    "type": "object",
    "properties": {
        "node": {"type": "string"},
        "attempt": {"type": "integer", "default": 1},
        "stage": {"enum": ["content", "reasoning"]},
        "usage": {"anyOf": [{"$ref": "#/$defs/Usage"}, {"type": "null"}], "default": None},
    },
    "required": ["node", "stage"],
    "$defs": {"Usage": {"type": "object", "properties": {"input": {"type": "integer"}}, "required": ["input"], "title": "Usage"}},
}


def changed(**places: Any) -> dict[str, Any]:
    new = deepcopy(OLD)
    for place, value in places.items():
        *way, last = place.split("__")
        at = new
        for step in way:
            at = at[step.replace("defs", "$defs")]
        if value is None:
            del at[last]
        else:
            at[last] = value
    return new


def test_the_committed_files_are_what_the_classes_say() -> None:
    assert [path.name for path in schemas.drift()] == [], "run make schemas"


def test_no_file_is_left_over() -> None:
    known = {path.name for path in schemas.files()} | {"released.json"}
    older = {f"{fact.type}.v{version}.json" for fact in BY_TYPE.values() for version in range(1, fact.version)}
    assert {path.name for path in schemas.FOLDER.iterdir()} - known - older == set()


def test_released_schemas_have_only_grown() -> None:
    assert schemas.RELEASED.exists(), "run python -m infra.schemas --release"
    assert schemas.incompatible() == []


@pytest.mark.parametrize("fact", FACTS)
def test_every_sample_obeys_its_schema(fact: type[Fact]) -> None:
    validator = Draft202012Validator(schemas.schema_of(fact))
    for sample in (samples.MINIMAL[fact], samples.FULL[fact]):
        validator.validate(json.loads(sample.model_dump_json()))
        validator.validate(json.loads(sample.model_dump_json(exclude_unset=True)))


@pytest.mark.parametrize(
    "new",
    [
        changed(properties__note={"type": "string", "default": ""}),
        changed(defs__Usage__properties__output={"type": "integer", "default": 0}),
        changed(properties__node={"type": "string", "description": "said better", "title": "Node"}),
        changed(),
    ],
    ids=["new optional field", "new optional field inside", "other words", "nothing"],
)
def test_a_schema_may_grow(new: dict[str, Any]) -> None:
    assert breaks(OLD, new) == []


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (changed(properties__attempt=None), "the value.attempt is gone"),
        (changed(properties__attempt=None, properties__try={"type": "integer", "default": 1}), "the value.attempt is gone"),
        (changed(properties__attempt={"type": "string", "default": 1}), "the value.attempt changed from"),
        (changed(properties__attempt={"type": "integer", "default": 2}), "the value.attempt: default changed from 1 to 2"),
        (changed(properties__stage={"enum": ["content"]}), "the value.stage: enum changed from"),
        (changed(properties__stage={"enum": ["content", "reasoning", "tool"]}), "the value.stage: enum changed from"),
        (changed(properties__note={"type": "string"}, required=["node", "stage", "note"]), "the value.note is required now"),
        (changed(required=["node", "stage", "attempt"]), "the value.attempt is required now"),
        (changed(required=["node"]), "the value.stage is not required any more"),
        (changed(defs__Usage__properties__input=None), "the value.usage.input is gone"),
        (changed(defs__Usage__properties__input={"type": "number"}), "the value.usage.input changed from"),
        (changed(properties__usage={"anyOf": [{"$ref": "#/$defs/Usage"}], "default": None}), "the value.usage changed from"),
        (changed(additionalProperties=False), "the value: additionalProperties changed from"),
    ],
    ids=[
        "removed", "renamed", "retyped", "other default", "narrowed", "widened", "new and required", "required now", "optional now",
        "removed inside", "retyped inside", "null no more", "closed",
    ],
)  # fmt: skip
def test_any_other_change_is_caught_and_named(new: dict[str, Any], why: str) -> None:
    found = breaks(OLD, new)
    assert len(found) == 1, found
    assert found[0].startswith(why)


def test_a_released_schema_that_is_gone_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    released = tmp_path / "released.json"
    released.write_text(json.dumps({"run.imagined.v1": OLD}))
    monkeypatch.setattr(schemas, "RELEASED", released)
    assert schemas.incompatible() == ["run.imagined.v1: a released schema is gone"]


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi()

    def follow(part: Any) -> None:
        if isinstance(part, list):
            for one in part:
                follow(one)
        elif isinstance(part, dict):
            if (to := part.get("$ref", "")).startswith("#/"):
                at: Any = document
                for step in to[2:].split("/"):
                    at = at[step]
            elif to:
                assert (schemas.FOLDER / to).exists(), to
            for one in part.values():
                follow(one)

    follow(document)


@pytest.mark.parametrize("fact", FACTS)
def test_the_headers_are_those_that_the_asyncapi_document_tells(fact: type[Fact]) -> None:
    document = asyncapi()
    name = document["components"]["messages"][f"{fact.type}.v{fact.version}"]["headers"]["$ref"].rpartition("/")[2]
    shape = document["components"]["schemas"][name]
    told = {"claim": "", "cause": None, "command": ""} if fact in COMMANDS else {"claim": "claim-1", "cause": 7, "command": "command-1"}
    record = encode(samples.envelope(samples.FULL[fact], actor="uid-1", traceparent="00-a-b-01", **told))
    headers = {name: value.decode() for name, value in record.headers}
    Draft202012Validator(shape).validate(headers)
    assert headers.keys() <= shape["properties"].keys()
