"""The textual way of using tools, read as it is streamed."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.words.react import React

TURN = 'Thought: look it up\nfirst\nAction: weather\nAction Input: {\n"city": "Hefei"}\nObservation: invented\nFinal Answer: made up'
ANSWER = "Thought: I know\nFinal Answer: It is blue.\n\nVery blue: yes\n"


def read(*texts: str) -> tuple[str, str, React]:
    reader = React()
    said = [piece for text in texts for piece in reader.feed(text)] + reader.finish()
    content, reasoning = ("".join(text for stage, text in said if stage == wanted) for wanted in ("content", "reasoning"))
    return content, reasoning, reader


@given(st.lists(st.integers(0, len(TURN)), max_size=6).map(sorted))
def test_however_a_turn_is_cut_it_means_the_same(cuts: list[int]):
    ends = [0, *cuts, len(TURN)]
    content, reasoning, reader = read(*(TURN[one:two] for one, two in pairwise(ends)))
    call = reader.call("1")
    assert call is not None
    assert (content, reasoning, call.name, call.arguments) == ("", "look it up\nfirst", "weather", '{\n"city": "Hefei"}')


def test_an_action_becomes_a_call():
    content, reasoning, reader = read(TURN.partition("Observation")[0])
    call = reader.call("1")
    assert call is not None
    assert (content, reasoning, call.name, call.arguments) == ("", "look it up\nfirst", "weather", '{\n"city": "Hefei"}')
    _, _, fenced = read("Action: a\nAction Input: ```json\n{}\n```")
    call = fenced.call("2")
    assert call is not None
    assert call.arguments == "{}"


def test_a_final_answer_is_content_and_no_call():
    content, reasoning, reader = read(ANSWER)
    assert (content, reasoning, reader.call("1")) == ("It is blue.\n\nVery blue: yes", "I know", None)


@pytest.mark.parametrize("text", ["plain words", "Thoughtful words", "Act now", "a\nb", "  indented"])
def test_words_without_a_mark_are_an_answer(text: str):
    content, reasoning, reader = read(*text)
    assert (content, reasoning, reader.call("1")) == (text.lstrip(), "", None)
