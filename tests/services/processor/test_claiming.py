"""Where the commands go on after a takeover, by the plan alone: no log, no loop."""

from collections.abc import Sequence

import pytest

from events.acceptance import Cause
from events.commands import CancelRun
from events.envelope import StoredRecord, encode
from services.processor.taking.claiming import resuming
from services.processor.taking.plan import Bounds, Read
from tests.support.samples import envelope, minimal

SINCE = 1_000


def _commands(*ids: str, base: int = 0, old: Sequence[str] = ()) -> list[StoredRecord]:
    records = [encode(envelope(minimal(CancelRun), id=id_, time=SINCE - 1 if id_ in old else SINCE)) for id_ in ids]
    return [StoredRecord(base + place, record) for place, record in enumerate(records)]


def _resume(commands: Sequence[StoredRecord], cause: Cause | None, known: str = "") -> int:
    base = commands[0].offset if commands else 0
    plan = resuming(0, "topic-1", cause, set(known), SINCE)
    answer: object = None
    while True:
        try:
            ask = plan.send(answer)
        except StopIteration as done:
            return done.value
        match ask:
            case Bounds():
                answer = (base, base + len(commands))
            case Read(_, start, limit):
                answer = commands[start - base : start - base + limit]
            case _:
                raise AssertionError(ask)


def test_a_partition_without_decisions_begins_with_its_first_command() -> None:
    assert _resume(_commands("a", "b", base=7), None) == 7


def test_they_go_on_after_the_newest_cause_that_stands_where_it_stood() -> None:
    assert _resume(_commands("a", "b", "c"), Cause("topic-1", 1, "b"), "ab") == 2


def test_another_command_at_the_place_of_the_cause_is_not_taken_for_it() -> None:
    assert _resume(_commands("a", "x", "b"), Cause("topic-1", 1, "b"), "ab") == 0


def test_on_another_topic_they_go_on_after_the_first_record_with_its_id() -> None:
    assert _resume(_commands("a", "b", "c", base=5), Cause("topic-0", 1, "b"), "ab") == 7


def test_a_repetition_of_the_cause_hides_no_command_that_was_never_decided() -> None:
    """The original of `a` is not kept on the new cluster; what stands before its repetition came after it."""
    assert _resume(_commands("b", "a", "c"), Cause("topic-0", 0, "a"), "a") == 0


def test_a_log_that_lost_its_end_and_grew_again_hides_no_command() -> None:
    """`a`, `b` were decided and lost; `x` came, and `b` was repeated to where it had been."""
    assert _resume(_commands("x", "b"), Cause("topic-1", 1, "b"), "ab") == 0


def test_what_is_older_than_anybody_remembers_counts_as_decided() -> None:
    commands = _commands("a", "b", "c", old="a")
    assert _resume(commands, Cause("topic-1", 1, "b"), "b") == 2
    assert _resume(commands, Cause("topic-0", 9, "b"), "b") == 2


def test_a_cause_that_is_nowhere_means_from_the_beginning() -> None:
    assert _resume(_commands("a", "b"), Cause("topic-1", 9, "z"), "abz") == 0


def test_commands_that_were_dropped_up_to_the_cause_are_not_missed() -> None:
    assert _resume(_commands("c", base=2), Cause("topic-1", 1, "b"), "ab") == 2


def test_a_read_that_ends_before_the_cause_looks_for_it_from_the_beginning() -> None:
    commands = _commands("a", "b", "c")
    plan = resuming(0, "topic-1", Cause("topic-1", 1, "b"), {"a", "b"}, SINCE)
    assert plan.send(None) == Bounds("prozess.commands")
    assert plan.send((0, 3)) == Read("prozess.commands", 0, 2)
    plan.send(commands[:1])
    with pytest.raises(StopIteration) as done:
        plan.send(commands)
    assert done.value.value == 2
