"""Where a fact lives: ids that carry their slot, slots of names, and the table from slots to partitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import topics

SLOTS = st.integers(0, topics.SLOTS - 1)


@given(milliseconds=st.integers(0, (1 << 41) - 1), slot=SLOTS, sequence=st.integers(0, 1023))
def test_an_id_tells_its_slot_and_its_time(milliseconds: int, slot: int, sequence: int) -> None:
    id_ = topics.mint(milliseconds, slot, sequence)
    assert (topics.slot_of_id(id_), topics.minted_at(id_)) == (slot, milliseconds)
    assert 0 <= int(id_) < 1 << 63


def test_an_id_of_our_days_has_nineteen_digits() -> None:
    assert topics.mint(1_750_000_000_000, 4095, 1023) == "7340032000004194303"
    assert len(topics.mint(1_750_000_000_000, 0, 0)) == 19


def test_ids_grow_with_time_whatever_their_slot() -> None:
    assert int(topics.mint(1, 4095, 1023)) < int(topics.mint(2, 0, 0))


@pytest.mark.parametrize(
    ("milliseconds", "slot", "sequence"), [(-1, 0, 0), (1 << 41, 0, 0), (0, -1, 0), (0, 4096, 0), (0, 0, -1), (0, 0, 1024)]
)
def test_an_id_out_of_its_limits_is_refused(milliseconds: int, slot: int, sequence: int) -> None:
    with pytest.raises(ValueError, match="an id needs"):
        topics.mint(milliseconds, slot, sequence)


@given(slot=SLOTS, sequence=st.integers(0, 1023))
def test_runs_and_flows_live_in_the_slot_of_their_id(slot: int, sequence: int) -> None:
    id_ = topics.mint(1_750_000_000_000, slot, sequence)
    assert topics.slot_of(topics.run_stream(id_)) == slot
    assert topics.slot_of(topics.flow_stream(id_)) == slot


@given(name=st.text(max_size=30))
def test_all_others_live_in_the_slot_of_their_name(name: str) -> None:
    assert topics.slot_of(topics.app_stream(name)) == topics.slot_of_name("app", name)
    assert topics.slot_of(topics.refusals_stream(name)) == topics.slot_of_name("refusals", name)


def test_the_slot_of_a_name_is_part_of_the_storage_format() -> None:
    assert topics.slot_of_name("chat", "demo", "chat-1") == 1572
    assert topics.slot_of_name("app", "demo") == 538
    assert topics.slot_of_name("idem", "demo", "天空") == 893


def test_the_parts_of_a_name_do_not_run_together() -> None:
    assert topics.slot_of_name("chat", "ab", "c") != topics.slot_of_name("chat", "a", "bc")


@pytest.mark.parametrize("partitions", [1, 2, 3, 7, 8, 64, 1000, 4096])
def test_the_table_gives_every_partition_its_share(partitions: int) -> None:
    shares = [0] * partitions
    for slot in range(topics.SLOTS):
        shares[topics.partition_of(slot, partitions)] += 1
    assert max(shares) - min(shares) <= 1
    assert min(shares) >= 1


@given(slot=SLOTS, partitions=st.integers(1, 64))
def test_the_table_is_coarser_never_different_with_half_the_partitions(slot: int, partitions: int) -> None:
    assert topics.partition_of(slot, partitions) == topics.partition_of(slot, partitions * 2) // 2
