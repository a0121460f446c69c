"""The live tail: each events partition is read once in this process, from where the rows stand, for all who watch.

In come records as the log gives them; out go accepted events to those who follow a stream, and the first event of a
command to whoever waits for its answer. Every queue has a limit: who reads too slowly is cut off here and goes on from
the rows and the log (`services.api.following.follow`), so nobody is disturbed and nothing is lost.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Generator

from events.acceptance import ENDS_A_RUN, Acceptance, Accepted, Checkpoint, misfit
from events.envelope import StoredRecord
from events.question import QuestionAnswered, QuestionAsked, QuestionExpired
from events.topics import EVENTS, partition_of, run_stream, slot_of
from services.api.following.history import History
from services.kit.blobs import unpack
from services.kit.errors import HistoryLost, NotReady
from services.kit.telling import logs
from services.kit.world import World

FEED_EVENTS = 2_000
FEED_BYTES = 4 * 1024 * 1024
RECENT_EVENTS = 4_000
RECENT_BYTES = 32 * 1024 * 1024
_OVERHEAD = 400
_STOPPING = "the service is stopping; try again"


class Cut(Exception):
    """The reader was too slow for the feed: go on from rows and log."""


class Closed(NotReady):
    """The service is stopping; streams can be picked up from another instance, or later."""


class Feed:
    """What one follower of a stream has not read yet. Complete from offset `since` on."""

    def __init__(self, stream: str, since: int) -> None:
        self.stream = stream
        self.since = since
        self._events: deque[Accepted] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._cut = False
        self._closed = False
        self._left = False

    def offer(self, event: Accepted, size: int) -> None:
        """Put an event in, or cut the reader off."""
        if len(self._events) >= FEED_EVENTS or self._bytes + size > FEED_BYTES:
            self._cut = True
            self._events.clear()
        elif not self._cut:
            self._events.append(event)
            self._bytes += size
        self._wake.set()

    def leave(self) -> None:
        """Whoever reads is gone: `take` waits no more."""
        self._left = True
        self._wake.set()

    def close(self) -> None:
        """Nothing more will come."""
        self._closed = True
        self._wake.set()

    async def take(self, patience: float | None) -> list[Accepted]:
        """All that is there, at least one; empty when nothing came for `patience` seconds or nobody reads. Raises `Cut` and `Closed`."""
        while not self._events:
            if self._left:
                return []
            if self._cut:
                raise Cut
            if self._closed:
                raise Closed("the service is stopping; pick the stream up again with its last position")
            self._wake.clear()
            try:
                async with asyncio.timeout(patience):
                    await self._wake.wait()
            except TimeoutError:
                return []
        events = list(self._events)
        self._events.clear()
        self._bytes = 0
        return events


class PartitionTail:
    """One partition as it is now. Its own fold, some recent events, and those who watch."""

    def __init__(self, world: World, start: Checkpoint) -> None:
        self._world = world
        self._fold = Acceptance(start)
        self._partition = start.partition
        self._recent: deque[tuple[Accepted, int]] = deque()
        self._recent_bytes = 0
        self._feeds: dict[str, list[Feed]] = {}
        self._answers: dict[str, asyncio.Future[Accepted]] = {}
        self._reached: list[tuple[int, asyncio.Future[None]]] = []
        self._asking: set[str] = set()
        self._closed = False

    @property
    def offset(self) -> int:
        """The next offset to fold."""
        return self._fold.offset

    def position_of(self, stream: str) -> int:
        """The newest position of a stream that may go on, 0 where it is not known (or over)."""
        return self._fold.positions.get(stream, 0)

    def works(self, stream: str) -> bool:
        """Whether a run may still be at work: neither over nor waiting for a person."""
        return stream in self._fold.positions and stream not in self._asking

    def recent(self, stream: str, after: int) -> list[Accepted] | None:
        """The stream's events after a position, if memory holds them all; None if it does not."""
        found = [event for event, _ in self._recent if event.meta.stream == stream]
        if not found:
            return [] if after and self.position_of(stream) == after else None
        if found[0].position > after + 1:
            return None
        return [event for event in found if event.position > after] or (found[-1:] if found[-1].meta.type in ENDS_A_RUN else [])

    @contextlib.contextmanager
    def answer(self, command: str) -> Generator[asyncio.Future[Accepted]]:
        """The first accepted event of a command that is about to be appended. Raises `Closed`."""
        self._check_open()
        future = asyncio.get_running_loop().create_future()
        self._answers[command] = future
        try:
            yield future
        finally:
            del self._answers[command]
            future.cancel()

    def subscribe(self, stream: str) -> Feed:
        """A feed of the stream from now on; give it back with `unsubscribe`. Raises `Closed`."""
        self._check_open()
        feed = Feed(stream, self.offset)
        self._feeds.setdefault(stream, []).append(feed)
        return feed

    def unsubscribe(self, feed: Feed) -> None:
        """Stop feeding. Safe to call twice."""
        feeds = self._feeds.get(feed.stream, [])
        if feed in feeds:
            feeds.remove(feed)
        if not feeds:
            self._feeds.pop(feed.stream, None)

    def watched(self, stream: str) -> int:
        """How many follow the stream now."""
        return len(self._feeds.get(stream, ()))

    async def until(self, offset: int) -> None:
        """Wait until everything below `offset` is folded. Raises `Closed`."""
        if self.offset >= offset:
            return
        self._check_open()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reached.append((offset, future))
        await future

    async def run(self) -> None:
        """Read for ever. Raises what makes the record at `offset` unreadable."""
        tail = self._world.log.tail(EVENTS, self._partition, self.offset)
        try:
            while True:
                for stored in await tail.next():
                    self._take(await unpack(stored, self._world.blobs))
                self._tell_reached()
        finally:
            await tail.close()

    def close(self) -> None:
        """Wake everybody who waits: nothing more will come."""
        self._closed = True
        for feeds in self._feeds.values():
            for feed in feeds:
                feed.close()
        for future in (*self._answers.values(), *(future for _, future in self._reached)):
            if not future.done():
                future.set_exception(Closed(_STOPPING))
                future.exception()

    def _check_open(self) -> None:
        if self._closed:
            raise Closed(_STOPPING)

    def _take(self, stored: StoredRecord) -> None:
        event = self._fold.step(stored)
        if event is None:
            return
        if event.meta.type == QuestionAsked.type:
            self._asking.add(event.meta.stream)
        elif self._asking and (event.meta.type in _ANSWERS or event.meta.type in ENDS_A_RUN):
            self._asking.discard(event.meta.stream)
        size = len(stored.record.value) + _OVERHEAD
        self._remember(event, size)
        for feed in self._feeds.get(event.meta.stream, ()):
            feed.offer(event, size)
        waiting = self._answers.get(event.meta.command)
        if waiting is not None and not waiting.done():
            waiting.set_result(event)

    def _remember(self, event: Accepted, size: int) -> None:
        self._recent.append((event, size))
        self._recent_bytes += size
        while len(self._recent) > RECENT_EVENTS or self._recent_bytes > RECENT_BYTES:
            _, gone = self._recent.popleft()
            self._recent_bytes -= gone

    def _tell_reached(self) -> None:
        waiting = self._reached
        self._reached = []
        for offset, future in waiting:
            if future.done():
                continue
            if self.offset >= offset:
                future.set_result(None)
            else:
                self._reached.append((offset, future))


