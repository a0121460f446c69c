"""Commands that a host hands over, held against the log: the host's stream is quick, and only the log is right.

In come records as the host's stream brings them, with its way to acknowledge; out go commands in log order, each once.
What came before is read from the log, and so is what the stream left out; what it brings twice is dropped; after a while
of silence the log is asked as well: so neither a host's rebalance nor its memory decides which command comes next.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from events import topics
from events.envelope import StoredRecord
from services.kit.errors import Unreachable
from services.kit.log import Log
from services.processor.pipeline import Acknowledged

WAITING_LIMIT = 1_000
"""Records of one partition that may wait here; beyond that they are read from the log when their turn comes."""
SILENCE_S = 5.0
"""After so many seconds without a record the log is asked."""
ALONE_S = 0.1
"""The same while the host's stream rests: through a rebalance, and until it has begun."""
_BEGINNING_S = 10.0
_READ = 500


class HandedCommands:
    """See `services.processor.commands.Commands`. `begin(offset)` tells the host where its stream has to start."""

    def __init__(self, log: Log, partition: int, begin: Callable[[int], Awaitable[None]]) -> None:
        self._log = log
        self._partition = partition
        self._begin = begin
        self._begun = False
        self._doubtful = True
        self._place = 0
        self._known = 0
        self._arrived: deque[StoredRecord] = deque()
        self._owed: dict[int, Acknowledged] = {}
        self._news = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._alone_until = self._clock() + _BEGINNING_S

    def rest(self) -> None:
        """The host's stream brings nothing until it is assigned again: the log is asked instead, often."""
        self._alone_until = math.inf
        self._news.set()

    def begin_again(self) -> None:
        """The host's stream is on its way."""
        self._alone_until = self._clock() + _BEGINNING_S

    def offer(self, stored: StoredRecord, ack: Acknowledged) -> None:
        """A record of the host's stream. Never waits, so that no partition holds up another."""
        self._known = max(self._known, stored.offset + 1)
        if self._alone_until < math.inf:
            self._alone_until = 0.0
        if stored.offset < self._place or len(self._arrived) >= WAITING_LIMIT:
            ack()
            return
        if not self._arrived or self._arrived[-1].offset < stored.offset:
            self._arrived.append(stored)
        self._owed[stored.offset] = ack
        self._news.set()

    async def seek(self, offset: int) -> None:
        """See `Commands.seek`. Everything below is done, and acknowledged to the host."""
        self._place = offset
        self._doubtful = True
        for done in sorted(place for place in self._owed if place < offset):
            self._acknowledge(done)
        if not self._begun:
            self._begun = True
            await self._begin(offset)

    async def next(self) -> Sequence[tuple[StoredRecord, Acknowledged | None]]:
        """See `Commands.next`."""
        while True:
            found = self._take()
            if not found and (self._doubtful or self._arrived or self._place < self._known or await self._silence()):
                found = await self._read()
            if found:
                self._place = found[-1].offset + 1
                return [(stored, partial(self._acknowledge, stored.offset)) for stored in found]

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _read(self) -> list[StoredRecord]:
        """What the log has next. While it does not answer nothing is known, and it is asked again, as a tail does."""
        try:
            found = list(await self._log.read(topics.COMMANDS, self._partition, self._place, _READ))
        except Unreachable:
            self._doubtful = True
            await asyncio.sleep(ALONE_S)
            return []
        self._doubtful = len(found) == _READ
        return found

    def _take(self) -> list[StoredRecord]:
        while self._arrived and self._arrived[0].offset < self._place:
            self._arrived.popleft()
        found: list[StoredRecord] = []
        while self._arrived and self._arrived[0].offset == self._place + len(found):
            found.append(self._arrived.popleft())
        return found

    async def _silence(self) -> bool:
        """Whether nothing was handed over for a while."""
        self._news.clear()
        try:
            async with asyncio.timeout(ALONE_S if self._clock() < self._alone_until else SILENCE_S):
                await self._news.wait()
        except TimeoutError:
            return True
        return False

    def _acknowledge(self, offset: int) -> None:
        ack = self._owed.pop(offset, None)
        if ack is not None:
            ack()
