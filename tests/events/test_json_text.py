"""JSON from outside: what a float cannot hold is refused, whatever else is in the text, and looking for it costs little."""

import time

import pytest

from events.json_text import read_json


@pytest.mark.parametrize("number", ["1e999", "-1E+400", "12e309", "1" + "0" * 309 + ".5", "[[1.5], {'a': 1e400}]".replace("'", '"')])
def test_a_number_that_no_float_holds_is_refused_as_text_and_as_bytes(number: str):
    for text in (f'{{"a": {number}}}', f'{{"a": {number}}}'.encode()):
        with pytest.raises(ValueError, match="larger than any float"):
            read_json(text)


@pytest.mark.parametrize(
    ("text", "value"), [("1e-999", 0.0), ("[1e10, 2E+2]", [1e10, 200.0]), ('"1e999"', "1e999"), ("9" * 310, int("9" * 310))]
)
def test_other_numbers_are_what_they_are(text: str, value: object):
    assert read_json(text) == value


def test_a_text_of_long_numbers_is_read_in_a_moment():
    text = b"[" + b",".join([b"1" * 299] * 10_000) + b"]"
    began = time.process_time()
    read_json(text)
    assert time.process_time() - began < 0.5
