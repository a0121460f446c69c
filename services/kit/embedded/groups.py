"""Consumer groups inside one process, for the embedded log: Kafka's words and order, without a coordinator.

Members join and leave; after every change each member is told that all it held was taken, and then what it holds now:
an even share, the same for the same members. Heartbeats and sessions are left out on purpose: a member whose task has
died lives in the same process, and whoever ran it calls `leave`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from services.kit.errors import NotMember
from services.kit.log import Assigned, Revoked

T = TypeVar("T")
Store = Callable[[int, int], Awaitable[None]]
"""Keeps (partition, offset) of one group durably."""


class Group:
    """The members of one group, and the marks that they left."""

    def __init__(self, name: str, partitions: int, marks: dict[int, int], store: Store) -> None:
        self.name = name
        self.marks = marks
        self.store = store
        self._partitions = partitions
        self._members: list[LocalMember] = []

    def join(self) -> "LocalMember":
        """A new member; everybody's share changes."""
        member = LocalMember(self)
        self._members.append(member)
        self._share()
        return member

    def leave(self, member: "LocalMember") -> None:
        """Its partitions go to the others at once."""
        if member in self._members:
            self._members.remove(member)
            self._share()

    def _share(self) -> None:
        count = len(self._members)
        for place, member in enumerate(self._members):
            member.give(frozenset(range(place, self._partitions, count)))


CHANGES = 100
"""Words of the group that a member may not have heard yet."""


class Changes(asyncio.Queue[T]):
    """What a member has not heard of. Of too many the older ones give way: each word says all that holds from then on."""

    def __init__(self) -> None:
        super().__init__(CHANGES)

    def tell(self, change: T) -> None:
        """One more."""
        while self.full():
            self.get_nowait()
        self.put_nowait(change)


class LocalMember:
    """See `services.kit.log.Member`."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._held: frozenset[int] | None = None
        self._changes = Changes[Assigned | Revoked | None]()

    def give(self, partitions: frozenset[int]) -> None:
        """Take back what it held and give it this."""
        if self._held is not None:
            self._changes.tell(Revoked(self._held))
        self._held = partitions
        self._changes.tell(Assigned(partitions))

    async def changes(self) -> AsyncIterator[Assigned | Revoked]:
        """See `Member.changes`. Ends when the member leaves."""
        while (change := await self._changes.get()) is not None:
            yield change
        self._changes.tell(None)

    async def confirm(self, partition: int) -> None:
        """See `Member.confirm`."""
        if self._held is None or partition not in self._held:
            raise NotMember(f"partition {partition} is not this member's in group {self._group.name}")

    async def commit(self, partition: int, offset: int) -> None:
        """See `Member.commit`."""
        await self.confirm(partition)
        self._group.marks[partition] = offset
        await self._group.store(partition, offset)

    async def committed(self, partition: int) -> int | None:
        """See `Member.committed`."""
        return self._group.marks.get(partition)

    async def leave(self) -> None:
        """See `Member.leave`."""
        self._held = None
        while not self._changes.empty():
            self._changes.get_nowait()
        self._changes.tell(None)
        self._group.leave(self)
