"""A definition's identity, and the places of its secrets."""

import hashlib

import pytest

from services.core.language.definition import canonical, digest, replace_secrets, secrets_in


def document(**param):
    return {"id": "1", "apiKey": "not a parameter", "data": {"nodes": [{"data": {"nodeParam": param}}], "edges": []}}


def test_the_canonical_form_does_not_depend_on_order_or_spaces():
    assert canonical({"b": [1, {"d": 2, "c": "ü"}], "a": None}) == '{"a":null,"b":[1,{"c":"ü","d":2}]}'.encode()
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) == hashlib.sha256(b'{"a":1,"b":2}').hexdigest()
    assert digest({"a": [1, 2]}) != digest({"a": [2, 1]})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud83d"])
def test_what_json_cannot_carry_has_no_canonical_form(value):
    with pytest.raises(ValueError, match=r"\w"):
        canonical({"a": value})


def test_secrets_are_found_in_parameters_and_below_in_any_spelling():
    found = document(apiKey="k1", apiSecret="k2", deep={"Authorization": "k3", "list": [{"sk": "k4"}]}, apiKeyName="no", url="no")
    assert sorted(secrets_in(found)) == ["k1", "k2", "k3", "k4"]


def test_all_headers_are_secrets():
    assert sorted(secrets_in(document(headers={"Authorization": "k1", "X-Anything": "k2"}, more={"extra_headers": {"a": "k3"}}))) == [
        "k1",
        "k2",
        "k3",
    ]


def test_empty_secrets_and_those_that_are_no_texts_are_left_alone():
    found = document(apiKey="", password=None, sk=5)
    assert list(secrets_in(found)) == []
    assert replace_secrets(found, str.upper) == found


def test_secrets_are_exchanged_in_a_copy():
    found = document(apiKey="key", template="apiKey")
    changed = replace_secrets(found, lambda secret: f"ref:{secret}")
    assert changed == document(apiKey="ref:key", template="apiKey")
    assert found == document(apiKey="key", template="apiKey")


def test_a_document_with_references_has_no_secret_left():
    changed = replace_secrets(document(apiKey="sk-very-secret", deep={"dsn": "sk-very-secret"}), lambda _: "ref")
    assert b"sk-very-secret" not in canonical(changed)
