"""JSON Schemas and texts of users take a bounded time to check, whatever is in them: an owner decides for others as well."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from services.core.language.model_params import object_in
from services.core.language.values import misfits
from services.core.problems import Problem
from tests.support.flows import end, flow, start
from tests.support.spec import told

UNSURE = "the value cannot be checked against its schema"


@pytest.fixture(autouse=True)
def soon() -> Iterator[None]:
    began = time.process_time()
    yield
    assert time.process_time() - began < 8


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "pattern": "^(a+)+$"}, "a" * 5_000 + "!"),
        ({"type": "string", "pattern": "^(a|a)*$"}, "a" * 5_000 + "!"),
        ({"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}, {"a" * 5_000 + "!": 1}),
    ],
)
def test_a_pattern_takes_time_in_proportion_to_the_text(schema: dict[str, Any], value: Any):
    assert misfits(value, json.dumps(schema)).startswith("the value: ")


def both(schema: dict[str, Any], times: int) -> dict[str, Any]:
    for _ in range(times):
        schema = {"anyOf": [schema, schema]}
    return schema


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (both({"type": "string"}, 15), 1),
        ({"items": {"anyOf": [*({"const": n} for n in range(300)), {}]}}, [-1] * 10_000),
        ({"items": {"not": {"enum": list(range(1_000))}}}, [-1] * 10_000),
        ({"items": {"type": "number"}}, [1] * 1_000_000),
    ],
)
def test_what_wants_too_much_work_cannot_be_checked(schema: dict[str, Any], value: Any):
    assert misfits(value, json.dumps(schema)) == UNSURE


def test_long_lists_are_checked_as_long_as_that_is_little_work():
    numbers = json.dumps({"items": {"type": "number"}, "uniqueItems": True})
    assert misfits(list(range(50_000)), numbers) == ""
    assert misfits([*range(50_000), "x"], numbers) == '50000: it breaks type = "number"'


def test_a_long_list_with_something_twice_is_found_out_whatever_is_in_it():
    unique = json.dumps({"uniqueItems": True})
    assert misfits([*({"n": [n]} for n in range(20_000)), "x", True, 1, None], unique) == ""
    for twice in ([1, 1.0], [{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}], [None, None], ["x", 1, "x"]):
        assert misfits([*range(7, 20_000), *twice], unique) == "the value: it breaks uniqueItems = true"
    assert misfits([1, True, "1", [1], 0, False], unique) == ""


def test_many_mistakes_and_long_rules_are_told_briefly():
    assert len(misfits([1] * 10_000, json.dumps({"items": {"type": "string"}}))) < 2_000
    assert len(misfits("x", json.dumps({"enum": ["y" * 100_000]}))) < 500


@pytest.mark.parametrize("schema", [{"pattern": "("}, {"pattern": "(?=a)"}, {"properties": {"x": {"patternProperties": {"(a)\\1": {}}}}}])
def test_a_pattern_that_is_none_is_refused_with_its_node(schema: dict[str, Any]):
    with pytest.raises(Problem, match="start: output o is no JSON Schema: pattern: this is not a regular expression") as no:
        told(flow(start(o={"type": "object", **schema}), end(), edges="start > end"))
    assert no.value.code == 22101


def test_values_that_look_like_patterns_are_none():
    assert told(flow(start(o={"type": "object", "default": {"pattern": "("}}), end(), edges="start > end")).over


@pytest.mark.parametrize("text", ["```" + " " * 200_000 + "x", "```" * 100_000, "```json" + "\n" * 100_000 + "{", "`" * 300_000])
def test_an_answer_full_of_fences_is_read_at_once(text: str):
    assert object_in(text) is None


@pytest.mark.parametrize(
    "text", ['so: ```json\n{"a": 1}\n``` done', '```\n{"a": 1}```', '{"a": 1}', '```json {"a": 1} ``` and ```{"b": 2}```']
)
def test_the_first_fenced_block_is_the_answer(text: str):
    assert object_in(text) == {"a": 1}