_ANSWERS = frozenset({QuestionAnswered.type, QuestionExpired.type})


class Tails:
    """The partitions that this process reads: each from the first time it is needed."""

    def __init__(self, world: World, history: History) -> None:
        self._world = world
        self._history = history
        self._tails: dict[int, PartitionTail] = {}
        self._locks: dict[int, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.failed = asyncio.Event()
        self.reason = ""
        """Why `failed` is set: one sentence."""

    def works(self, run: str) -> bool:
        """Whether a run that this process started may still be at work."""
        stream = run_stream(run)
        tail = self._tails.get(self.partition_of(stream))
        return tail is not None and tail.works(stream)

    def partition(self, slot: int) -> int:
        """Where a slot's streams live."""
        return partition_of(slot, self._world.log.partitions(EVENTS))

    def partition_of(self, stream: str) -> int:
        """Where a stream with an id in its name lives."""
        return self.partition(slot_of(stream))

    async def of(self, partition: int) -> PartitionTail:
        """The tail of a partition, begun if it was not. Raises `Closed` and what reading rows raises."""
        if self._closed:
            raise Closed(_STOPPING)
        known = self._tails.get(partition)
        if known is not None:
            return known
        async with self._locks.setdefault(partition, asyncio.Lock()):
            if partition not in self._tails:
                start = await self._start(partition)
                tail = PartitionTail(self._world, start)
                task = asyncio.create_task(self._watch(partition, tail), name=f"tail of partition {partition}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                self._tails[partition] = tail
            return self._tails[partition]

    async def close(self) -> None:
        """Stop reading and wake all who wait."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for tail in self._tails.values():
            tail.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _start(self, partition: int) -> Checkpoint:
        log = self._world.log
        topic = await log.identity(EVENTS)
        start = await self._history.checkpoint(partition)
        if start is None:
            return Checkpoint(topic, partition)
        before = await log.read(EVENTS, partition, start.offset - 1, 1) if start.offset and start.topic == topic else ()
        if wrong := misfit(start, topic, before[0] if before else None):
            raise HistoryLost(f"the log and the checkpoint of the rows disagree about partition {partition}: {wrong}")
        return start

    async def _watch(self, partition: int, tail: PartitionTail) -> None:
        try:
            await tail.run()
        except Exception as wrong:  # noqa: BLE001 (whatever it is, the program must say it and stop)
            logs.logger(__name__).error("tail stopped", partition=partition, offset=tail.offset, reason=str(wrong))
            self.reason = f"partition {partition} cannot be read on from offset {tail.offset}: {wrong}"
            self.failed.set()
            del self._tails[partition]
            tail.close()
