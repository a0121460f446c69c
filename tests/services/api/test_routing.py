"""Which model answers a message: pure, and never from local to cloud in silence."""

import pytest

from services.api.asking.routing import NoRoute, Offer, route

BOTH = Offer(("small",), ("large", "other"))
LOCAL, CLOUD = Offer(("small",), ()), Offer((), ("large", "other"))


@pytest.mark.parametrize("message", ["hello", "分析代码", "what is the weather today", "x" * 500])
def test_an_explicit_class_wins_over_every_rule(message: str):
    assert route(message, "local_small", "", BOTH).model == "small"
    assert route(message, "cloud_large", "", BOTH).model == "large"


def test_who_asks_for_the_local_model_never_gets_another():
    with pytest.raises(NoRoute) as no:
        route("hello", "local_small", "", CLOUD)
    assert not no.value.wrong
    with pytest.raises(NoRoute) as no:
        route("hello", "local_small", "large", BOTH)
    assert no.value.wrong


@pytest.mark.parametrize(
    ("message", "used"),
    [
        ("你好", "local_small"),
        ("Hello there", "local_small"),
        ("thanks a lot for that, it was very kind of you", "local_small"),
        ("short one", "local_small"),
        ("今天北京的天气怎么样", "cloud_large"),
        ("any news?", "cloud_large"),
        ("写一个快速排序", "cloud_large"),
        ("write a poem", "cloud_large"),
        ("say it " * 40, "cloud_large"),
        ("which of these two do you like better", "cloud_large"),
        ("a codex is old", "local_small"),
    ],
)
def test_automatic_selection_follows_the_rules(message: str, used: str):
    decided = route(message, "auto_select", "", BOTH)
    assert decided.model_used == used
    assert decided.reasons


def test_automatic_selection_says_when_it_takes_the_other_class():
    assert route("hello", "auto_select", "", CLOUD).reasons == (
        "the message is a greeting",
        "no local_small model is set up, so cloud_large answers",
    )
    assert route("any news?", "auto_select", "", LOCAL).model_used == "local_small"
    with pytest.raises(NoRoute):
        route("hello", "auto_select", "", Offer((), ()))


def test_a_named_model_chooses_its_class_and_must_be_known():
    assert route("hello", "auto_select", "other", BOTH).model_used == "cloud_large"
    assert route("hello", "cloud_large", "other", BOTH).model == "other"
    with pytest.raises(NoRoute, match="small, large, other") as no:
        route("hello", "auto_select", "unknown", BOTH)
    assert no.value.wrong


def test_there_is_no_plugin():
    with pytest.raises(NoRoute, match="plugin") as no:
        route("hello", "plugin", "", BOTH)
    assert no.value.wrong


def test_the_decision_is_a_record():
    assert route("hello", "cloud_large", "", BOTH).recorded() == {
        "wished": "cloud_large",
        "model_used": "cloud_large",
        "model": "large",
        "reasons": ["the caller asked for cloud_large"],
    }
