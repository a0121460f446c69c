"""What the settings of a topic must be: law 9 in a table."""

import pytest

from events.topics import COMMANDS, DAY_MS, EVENTS
from services.kit.kafka.settings import Durability, made_with, misfits

DURABILITIES: tuple[Durability, ...] = ("replicated", "single")


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("topic", [COMMANDS, EVENTS])
def test_a_new_topic_is_as_it_must_be(topic: str, durability: Durability) -> None:
    assert misfits(topic, made_with(topic, durability), durability) == []


@pytest.mark.parametrize(
    ("topic", "given", "wanted"),
    [
        (EVENTS, {"min.insync.replicas": "1"}, [("min.insync.replicas", "2")]),
        (EVENTS, {"unclean.leader.election.enable": "true"}, [("unclean.leader.election.enable", "false")]),
        (EVENTS, {"retention.ms": str(30 * DAY_MS)}, [("retention.ms", "-1")]),
        (EVENTS, {"retention.bytes": "1000"}, [("retention.bytes", "-1")]),
        (COMMANDS, {"retention.ms": str(6 * DAY_MS)}, [("retention.ms", str(7 * DAY_MS))]),
        (COMMANDS, {"retention.ms": "-1"}, [("retention.ms", str(7 * DAY_MS))]),
        (COMMANDS, {"retention.ms": str(30 * DAY_MS)}, [("retention.ms", str(7 * DAY_MS))]),
        (COMMANDS, {"segment.ms": str(7 * DAY_MS)}, [("segment.ms", str(DAY_MS))]),
        (COMMANDS, {"retention.bytes": "1000"}, [("retention.bytes", "-1")]),
    ],
)
def test_what_could_lose_or_repeat_must_change_where_two_copies_are_promised(
    topic: str, given: dict[str, str], wanted: list[tuple[str, str]]
) -> None:
    assert misfits(topic, made_with(topic, "replicated") | given, "replicated") == wanted
    assert misfits(topic, made_with(topic, "single") | given, "single") == []
