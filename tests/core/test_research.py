"""Which round of which question a conversation has reached, and how long a text is for a model."""

import pytest

from services.core.words.research import TAG, Round, round_of
from services.core.words.tokens import estimate

GO_ON = f"{TAG} Continue the research"


def said(*texts: str) -> list[tuple[str, str]]:
    """Questions and answers by turns, a question first."""
    return [("user" if index % 2 == 0 else "assistant", text) for index, text in enumerate(texts)]


@pytest.mark.parametrize("rounds", range(7))
def test_the_round_is_counted_by_the_answers_and_the_question_stays_the_topic(rounds: int):
    conversation = said(f"{TAG} How is tea brewed?", *(["found", GO_ON] * rounds))
    assert round_of(conversation) == Round(deep=True, number=rounds + 1, question="How is tea brewed?")


def test_without_the_tag_nothing_is_a_research_and_nothing_is_rewritten():
    assert round_of(said("topic", "found", "please continue the research")) == Round(
        deep=False, number=1, question="please continue the research"
    )


def test_the_newest_tagged_question_is_gone_on_with():
    conversation = said(f"{TAG} About A", "found", GO_ON, "more", f"{TAG} About B", "found", GO_ON)
    assert round_of(conversation).question == "About B"


def test_a_topic_that_speaks_of_continuing_is_a_topic():
    conversation = said(f"{TAG} How does a research continue here?", "found", GO_ON)
    assert round_of(conversation).question == "How does a research continue here?"


def test_a_first_question_with_both_words_is_asked_as_it_is():
    assert round_of(said(f"{TAG} Can I continue my research in src?")).question == "Can I continue my research in src?"


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("abcd", 1), ("abcde", 2), ("你好", 2), ("word " * 8000, 10_000)])
def test_a_token_is_four_plain_characters_or_one_other(text: str, tokens: int):
    assert estimate(text) == tokens
