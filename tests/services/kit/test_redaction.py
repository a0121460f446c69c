"""Answers of tools lose the keys they were called with."""

import base64

from services.kit.outside.redaction import without

KEY = "sk-sesame-0001"


def test_a_key_is_hidden_wherever_it_stands():
    told = {"said": f"wrong key {KEY}!", "list": [KEY, 5, None], KEY: {"deep": f"Bearer {KEY}"}}
    assert without(told, [KEY]) == {"said": "wrong key …!", "list": ["…", 5, None], "…": {"deep": "Bearer …"}}


def test_a_key_in_basic_authentication_is_hidden():
    assert without(f"Basic {base64.b64encode(b'user:password').decode()}", ["user:password"]) == "Basic …"


def test_short_keys_and_answers_without_keys_stay():
    assert without({"a": "say a word"}, ["a", KEY]) == {"a": "say a word"}
