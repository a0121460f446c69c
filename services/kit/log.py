"""The log port: what we need of Apache Kafka, and what the embedded log gives as well.

In go batches of records for one partition; out come records in order, from any place, and as they arrive. Everybody
who appends or reads goes through this; `tests/contracts/log_contract.py` says in tests what each word means.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from events.envelope import Record, StoredRecord

MAX_BATCH_BYTES = 16 * 1024 * 1024
"""A batch's limit on both logs; topics are created with it."""


def tombstone(key: bytes, time: int) -> Record:
    """In a compacted topic: nothing is to be kept of this key."""
    return Record(key, b"", (), time)


def is_tombstone(record: Record) -> bool:
    """Whether the record says that nothing is kept of its key."""
    return not record.value and not record.headers


@dataclass(frozen=True, slots=True)
class Assigned:
    """The group gave these partitions to this member, all at once."""

    partitions: frozenset[int]


@dataclass(frozen=True, slots=True)
class Revoked:
    """The group took these partitions away."""

    partitions: frozenset[int]


class Appender(Protocol):
    """One idempotent producer for one partition. One `append` at a time, in order."""

    async def append(self, records: Sequence[Record]) -> int:
        """Write all or nothing, durable when it returns; the offset of the first record (the others follow without gaps).

        Raises `TooLarge` (nothing written, still open) or `AppendFailed` (unknown; from then on every call raises it).
        """
        ...

    async def close(self) -> None:
        """Give up the producer. Safe to call twice."""
        ...


class Tail(Protocol):
    """Reads one partition from a place on, for ever."""

    async def next(self) -> Sequence[StoredRecord]:
        """The next records, in order, at least one; waits for them without polling. Raises `HistoryLost`.

        While the log is unreachable it waits too.
        """
        ...

    async def close(self) -> None:
        """Stop reading. A waiting `next` raises `asyncio.CancelledError` only if its task was cancelled; close after it."""
        ...


class Member(Protocol):
    """A place in a consumer group of one topic: every partition has one member at a time."""

    def changes(self) -> AsyncIterator[Assigned | Revoked]:
        """What was given and taken, in order."""
        ...

    async def confirm(self, partition: int) -> None:
        """Ask the group whether this member still holds the partition in its newest generation. Raises `NotMember`."""
        ...

    async def commit(self, partition: int, offset: int) -> None:
        """Leave the low-water mark: everything below `offset` is done. Only a hint. Raises `NotMember`."""
        ...

    async def committed(self, partition: int) -> int | None:
        """The group's newest low-water mark, None where there is none."""
        ...

    async def leave(self) -> None:
        """Hand over at once. Safe to call twice."""
        ...


class Log(Protocol):
    """Topics of ordered partitions."""

    async def start(self) -> None:
        """Connect, create missing topics, check all. Raises `Refused` with one sentence."""
        ...

    async def stop(self) -> None:
        """Let go of everything."""
        ...

    @property
    def reachable(self) -> bool:
        """Whether the last thing that was tried worked, and every partition takes what is appended."""
        ...

    @property
    def trouble(self) -> str:
        """What is in the way while it is not `reachable`, in a few words; else empty."""
        ...

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""
        ...

    async def identity(self, topic: str) -> str:
        """An id that another topic of the same name (deleted and made again, another cluster) does not have."""
        ...

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset there is, and the one that the next record will get."""
        ...

    async def read(self, topic: str, partition: int, start: int, limit: int = 1000) -> Sequence[StoredRecord]:
        """Up to about `limit` records from `start` on; empty at the end. Raises `HistoryLost` outside the bounds, `Unreachable`.

        Of a compacted topic, records that a newer one of the same key follows may be left out, and keys whose newest is a tombstone.
        """
        ...

    def tail(self, topic: str, partition: int, start: int) -> Tail:
        """Follow a partition from `start` on."""
        ...

    async def append(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        """Append through a shared producer; independent of other calls. The first offset. Raises `AppendFailed`, `TooLarge`."""
        ...

    async def appender(self, topic: str, partition: int) -> Appender:
        """A producer of one's own. Raises `Unreachable`."""
        ...

    async def offset_at(self, topic: str, partition: int, time: int) -> int:
        """The first offset whose record's time is `time` (ms) or later; the end where there is none."""
        ...

    async def join(self, group: str, topic: str) -> Member:
        """Become a member of a group."""
        ...
