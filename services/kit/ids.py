"""New ids: runs and flows get numbers that carry their slot, everything else random text."""

import os
import secrets
import socket
import uuid

from events.topics import mint
from services.kit.clock import Clock


def new_id() -> str:
    """A random id (UUID, without dashes) for commands and claims."""
    return uuid.uuid4().hex  # noqa: TID251 (the one place where ids are made)


def instance() -> str:
    """This process among all: machine and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Minter:
    """Mints numeric ids; never the same twice from one minter, and unlikely from two (the sequence starts at random)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sequence = secrets.randbelow(1024)
        self._last: dict[tuple[int, int], int] = {}
        self._time = 0

    def mint(self, slot: int) -> str:
        """A new id in this slot. When a slot's 1,024 ids of one millisecond are used up, the next milliseconds are borrowed."""
        now = self._clock.now()
        if now > self._time:
            self._time = now
            self._last.clear()
        time = self._time
        while self._last.get((time, slot), 0) >= 1024:
            time += 1
        self._last[time, slot] = self._last.get((time, slot), 0) + 1
        self._sequence = (self._sequence + 1) % 1024
        return mint(time, slot, self._sequence)
