"""Types, defaults, literals, dotted paths, schemas."""

import json

import pytest

from services.core.language.values import MAX_DEPTH, compact, default_of, encodable, literal, misfits, pick, read, text_of
from services.core.problems import Problem


@pytest.mark.parametrize(
    ("type_", "value"), [("string", ""), ("number", 0.0), ("integer", 0), ("boolean", False), ("array", []), ("object", {}), ("odd", None)]
)
def test_a_variable_begins_with_the_default_of_its_type(type_, value):
    found = default_of({"type": type_})
    assert (found, type(found)) == (value, type(value))
    assert default_of({"type": type_, "default": "d"}) == "d"


def test_defaults_are_not_shared():
    first = default_of({"type": "array"})
    assert isinstance(first, list)
    first.append(1)
    assert default_of({"type": "array"}) == []


@pytest.mark.parametrize(
    ("value", "type_", "found"),
    [
        ("x", "string", "x"), (5, "string", "5"), ([1], "string", "[1]"), ("7", "integer", 7), ("2.5", "number", 2.5), (3, "number", 3),
        ("false", "boolean", False), ("False", "boolean", False), ("no", "boolean", True), (0, "boolean", True), ("", "boolean", True),
        ("[1, 2]", "array", [1, 2]), ('{"k": 1}', "object", {"k": 1}), ({"k": 1}, "object", {"k": 1}),
    ],
)  # fmt: skip
def test_a_literal_becomes_its_declared_type(value, type_, found):
    assert literal(value, type_, "here") == found


@pytest.mark.parametrize(
    ("value", "type_"),
    [("many", "integer"), ("2.5", "integer"), ("", "array"), ("null", "object"), (True, "integer"), ("NaN", "number"), ("1+1", "integer"),
     ("__import__('os')", "object"), ('["\\ud83d"]', "array"), ("[" * 100 + "]" * 100, "array")],
)  # fmt: skip
def test_a_literal_that_cannot_be_read_is_refused_and_nothing_is_evaluated(value, type_):
    with pytest.raises(Problem) as problem:
        literal(value, type_, "node: input n")
    assert (problem.value.code, problem.value.message) == (22101, f"node: input n: Failed to convert literal value to {type_}")


def test_values_in_texts_are_json_but_strings_are_themselves():
    assert [text_of(one) for one in ("t", 5, 2.5, True, None, [1, "ü"], {"a": 1})] == [
        "t",
        "5",
        "2.5",
        "true",
        "null",
        '[1, "ü"]',
        '{"a": 1}',
    ]
    assert compact({"a": "ü", "n": [1, 2]}) == '{"a":"ü","n":[1,2]}'


SCHEMA = {
    "type": "object",
    "properties": {
        "k": {"type": "object", "properties": {"z": {"type": "string"}, "n": {"type": "integer", "default": 4}}},
        "rows": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
        "texts": {"type": "array", "items": {"type": "string"}},
    },
}


@pytest.mark.parametrize(
    ("value", "path", "found"),
    [
        ({"k": {"z": "x"}}, "k.z", "x"), ({"k": {}}, "k.z", ""), ({"k": {}}, "k.n", 4), ({}, "k.z", ""), ({"k": 5}, "k.z", ""),
        ({}, "k", {}),
        ({"rows": [{"name": "ann"}, {"name": "bob"}]}, "rows.name", ["ann", "bob"]), ({"rows": [{}, 5]}, "rows.name", ["", ""]),
        ({"rows": []}, "rows.name", []), ({}, "rows.name", []), ({"rows": "no"}, "rows.name", []), (None, "k.z", ""),
    ],
)  # fmt: skip
def test_a_dotted_path_is_followed_over_arrays_and_missing_keys(value, path, found):
    assert pick(value, SCHEMA, path.split("."), "here") == found


@pytest.mark.parametrize("path", ["nothing", "k.nothing", "rows.nothing", "texts.x", "k.z.deeper"])
def test_a_key_that_the_schema_does_not_have_is_20600(path):
    value = {"k": {"z": "x", "nothing": 1}, "rows": [{}], "texts": ["t"], "nothing": 1}
    with pytest.raises(Problem) as problem:
        pick(value, SCHEMA, path.split("."), "here")
    assert problem.value.code == 20600
    assert problem.value.message.startswith("here: ")


def test_all_misfits_are_told_in_one_sentence_without_the_values():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["c"]}
    told = misfits({"a": "secret", "b": 5}, json.dumps(schema))
    assert told == 'the value: these are required: c; a: it breaks type = "integer"; b: it breaks type = "string"'
    assert misfits({"a": 1, "c": None}, json.dumps(schema)) == ""


def test_what_cannot_be_checked_does_not_fit():
    assert misfits(10**400, '{"multipleOf": 0.1}') == "the value cannot be checked against its schema"
    assert misfits(1, '{"$ref": "http://127.0.0.1:1/x"}') == "the value cannot be checked against its schema"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "NaN",
        "Infinity",
        "1e999",
        "[1, [-1E+400]]",
        "1" + "0" * 300 + "e10",
        "1" + "0" * 310 + ".5",
        '"\\ud83d"',
        "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2),
        "[" * 100_000,
    ],
)
def test_only_json_that_can_be_told_on_is_read(text):
    with pytest.raises(ValueError, match=r"\w"):
        read(text)


def test_json_at_the_depth_limit_is_read():
    assert json.dumps(read("[" * MAX_DEPTH + "]" * MAX_DEPTH)) == "[" * MAX_DEPTH + "]" * MAX_DEPTH


def test_lone_surrogates_become_question_marks():
    assert encodable("a\ud83db ü") == "a?b ü"
