"""Which events are true (law 3, reading), and their positions (law 4): a pure fold over one partition."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.acceptance import ENDS_A_RUN, Acceptance, Accepted, Cause, Checkpoint, misfit
from events.catalogue import BY_TYPE, Unknown
from events.delta import NodeDelta
from events.envelope import Damaged, Fact, Record, StoredRecord, encode
from events.ownership import PartitionClaimed
from events.run import RunCancelled, RunCompleted, RunFailed, RunStarted, RunTimedOut
from events.topics import EVENTS, partition_stream
from tests.support import samples

START = Checkpoint(EVENTS, 3)


def claim(id_: str, after: str, commands: str = "topic-1") -> Record:
    data = PartitionClaimed(id=id_, after=after, owner=f"owner of {id_}", commands=commands)
    return encode(samples.envelope(data, stream=partition_stream(3), id=f"claim {id_}", claim=id_))


def event(by: str, stream: str = "run-1", fact: type[Fact] = NodeDelta, **meta: object) -> Record:
    return encode(samples.envelope(samples.minimal(fact), stream=stream, claim=by, **meta))


def stored(records: Sequence[Record], first: int = 0) -> list[StoredRecord]:
    return [StoredRecord(offset, record) for offset, record in enumerate(records, first)]


def fold(records: Sequence[Record], start: Checkpoint = START) -> list[Accepted]:
    acceptance = Acceptance(start)
    return [accepted for one in stored(records, start.offset) if (accepted := acceptance.step(one)) is not None]


def told(accepted: Sequence[Accepted]) -> list[tuple[str, int]]:
    return [(one.meta.stream, one.position) for one in accepted]


def test_nothing_is_accepted_before_the_first_claim() -> None:
    assert fold([event("a"), event("")]) == []


def test_the_first_claim_counts_if_it_comes_after_nobody() -> None:
    assert told(fold([claim("a", after=""), event("a"), event("a")])) == [("partition-3", 1), ("run-1", 1), ("run-1", 2)]


def test_a_first_claim_that_names_another_does_not_count() -> None:
    assert fold([claim("a", after="z"), event("a")]) == []


def test_a_claim_counts_only_if_it_names_the_newest_that_counted() -> None:
    records = [claim("a", ""), claim("b", "a"), claim("c", "a"), event("c"), event("b"), claim("d", "b"), event("b"), event("d")]
    assert [one.offset for one in fold(records)] == [0, 1, 4, 5, 7]


def test_a_claim_that_was_overtaken_never_counts_again() -> None:
    records = [claim("a", ""), claim("b", "a"), claim("a", ""), event("a"), event("b")]
    assert [one.offset for one in fold(records)] == [0, 1, 4]


def test_what_a_zombie_writes_takes_no_position() -> None:
    records = [claim("a", ""), event("a"), claim("b", "a"), event("a"), event("b"), event("a"), event("b")]
    assert told(fold(records))[1:] == [("run-1", 1), ("partition-3", 2), ("run-1", 2), ("run-1", 3)]


def test_streams_count_for_themselves() -> None:
    records = [claim("a", ""), event("a", "run-1"), event("a", "run-2"), event("a", "run-1"), event("a", "flow-9")]
    assert told(fold(records))[1:] == [("run-1", 1), ("run-2", 1), ("run-1", 2), ("flow-9", 1)]


def test_an_accepted_event_tells_its_place_and_itself() -> None:
    one = fold([claim("a", ""), event("a", "run-1", RunStarted, id="e-1")])[1]
    assert (one.partition, one.offset, one.position, one.meta.id) == (3, 1, 1, "e-1")
    assert one.envelope.data == samples.minimal(RunStarted)


@pytest.mark.parametrize("end", [RunCompleted, RunFailed, RunTimedOut, RunCancelled])
def test_a_run_that_ended_is_not_kept_in_the_checkpoint(end: type[Fact]) -> None:
    acceptance = Acceptance(START)
    for one in stored([claim("a", ""), event("a", "run-1"), event("a", "run-2"), event("a", "run-1", end)]):
        accepted = acceptance.step(one)
    assert accepted is not None
    assert accepted.position == 2
    assert acceptance.checkpoint().positions == {"partition-3": 1, "run-2": 1}


def test_the_ends_of_a_run_are_known_events() -> None:
    assert BY_TYPE.keys() >= ENDS_A_RUN


def test_an_accepted_event_of_an_unknown_kind_stops_the_reader() -> None:
    with pytest.raises(Unknown, match=r"run\.imagined"):
        fold([claim("a", ""), imagined("a")])


def test_an_unknown_kind_that_is_not_accepted_is_passed_over() -> None:
    assert told(fold([claim("a", ""), imagined("z"), event("a")])) == [("partition-3", 1), ("run-1", 1)]


def test_a_damaged_event_stops_the_reader_only_if_it_is_accepted() -> None:
    assert len(fold([claim("a", ""), replace(event("z"), value=b"{")])) == 1
    with pytest.raises(Damaged):
        fold([claim("a", ""), replace(event("a"), value=b"{")])


def test_a_record_that_is_no_event_of_ours_stops_the_reader() -> None:
    with pytest.raises(Damaged):
        fold([Record(b"run-1", b"{}")])


def test_the_cause_is_the_newest_accepted_command() -> None:
    acceptance = Acceptance(START)
    records = [
        claim("a", "", commands="topic-1"),
        event("a", cause=4, command="k-4"),
        event("a", command="k-4"),
        event("z", cause=9, command="k-9"),
    ]
    for one in stored(records):
        acceptance.step(one)
    assert acceptance.checkpoint().cause == Cause("topic-1", 4, "k-4")


def test_a_cause_belongs_to_the_commands_topic_of_its_claim() -> None:
    acceptance = Acceptance(START)
    for one in stored([claim("a", "", "topic-1"), event("a", cause=4, command="k"), claim("b", "a", "topic-2")]):
        acceptance.step(one)
    assert acceptance.checkpoint().cause == Cause("topic-1", 4, "k")
    acceptance.step(StoredRecord(3, event("b", cause=0, command="m")))
    assert acceptance.checkpoint().cause == Cause("topic-2", 0, "m")


def test_a_checkpoint_says_what_stood_before_it_accepted_or_not() -> None:
    acceptance = Acceptance(START)
    for one in stored([claim("a", ""), event("z", id="ignored")]):
        acceptance.step(one)
    assert acceptance.checkpoint() == Checkpoint(EVENTS, 3, 2, "ignored", "a", "topic-1", None, {"partition-3": 1})


def test_a_checkpoint_does_not_change_when_the_fold_goes_on() -> None:
    acceptance = Acceptance(START)
    acceptance.step(StoredRecord(0, claim("a", "")))
    before = acceptance.checkpoint()
    acceptance.step(StoredRecord(1, event("a")))
    assert before.positions == {"partition-3": 1}
    assert START.positions == {}


CLAIMS = st.sampled_from(["a", "b", "c"])
RECORDS = st.lists(
    st.one_of(
        st.builds(claim, CLAIMS, st.sampled_from(["", "a", "b", "c"]), st.sampled_from(["topic-1", "topic-2"])),
        st.builds(
            event,
            CLAIMS,
            st.sampled_from(["run-1", "run-2", "flow-1"]),
            st.sampled_from([NodeDelta, RunStarted, RunCompleted]),
            id=st.uuids().map(str),
            cause=st.none() | st.integers(0, 9),
        ),
    ),
    max_size=40,
)


@given(records=RECORDS, cut=st.integers(0, 40))
def test_folding_in_two_halves_is_folding_at_once(records: list[Record], cut: int) -> None:
    first, then, whole = Acceptance(START), None, Acceptance(START)
    log = stored(records)
    halves = [first.step(one) for one in log[:cut]]
    then = Acceptance(first.checkpoint())
    halves += [then.step(one) for one in log[cut:]]
    assert halves == [whole.step(one) for one in log]
    assert then.checkpoint() == whole.checkpoint()


@given(records=RECORDS)
def test_positions_have_no_gaps(records: list[Record]) -> None:
    seen: dict[str, int] = {}
    for one in fold(records):
        assert one.position == seen.get(one.meta.stream, 0) + 1
        seen[one.meta.stream] = 0 if one.meta.type in ENDS_A_RUN else one.position


@given(records=RECORDS)
def test_taking_out_what_was_not_accepted_changes_nothing(records: list[Record]) -> None:
    accepted = fold(records)
    again = fold([records[one.offset] for one in accepted])
    assert [(one.position, one.envelope) for one in again] == [(one.position, one.envelope) for one in accepted]


def imagined(by: str) -> Record:
    record = event(by)
    return replace(record, headers=tuple((name, b"run.imagined" if name == "ce_type" else value) for name, value in record.headers))


@pytest.mark.parametrize(
    ("start", "before", "why"),
    [
        (Checkpoint("topic-1", 3), None, ""),
        (Checkpoint("topic-1", 3, offset=5, last="e"), (4, "e"), ""),
        (Checkpoint("topic-0", 3), None, "another topic (topic-0, and this is topic-1)"),
        (Checkpoint("topic-1", 3, offset=5, last="e"), None, "does not have offset 4"),
        (Checkpoint("topic-1", 3, offset=5, last="e"), (3, "e"), "does not have offset 4"),
        (Checkpoint("topic-1", 3, offset=5, last="e"), (4, "f"), "another record at offset 4"),
    ],
)
def test_a_checkpoint_is_gone_on_from_only_where_it_was_made(start: Checkpoint, before: tuple[int, str] | None, why: str) -> None:
    there = StoredRecord(before[0], event("a", id=before[1])) if before else None
    said = misfit(start, "topic-1", there)
    assert why in said
    assert bool(said) == bool(why)
