"""Two topics of one partition in memory, and what is on its way to them.

A batch that is sent stays in flight until the schedule lets it land, fail, fail and be there, or come late. The log may
be moved to another cluster, and a broker may lose its tail.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from events.envelope import Record, StoredRecord, meta_of
from services.kit.errors import HistoryLost

Fate = Literal["flying", "landed", "failed"]


@dataclass
class Sending:
    """One batch of one producer into the events."""

    producer: str
    records: list[Record]
    fate: Fate = "flying"
    first: int = -1


@dataclass
class Topic:
    """Records from offset `base` on. `batches` are the offsets at which they were cut, with the producer."""

    identity: str
    base: int = 0
    stored: list[StoredRecord] = field(default_factory=list)
    batches: list[tuple[int, str]] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.base + len(self.stored)

    def append(self, records: Sequence[Record], producer: str = "") -> int:
        first = self.end
        self.batches.append((first, producer))
        self.stored += [StoredRecord(first + place, record) for place, record in enumerate(records)]
        return first

    def at(self, offset: int) -> StoredRecord | None:
        return self.stored[offset - self.base] if self.base <= offset < self.end else None

    def read(self, start: int, limit: int = 1_000) -> list[StoredRecord]:
        """As the port says. Raises `HistoryLost` outside of the bounds."""
        if not self.base <= start <= self.end:
            raise HistoryLost(f"offset {start} was asked for, and the log goes from {self.base} to {self.end}")
        place = start - self.base
        return self.stored[place : place + limit]

    def moved(self, identity: str, drop: int, base: int) -> "Topic":
        """The same records without the first few, on another cluster, where the first has another offset."""
        found = Topic(identity, base)
        found.append([one.record for one in self.stored[drop:]])
        return found

    def cut(self, batches: int) -> set[str]:
        """Lose the newest batches; whose they were."""
        lost = self.batches[-batches:]
        del self.batches[-batches:]
        del self.stored[lost[0][0] - self.base :]
        return {producer for _, producer in lost}

    def ids(self) -> list[str]:
        return [meta_of(one.record).id for one in self.stored]
