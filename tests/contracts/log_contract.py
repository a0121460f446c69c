"""What every log promises, in tests: the words of `services/kit/log.py`, run against each adapter.

A subclass gives a `place`: where a log's topics live, so that a log can be stopped, opened again, trimmed and made anew.
"""

import asyncio

import pytest

from events.envelope import Record
from events.topics import COMMANDS, EVENTS, SNAPSHOTS
from services.kit.errors import AppendFailed, HistoryLost, TooLarge, TopicMismatch
from services.kit.log import MAX_BATCH_BYTES, Log, is_tombstone, tombstone
from tests.contracts.group_contract import GroupContract
from tests.contracts.log_place import PARTITIONS, Place, a_record, read_all, some, take, texts


class LogContract(GroupContract):
    @pytest.fixture
    async def log(self, place: Place) -> Log:
        return await place.open()

    # Appending

    async def test_offsets_go_on_without_gaps_and_in_order(self, log: Log) -> None:
        appender = await log.appender(EVENTS, 0)
        firsts = [await appender.append(some(count)) for count in (1, 3, 2)]
        assert firsts == [0, 1, 4]
        stored = await read_all(log)
        assert [one.offset for one in stored] == list(range(6))
        assert texts(stored) == ["r0", "r0", "r1", "r2", "r0", "r1"]
        assert await log.bounds(EVENTS, 0) == (0, 6)

    async def test_every_partition_and_topic_counts_for_itself(self, log: Log) -> None:
        for topic in (COMMANDS, EVENTS):
            for partition in range(PARTITIONS):
                assert await log.append(topic, partition, [a_record(f"{topic} {partition}")]) == 0
        assert texts(await read_all(log, COMMANDS, 3)) == [f"{COMMANDS} 3"]
        assert texts(await read_all(log, EVENTS, 1)) == [f"{EVENTS} 1"]

    async def test_a_record_comes_back_as_it_was(self, log: Log) -> None:
        records = [
            Record(
                "键".encode(), bytes(range(256)), (("名", b"\x00\xff"), ("twice", b"1"), ("twice", b"2"), ("none", b"")), 1_700_000_000_123
            ),
            Record(b"", b"", (), 0),
        ]
        await log.append(EVENTS, 0, records)
        tail = log.tail(EVENTS, 0, 0)
        for stored in (await read_all(log), await take(tail, 2)):
            assert [one.record for one in stored] == records
        await tail.close()

    async def test_batches_of_many_appenders_stay_whole(self, log: Log) -> None:
        async def write(name: str) -> list[int]:
            appender = await log.appender(EVENTS, 0)
            return [await appender.append(some(5, f"{name}.{number}.")) for number in range(5)]

        firsts = await asyncio.gather(*(write(f"w{number}") for number in range(6)))
        found = texts(await read_all(log))
        assert len(found) == 150
        for number, places in enumerate(firsts):
            assert places == sorted(places)
            for batch, first in enumerate(places):
                assert found[first : first + 5] == [f"w{number}.{batch}.{one}" for one in range(5)]

    async def test_callers_of_the_shared_producer_do_not_disturb_each_other(self, log: Log) -> None:
        calls = [(number % PARTITIONS, f"c{number}.") for number in range(40)]
        firsts = await asyncio.gather(*(log.append(COMMANDS, partition, some(3, name)) for partition, name in calls))
        for (partition, name), first in zip(calls, firsts, strict=True):
            assert texts(await log.read(COMMANDS, partition, first, 3)) == [f"{name}{one}" for one in range(3)]

    async def test_a_batch_of_a_thousand_records_is_one_batch(self, log: Log) -> None:
        tail = log.tail(EVENTS, 2, 0)
        appender = await log.appender(EVENTS, 2)
        assert await appender.append(some(1000)) == 0
        assert texts(await take(tail, 1000)) == [f"r{number}" for number in range(1000)]
        await tail.close()

    async def test_a_batch_of_five_megabytes_comes_back(self, log: Log) -> None:
        records = [Record(b"run-1", bytes([number]) * 1_000_000, (), number) for number in range(5)]
        await log.append(EVENTS, 0, records)
        tail = log.tail(EVENTS, 0, 0)
        assert [one.record for one in await read_all(log)] == records
        assert [one.record for one in await take(tail, 5)] == records
        await tail.close()

    async def test_a_batch_above_the_limit_leaves_nothing_and_the_appender_goes_on(self, log: Log) -> None:
        appender = await log.appender(EVENTS, 0)
        half = a_record("x" * (MAX_BATCH_BYTES // 2))
        with pytest.raises(TooLarge):
            await appender.append([half, half])
        with pytest.raises(TooLarge):
            await log.append(EVENTS, 0, [half, half])
        assert await log.bounds(EVENTS, 0) == (0, 0)
        assert await appender.append(some(1)) == 0

    async def test_a_batch_just_below_the_limit_is_taken(self, log: Log) -> None:
        await log.append(EVENTS, 0, [a_record(), a_record("x" * (MAX_BATCH_BYTES - 400))])
        assert [len(one.record.value) for one in await read_all(log)] == [0, MAX_BATCH_BYTES - 400]

    async def test_a_closed_appender_takes_nothing_and_another_one_does(self, log: Log) -> None:
        appender = await log.appender(EVENTS, 0)
        await appender.append(some(1))
        await appender.close()
        await appender.close()
        with pytest.raises(AppendFailed):
            await appender.append(some(1))
        assert await (await log.appender(EVENTS, 0)).append(some(1)) == 1

    async def test_nothing_and_nowhere_are_refused(self, log: Log) -> None:
        with pytest.raises(ValueError, match="at least one record"):
            await log.append(EVENTS, 0, [])
        with pytest.raises(ValueError, match="has no partition 4"):
            await log.append(EVENTS, PARTITIONS, some(1))

    # Reading

    async def test_reading_begins_anywhere_and_stops_at_the_limit(self, log: Log) -> None:
        for number in range(5):
            await log.append(EVENTS, 0, some(4, f"b{number}."))
        stored = await log.read(EVENTS, 0, 6, 3)
        assert [(one.offset, one.record.value) for one in stored] == [(6, b"b1.2"), (7, b"b1.3"), (8, b"b2.0")]

    async def test_reading_at_the_end_gives_nothing(self, log: Log) -> None:
        assert not await log.read(EVENTS, 0, 0)
        await log.append(EVENTS, 0, some(2))
        assert not await log.read(EVENTS, 0, 2)

    @pytest.mark.parametrize("start", [-1, 3, 1000])
    async def test_reading_outside_the_bounds_is_lost_history(self, log: Log, start: int) -> None:
        await log.append(EVENTS, 0, some(2))
        with pytest.raises(HistoryLost):
            await log.read(EVENTS, 0, start)

    async def test_what_was_trimmed_is_lost_history(self, place: Place, log: Log) -> None:
        await log.append(EVENTS, 0, some(5))
        log = await place.trim(log, EVENTS, 0, 3)
        assert await log.bounds(EVENTS, 0) == (3, 5)
        assert texts(await log.read(EVENTS, 0, 3)) == ["r3", "r4"]
        with pytest.raises(HistoryLost):
            await log.read(EVENTS, 0, 2)
        tail = log.tail(EVENTS, 0, 2)
        with pytest.raises(HistoryLost):
            await tail.next()
        await tail.close()

    async def test_a_time_leads_to_the_first_record_at_it_or_later(self, log: Log) -> None:
        assert await log.offset_at(EVENTS, 0, 50) == 0
        for time in (100, 300, 200, 300, 400):
            await log.append(EVENTS, 0, [a_record(time=time)])
        asked = [0, 100, 101, 200, 250, 300, 301, 400, 401]
        assert [await log.offset_at(EVENTS, 0, time) for time in asked] == [0, 0, 1, 1, 1, 1, 4, 4, 5]

    # Following

    async def test_a_tail_that_waits_gets_what_is_appended(self, log: Log) -> None:
        tail = log.tail(EVENTS, 0, 0)
        for number in range(3):
            waiting = asyncio.create_task(tail.next())
            await log.append(EVENTS, 0, some(2, f"b{number}."))
            assert texts(await waiting) == [f"b{number}.0", f"b{number}.1"]
        await tail.close()

    async def test_tails_of_all_partitions_wake_up(self, log: Log) -> None:
        tails = [log.tail(EVENTS, partition, 0) for partition in range(PARTITIONS)]
        waiting = [asyncio.create_task(tail.next()) for tail in tails]
        for partition in reversed(range(PARTITIONS)):
            await log.append(EVENTS, partition, some(1, f"p{partition}."))
            assert texts(await waiting[partition]) == [f"p{partition}.0"]
        for tail in tails:
            await tail.close()

    async def test_several_tails_of_one_partition_all_get_everything(self, log: Log) -> None:
        tails = [log.tail(EVENTS, 0, 0) for _ in range(3)]
        waiting = [asyncio.create_task(take(tail, 20)) for tail in tails]
        for number in range(10):
            await log.append(EVENTS, 0, some(2, f"b{number}."))
        wanted = [f"b{number}.{one}" for number in range(10) for one in range(2)]
        for found in waiting:
            assert texts(await found) == wanted
        for tail in tails:
            await tail.close()

    async def test_a_tail_begins_in_the_middle_and_goes_on(self, log: Log) -> None:
        await log.append(EVENTS, 0, some(4))
        tail = log.tail(EVENTS, 0, 2)
        assert [one.offset for one in await take(tail, 2)] == [2, 3]
        await log.append(EVENTS, 0, some(1, "more"))
        assert [(one.offset, one.record.value) for one in await tail.next()] == [(4, b"more0")]
        await tail.close()

    async def test_a_tail_gives_what_was_there_before_what_came_since(self, log: Log) -> None:
        await log.append(EVENTS, 0, some(3, "old"))
        tail = log.tail(EVENTS, 0, 1)
        await log.append(EVENTS, 0, some(2, "new"))
        assert texts(await take(tail, 4)) == ["old1", "old2", "new0", "new1"]
        await tail.close()

    async def test_a_tail_that_lags_far_behind_catches_up_in_order(self, log: Log) -> None:
        tail = log.tail(EVENTS, 0, 0)
        for number in range(12):
            await log.append(EVENTS, 0, [a_record(f"{number:02}" + "x" * 1_000_000)])
        found = [one.record.value[:2] for one in await take(tail, 12)]
        assert found == [f"{number:02}".encode() for number in range(12)]
        await log.append(EVENTS, 0, some(1, "last"))
        assert texts(await tail.next()) == ["last0"]
        await tail.close()

    async def test_a_cancelled_wait_loses_nothing(self, log: Log) -> None:
        tail = log.tail(EVENTS, 0, 0)
        waiting = asyncio.create_task(tail.next())
        await log.append(COMMANDS, 0, some(1))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await log.append(EVENTS, 0, some(2))
        assert texts(await take(tail, 2)) == ["r0", "r1"]
        await tail.close()

    async def test_a_tail_beyond_the_end_is_lost_history(self, log: Log) -> None:
        await log.append(EVENTS, 0, some(2))
        tail = log.tail(EVENTS, 0, 3)
        with pytest.raises(HistoryLost):
            await tail.next()
        await tail.close()

    # Compacted topics

    async def test_the_newest_record_of_every_key_stays_in_a_compacted_topic(self, place: Place, log: Log) -> None:
        keys = [b"run-1", b"run-2", b"run-3"]
        for round_ in range(4):
            await log.append(SNAPSHOTS, 1, [Record(key, b"%d" % round_, (("ce_id", b"x"),), round_) for key in keys])
        await log.append(SNAPSHOTS, 1, [tombstone(b"run-2", 5)])
        await place.stop_all()
        log = await place.open()
        begin, end = await log.bounds(SNAPSHOTS, 1)
        assert end == 13
        found: dict[bytes, Record] = {}
        at = begin
        while stored := await log.read(SNAPSHOTS, 1, at, 2):
            assert [one.offset for one in stored] == sorted({one.offset for one in stored})
            at = stored[-1].offset + 1
            found |= {one.record.key: one.record for one in stored}
        assert {key: (one.value, one.time) for key, one in found.items() if not is_tombstone(one)} == {
            b"run-1": (b"3", 3),
            b"run-3": (b"3", 3),
        }
        assert await log.append(SNAPSHOTS, 1, some(1)) == 13

    async def test_an_empty_value_that_says_where_its_content_is_is_no_tombstone(self, log: Log) -> None:
        await log.append(SNAPSHOTS, 0, [Record(b"run-1", b"", (("ce_dataref", b"sha256:0"),), 1), tombstone(b"run-2", 2)])
        first, second = await read_all(log, SNAPSHOTS)
        assert not is_tombstone(first.record)
        assert is_tombstone(second.record)
        assert second.record == Record(b"run-2", b"", (), 2)

    # Starting again

    async def test_everything_is_there_after_a_restart(self, place: Place, log: Log) -> None:
        await log.append(EVENTS, 1, some(3))
        identities = [await log.identity(COMMANDS), await log.identity(EVENTS)]
        await place.stop_all()
        log = await place.open()
        assert texts(await read_all(log, EVENTS, 1)) == ["r0", "r1", "r2"]
        assert await log.append(EVENTS, 1, some(1)) == 3
        assert [await log.identity(COMMANDS), await log.identity(EVENTS)] == identities
        assert len(set(identities)) == 2

    async def test_topics_made_again_have_another_identity(self, place: Place, log: Log) -> None:
        before = await log.identity(EVENTS)
        await place.stop_all()
        await place.destroy()
        log = await place.open()
        assert await log.identity(EVENTS) != before
        assert await log.bounds(EVENTS, 0) == (0, 0)

    async def test_another_number_of_partitions_is_refused_in_one_sentence(self, place: Place, log: Log) -> None:
        assert log.partitions(EVENTS) == PARTITIONS
        await place.stop_all()
        with pytest.raises(TopicMismatch, match="has 4 partitions, and 6 are configured: set PROZESS_PARTITIONS=4"):
            await place.open(6)
        assert (await place.open()).reachable

    async def test_a_started_log_is_reachable_and_a_stopped_one_is_not(self, log: Log) -> None:
        assert log.reachable
        await log.stop()
        await log.stop()
        assert not log.reachable
