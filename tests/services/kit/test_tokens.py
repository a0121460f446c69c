"""Tokens are counted with a model's own tables where they are here, and in no time, whatever the text."""

import pytest

from services.kit.tokens import count, load, tables_of


@pytest.mark.parametrize(
    ("model", "tables"),
    [
        ("gpt-4o", "o200k_base"), ("gpt-4o-mini", "o200k_base"), ("openai/gpt-4.1-mini", "o200k_base"), ("GPT-5", "o200k_base"),
        ("o3", "o200k_base"), ("o3-mini", "o200k_base"), ("gpt-4", "cl100k_base"), ("gpt-4-turbo", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"), ("ft:gpt-4o", None), ("qwen3:4b", None), ("o30", None), ("gpt-40", None), ("", None),
    ],
)  # fmt: skip
def test_a_model_is_known_by_its_family(model, tables):
    assert tables_of(model) == tables


def test_a_known_model_sees_its_own_tokens_and_an_unknown_one_is_not_guessed():
    load("gpt-4o")
    load("unknown")
    assert count("gpt-4o", "hello world") == 2
    assert count("gpt-4", "tiktoken is great!") == 6
    assert count("gpt-4o", "") == 0
    assert count("unknown", "hello world") is None


def test_words_that_look_like_special_tokens_are_only_words():
    tokens = count("gpt-4o", "<|endoftext|>")
    assert tokens is not None
    assert tokens > 1


def test_texts_without_spaces_take_no_longer_than_others():
    assert count("gpt-4o", "a" * 20_000) == 2_500
    assert (count("gpt-4o", "".join(map(chr, range(0x4E00, 0x9E00)))) or 0) > 10_000
