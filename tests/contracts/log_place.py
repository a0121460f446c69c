"""Where a log's topics live in the contract tests, and the records that these tests write and read."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from events.envelope import Record, StoredRecord
from events.topics import EVENTS
from services.kit.log import Log, Tail

PARTITIONS = 4


class Place(ABC):
    """Where the topics live, whichever log is open on them."""

    def __init__(self) -> None:
        self._open: list[Log] = []

    @abstractmethod
    def make(self, partitions: int) -> Log:
        """A log on this place, not started."""

    @abstractmethod
    async def trim(self, log: Log, topic: str, partition: int, before: int) -> Log:
        """Lose the records below an offset; the log to go on with."""

    @abstractmethod
    async def destroy(self) -> None:
        """Lose the topics. All logs are stopped."""

    async def open(self, partitions: int = PARTITIONS) -> Log:
        log = self.make(partitions)
        await log.start()
        self._open.append(log)
        return log

    async def stop_all(self) -> None:
        while self._open:
            await self._open.pop().stop()


def a_record(text: str = "", *, time: int = 0, key: str = "run-1") -> Record:
    return Record(key.encode(), text.encode(), (("ce_id", text[:20].encode()),), time)


def some(count: int, of: str = "r") -> list[Record]:
    return [a_record(f"{of}{number}") for number in range(count)]


def texts(stored: Sequence[StoredRecord]) -> list[str]:
    return [one.record.value.decode() for one in stored]


async def read_all(log: Log, topic: str = EVENTS, partition: int = 0, start: int = 0) -> list[StoredRecord]:
    found: list[StoredRecord] = []
    while batch := await log.read(topic, partition, start + len(found)):
        found.extend(batch)
    return found


async def take(tail: Tail, count: int) -> list[StoredRecord]:
    found: list[StoredRecord] = []
    while len(found) < count:
        found.extend(await tail.next())
    return found
