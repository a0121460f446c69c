"""Following a run, live or old, is one path: rows of the journal and their checkpoint, then the log from there, then live.

In come a run and a position; out come its accepted events after that, in order, without gaps and without an end before
the run's. A reader that falls behind the live feed begins the same path again at its own position.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from events.acceptance import ENDS_A_RUN, Acceptance, Accepted, Checkpoint
from events.topics import EVENTS, run_stream
from services.api.answers.problems import BadRequest, Gone, Missing
from services.api.following.history import History
from services.api.following.tail import Cut, Feed, PartitionTail, Tails
from services.api.following.veil import Veil
from services.api.gate.outcome import of_run
from services.kit.blobs import unpack
from services.kit.errors import HistoryLost
from services.kit.world import World

_READ = 1_000


class Follower:
    """One reader of one run. `close` it whatever happens."""

    def __init__(self, world: World, history: History, tail: PartitionTail, partition: int, run: str, after: int, *, veiled: bool) -> None:
        self._world = world
        self._history = history
        self._tail = tail
        self._partition = partition
        self._run = run
        self._stream = run_stream(run)
        self._feed: Feed | None = None
        self._past: AsyncGenerator[Sequence[Accepted]] | None = None
        self._ready: list[Accepted] = []
        self._final: int | None = None
        self._newest = 0
        self._veil = Veil() if veiled else None
        self.position = after
        self.is_the_requests = False
        """Whether the request that reads is the one that made the run go on, so that its failure is the request's."""
        self.left = False
        """Whether whoever reads is gone."""

    @property
    def ended(self) -> bool:
        """Whether the run's last event was read."""
        return self._final is not None and self.position >= self._final

    def begin(self) -> None:
        """Follow a run that is about to be started: nothing of it is in the rows or the log."""
        self.is_the_requests = True
        self._feed = self._tail.subscribe(self._stream)

    async def open(self, *, patience: float) -> None:
        """Follow a run that exists. Raises `Missing`, `BadRequest` for a cursor beyond the end, `Gone` for one before what is kept."""
        if self.position and self._veil is not None:
            self._veil = Veil(await self._history.audit_of(self._run))
        await self._reopen()
        self._ready = await self._from_past()
        if not self._ready and max(self._newest, self._tail.position_of(self._stream)) < max(self.position, 1):
            await self._catch_up(patience)
        newest = max(self._newest, self._tail.position_of(self._stream))
        if not newest:
            raise Missing("there is no such run")
        if self.position > newest:
            raise BadRequest(f"the cursor {self.position} is beyond the end: the newest event has position {newest}")

    async def next(self, patience: float | None = None) -> list[Accepted]:
        """The next events; empty when nothing came for `patience` seconds, or when the run has ended. Raises `Closed`."""
        while not self.ended:
            events = self._ready or await self._from_past()
            self._ready = []
            if not events:
                assert self._feed is not None, "a follower is opened first"
                try:
                    events = self._fresh(await self._feed.take(patience))
                except Cut:
                    await self._reopen()
                    continue
                if not events:
                    if patience is not None:
                        return []
                    continue
            self.position = events[-1].position
            return events
        return []

    async def peek(self) -> Accepted:
        """The next event, which `next` will give as well."""
        events = await self.next()
        self.position = events[0].position - 1
        self._ready = events
        return events[0]

    async def present(self) -> list[Accepted]:
        """Everything there is now, without waiting for more."""
        _, end = await self._world.log.bounds(EVENTS, self._partition)
        await self._tail.until(end)
        found: list[Accepted] = []
        while not self.ended and (events := await self.next(0)):
            found += events
        return found

    def leave(self) -> None:
        """Whoever reads is gone: a waiting `next` returns, and nobody should ask again."""
        self.left = True
        if self._feed is not None:
            self._feed.leave()

    def close(self) -> None:
        """Leave the feed. Safe to call twice."""
        if self._feed is not None:
            self._tail.unsubscribe(self._feed)
            self._feed = None
        self._past = None

    async def _reopen(self) -> None:
        self.close()
        self._feed = self._tail.subscribe(self._stream)
        recent = self._tail.recent(self._stream, self.position)
        self._past = self._once(recent) if recent is not None else self._recorded(self._feed.since)

    async def _catch_up(self, patience: float) -> None:
        """The cursor may come from an instance that is ahead: look again when this one has read all there is now."""
        async with asyncio.timeout(patience):
            _, end = await self._world.log.bounds(EVENTS, self._partition)
            await self._tail.until(end)
        await self._reopen()
        self._ready = await self._from_past()

    async def _from_past(self) -> list[Accepted]:
        while self._past is not None:
            events = await anext(self._past, None)
            if events is None:
                self._past = None
                return []
            if fresh := self._fresh(events):
                return fresh
        return []

    def _fresh(self, events: Sequence[Accepted]) -> list[Accepted]:
        """Those not read yet, checked to follow without a gap."""
        for event in events:
            self._newest = max(self._newest, event.position)
            if event.meta.type in ENDS_A_RUN:
                self._final = event.position
                if self.is_the_requests:
                    of_run(event)
        fresh = [event for event in events if event.position > self.position]
        if fresh and fresh[0].position != self.position + 1:
            raise Gone(f"events {self.position + 1} to {fresh[0].position - 1} of run {self._run} are no longer kept")
        return fresh if self._veil is None else [self._veil.over(event) for event in fresh]

    async def _once(self, events: Sequence[Accepted]) -> AsyncGenerator[Sequence[Accepted]]:
        yield events

    async def _recorded(self, since: int) -> AsyncGenerator[Sequence[Accepted]]:
        """Rows page by page, then the log from the last page's checkpoint up to where the feed begins."""
        while True:
            page = await self._history.page(self._partition, self._run, self.position)
            self._newest = max(self._newest, page.newest)
            if page.ended:
                self._final = page.newest
            if page.events:
                yield page.events
            if not page.more:
                break
        start = page.checkpoint or Checkpoint(await self._world.log.identity(EVENTS), self._partition)
        fold = Acceptance(start)
        while fold.offset < since:
            records = await self._world.log.read(EVENTS, self._partition, fold.offset, _READ)
            if not records:
                raise HistoryLost(f"partition {self._partition} ends before offset {since}, which was read already")
            accepted = [fold.step(await unpack(stored, self._world.blobs)) for stored in records if stored.offset < since]
            found = [event for event in accepted if event is not None and event.meta.stream == self._stream]
            if found:
                yield found


class Followers:
    """Makes followers."""

    def __init__(self, world: World, history: History, tails: Tails) -> None:
        self._world = world
        self._history = history
        self._tails = tails

    async def of(self, run: str, after: int = 0, *, veiled: bool = True) -> Follower:
        """A follower of the run after a position; `begin` or `open` it. `veiled`: what did not pass the content audit is left out."""
        partition = self._tails.partition_of(run_stream(run))
        tail = await self._tails.of(partition)
        return Follower(self._world, self._history, tail, partition, run, after, veiled=veiled)
