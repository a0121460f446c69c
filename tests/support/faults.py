"""What goes wrong, and when: a log whose steps crash, fail, stall, repeat or lose at the n-th time they are reached.

Steps of an owner, in their order: `fold` (the events were read to the end), `claim` and `decide` (just before a batch is
written; the first batch is the claim), `append` (written, not yet acknowledged), `acknowledge` (acknowledged, and nothing
further), `read back` (records of ours, or of others, came back). Everything else passes through to the real log.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from events import topics
from events.envelope import Record, StoredRecord
from services.kit.errors import AppendFailed
from services.kit.log import Appender, Log, Member, Tail

STEPS = ("fold", "confirm", "claim", "decide", "append", "acknowledge", "read back")


class Crash(Exception):
    """The process is gone: whatever it touches from now on does not answer."""


class Faults:
    """The plan of one process. `reached` counts the steps, `acknowledged` the batches that its owners know of."""

    def __init__(self) -> None:
        self.reached: Counter[str] = Counter()
        self.acknowledged = 0
        self.dead = False
        self.late: list[Callable[[], Awaitable[object]]] = []
        self.beat = asyncio.Event()
        self._plan: dict[tuple[str, int], str] = {}
        self._open = asyncio.Event()
        self._open.set()
        self.held = asyncio.Event()

    def at(self, step: str, fault: str = "crash", nth: int = 1) -> "Faults":
        """Plan a fault: crash, fail, fail_but_there, fail_and_late, repeat, lose (the last five concern `decide` and `claim` only)."""
        self._plan[step, nth] = fault
        return self

    def stall(self) -> None:
        """From now on no batch is acknowledged, or even written."""
        self._open.clear()

    def go_on(self) -> None:
        """The log takes batches again."""
        self._open.set()

    def die(self) -> None:
        """The process is gone, here and now."""
        self.dead = True

    def alive(self) -> None:
        """Raises `Crash` in a dead process."""
        if self.dead:
            raise Crash("the process is gone")

    def reach(self, step: str) -> str:
        """The fault that is planned for this time, or nothing. Raises `Crash`."""
        self.alive()
        self.reached[step] += 1
        fault = self._plan.get((step, self.reached[step]), "")
        if fault == "crash":
            self.dead = True
            if step != "acknowledge":
                raise Crash(f"the process is gone at step {step}")
        return fault

    async def gate(self) -> None:
        """Wait while the log is stalled. `held` says that a batch does."""
        if not self._open.is_set():
            self.held.set()
        await self._open.wait()

    async def next_acknowledged(self, than: int) -> None:
        """Wait until more batches are acknowledged than these."""
        while self.acknowledged <= than:
            self.beat.clear()
            await self.beat.wait()


class FaultyLog:
    """A log as one process sees it."""

    def __init__(self, log: Log, faults: Faults) -> None:
        self.real = log
        self.faults = faults

    def __getattr__(self, name: str) -> Any:
        self.faults.alive()
        return getattr(self.real, name)

    async def read(self, topic: str, partition: int, start: int, limit: int = 1000) -> Sequence[StoredRecord]:
        self.faults.alive()
        found = await self.real.read(topic, partition, start, limit)
        if not found and topic == topics.EVENTS:
            self.faults.reach("fold")
        return found

    def tail(self, topic: str, partition: int, start: int) -> Tail:
        self.faults.alive()
        return _Tail(self.real.tail(topic, partition, start), self.faults, topic)

    async def appender(self, topic: str, partition: int) -> Appender:
        self.faults.alive()
        return FaultyAppender(await self.real.appender(topic, partition), self.faults, self.real, (topic, partition))

    async def join(self, group: str, topic: str) -> Member:
        self.faults.alive()
        return await self.real.join(group, topic)


class FaultyAppender:
    """The producer of one ownership."""

    def __init__(self, appender: Appender, faults: Faults, log: Log, place: tuple[str, int]) -> None:
        self._appender = appender
        self._faults = faults
        self._log = log
        self._place = place
        self._batches = 0
        self._closed = False

    async def append(self, records: Sequence[Record]) -> int:
        if self._closed:
            raise AppendFailed("closed")
        await self._faults.gate()
        self._batches += 1
        fault = self._faults.reach("claim" if self._batches == 1 else "decide")
        try:
            first = await self._write(records, fault)
        except AppendFailed:
            self._closed = True
            raise
        self._faults.reach("append")
        self._faults.acknowledged += 1
        self._faults.beat.set()
        self._faults.reach("acknowledge")
        return first

    async def close(self) -> None:
        self._closed = True
        await self._appender.close()

    async def _write(self, records: Sequence[Record], fault: str) -> int:
        if fault == "fail":
            raise AppendFailed("the log said no")
        if fault == "fail_and_late":
            self._faults.late.append(lambda: self._log.append(*self._place, records))
            raise AppendFailed("nobody knows, and it comes later")
        if fault == "lose":
            _, end = await self._log.bounds(*self._place)
            return end
        first = await self._appender.append(records)
        if fault == "repeat":
            await self._log.append(*self._place, records)
        if fault == "fail_but_there":
            raise AppendFailed("nobody knows, and it is there")
        return first


class _Tail:
    def __init__(self, tail: Tail, faults: Faults, topic: str) -> None:
        self._tail = tail
        self._faults = faults
        self._topic = topic

    async def next(self) -> Sequence[StoredRecord]:
        found = await self._tail.next()
        self._faults.alive()
        if self._topic == topics.EVENTS:
            self._faults.reach("read back")
        return found

    async def close(self) -> None:
        await self._tail.close()
