"""Chunks and errors of providers that no server of ours sends, but others do."""

from typing import Any

import pytest

from services.kit.models.chunks import Objected, parts_of
from services.kit.models.endpoint import endpoint_of
from services.kit.models.failures import told
from services.kit.models.port import ModelFailed, Noted, Question, Token

ENDPOINT = endpoint_of("http://h/v1")
QUESTION = Question(url="", model="m", messages=(("user", "short"),), key="tiny")


def chunk(**fields: Any) -> dict[str, Any]:
    return fields


def tokens(**fields: Any) -> list[Token]:
    return [part for part in parts_of(chunk(**fields)) if isinstance(part, Token)]


@pytest.mark.parametrize(
    "fields", [{}, {"choices": None}, {"choices": []}, {"choices": [{}]}, {"choices": [{"delta": None}]}, {"choices": ["x"]}]
)
def test_a_chunk_without_words_says_nothing(fields: dict[str, Any]) -> None:
    assert tokens(**fields) == []


def test_only_the_first_choice_is_heard() -> None:
    assert tokens(choices=[{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}]) == [Token("content", "a")]


def test_a_refusal_is_shown_as_the_answer() -> None:
    assert tokens(choices=[{"index": 0, "delta": {"content": None, "refusal": "No."}}]) == [Token("content", "No.")]


def test_the_same_thinking_under_both_names_is_heard_once() -> None:
    assert tokens(choices=[{"delta": {"reasoning_content": "hm", "reasoning": "hm"}}]) == [Token("reasoning", "hm")]


@pytest.mark.parametrize("odd", [None, 5, "text", [], ["a"]])
def test_what_is_no_chunk_is_a_failure(odd: object) -> None:
    with pytest.raises(ModelFailed, match="not a chunk of an answer"):
        list(parts_of(odd))


def test_words_that_are_no_text_are_a_failure() -> None:
    with pytest.raises(ModelFailed, match="content that is not text"):
        tokens(choices=[{"delta": {"content": [{"type": "text", "text": "a"}]}}])


def test_usage_within_the_choice_counts_and_nonsense_does_not() -> None:
    usage = {"prompt_tokens": 2, "completion_tokens": -1, "total_tokens": True}
    noted = [part for part in parts_of(chunk(choices=[{"delta": {}, "usage": usage}])) if isinstance(part, Noted)]
    assert noted[-1].usage is not None
    assert (noted[-1].usage.input_tokens, noted[-1].usage.output_tokens, noted[-1].usage.total_tokens) == (2, 0, 2)


def test_a_code_beside_the_choices_is_an_error_and_zero_is_not() -> None:
    assert tokens(code=0, choices=[{"delta": {"content": "a"}}]) == [Token("content", "a")]
    with pytest.raises(Objected) as objection:
        tokens(code=10013, message="no")
    failure = told(objection.value.body, QUESTION, ENDPOINT)
    assert (failure.code, failure.kind, failure.temporary) == (20363, "10013", False)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("plain words", "broke off its answer: plain words"),
        ({"message": "tiny is wrong"}, "broke off its answer: … is wrong"),
        ({"detail": "as others say it"}, "broke off its answer: as others say it"),
        ({"message": {"odd": 1}}, "broke off its answer"),
        ("<html>proxy</html>", "broke off its answer"),
        (None, "broke off its answer"),
        ({"message": " many \n lines "}, "broke off its answer: many lines"),
    ],
)
def test_the_providers_own_text_is_found_where_it_is(body: object, sentence: str) -> None:
    assert told(body, QUESTION, ENDPOINT).message == f"the model at h:80 {sentence}"


def test_a_code_that_is_a_sentence_is_not_taken_for_a_word() -> None:
    assert told({"code": "what Erwin asked"}, QUESTION, ENDPOINT).kind == "error"


SPARK = {
    10006: 20356, 10007: 20357, 10008: 20358, 10009: 20359, 10010: 20360, 10011: 20361, 10012: 20362, 10013: 20363, 10014: 20364,
    10015: 20365, 10016: 20366, 10017: 20367, 10019: 20368, 10110: 20369, 10163: 20370, 10222: 20371, 10907: 20372, 11200: 20373,
    11201: 20374, 11202: 20375, 11203: 20376,
}  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours"), SPARK.items())
def test_each_number_of_spark_is_the_entry_that_means_the_same(theirs: int, ours: int) -> None:
    """20356 20357 20358 20359 20360 20361 20362 20363 20364 20365 20366 20367 20368 20369 20370 20371 20372 20373 20374 20375 20376."""
    assert told({"code": theirs, "message": "no"}, QUESTION, ENDPOINT).code == ours
    assert told({"code": str(theirs)}, QUESTION, ENDPOINT).code == ours
