"""What every log's consumer groups promise, in tests: shares, changes, confirmations and marks."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from events.topics import COMMANDS, EVENTS
from services.kit.errors import NotMember
from services.kit.log import Assigned, Log, Revoked
from tests.contracts.log_place import PARTITIONS, Place


async def wait_for_share(changes: AsyncIterator[Assigned | Revoked], count: int) -> frozenset[int]:
    """Until the member holds this many partitions."""
    async for change in changes:
        if isinstance(change, Assigned) and len(change.partitions) == count:
            return change.partitions
    raise AssertionError("the member left")


class GroupContract:
    """A subclass gives `log`."""

    async def test_one_member_is_given_everything(self, log: Log) -> None:
        member = await log.join("group", COMMANDS)
        assert await anext(member.changes()) == Assigned(frozenset(range(PARTITIONS)))
        await member.confirm(3)

    async def test_two_members_share_evenly_and_are_told(self, log: Log) -> None:
        first = await log.join("group", COMMANDS)
        changes = first.changes()
        await wait_for_share(changes, PARTITIONS)
        second = await log.join("group", COMMANDS)
        theirs = await wait_for_share(second.changes(), PARTITIONS // 2)
        assert await anext(changes) == Revoked(frozenset(range(PARTITIONS)))
        ours = await wait_for_share(changes, PARTITIONS // 2)
        assert ours | theirs == frozenset(range(PARTITIONS))

    async def test_who_lost_a_partition_cannot_confirm_or_commit_it(self, log: Log) -> None:
        first = await log.join("group", COMMANDS)
        changes = first.changes()
        await wait_for_share(changes, PARTITIONS)
        second = await log.join("group", COMMANDS)
        theirs = await wait_for_share(second.changes(), PARTITIONS // 2)
        ours = await wait_for_share(changes, PARTITIONS // 2)
        for partition in theirs:
            with pytest.raises(NotMember):
                await first.confirm(partition)
            with pytest.raises(NotMember):
                await first.commit(partition, 1)
            await second.confirm(partition)
        for partition in ours:
            await first.confirm(partition)
            with pytest.raises(NotMember):
                await second.confirm(partition)

    async def test_what_a_leaving_member_held_goes_to_the_others_at_once(self, log: Log) -> None:
        first, second = await log.join("group", COMMANDS), await log.join("group", COMMANDS)
        changes, theirs = first.changes(), second.changes()
        await asyncio.gather(wait_for_share(changes, 2), wait_for_share(theirs, 2))
        await second.leave()
        await second.leave()
        async with asyncio.timeout(3):
            assert await wait_for_share(changes, PARTITIONS) == frozenset(range(PARTITIONS))
        assert [change async for change in theirs] == []
        with pytest.raises(NotMember):
            await second.confirm(0)

    async def test_marks_are_found_by_the_next_member_and_after_a_restart(self, place: Place, log: Log) -> None:
        first = await log.join("group", COMMANDS)
        await wait_for_share(first.changes(), PARTITIONS)
        assert await first.committed(1) is None
        await first.commit(1, 7)
        await first.confirm(1)
        assert await first.committed(1) == 7
        await first.leave()
        second = await log.join("group", COMMANDS)
        await wait_for_share(second.changes(), PARTITIONS)
        assert await second.committed(1) == 7
        await second.commit(1, 9)
        await place.stop_all()
        third = await (await place.open()).join("group", COMMANDS)
        await wait_for_share(third.changes(), PARTITIONS)
        assert await third.committed(1) == 9

    async def test_groups_and_topics_do_not_know_each_other(self, log: Log) -> None:
        members = [await log.join(*which) for which in (("a", COMMANDS), ("b", COMMANDS), ("c", EVENTS))]
        for member in members:
            assert await wait_for_share(member.changes(), PARTITIONS) == frozenset(range(PARTITIONS))
        await members[0].commit(0, 5)
        assert [await member.committed(0) for member in members] == [5, None, None]
