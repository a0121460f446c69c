"""Somebody who reads the events: a projector, an api instance. It may stop anywhere, and another one goes on from its checkpoint."""

from typing import Protocol

from events import topics
from events.acceptance import Accepted, Checkpoint, misfit
from services.kit.errors import HistoryLost
from tests.support.simulation.fold import PlayedFold
from tests.support.simulation.log import Topic
from tests.support.simulation.rules import Rules


class Around(Protocol):
    """What a reader sees of the world."""

    rules: Rules
    events: Topic

    def identity(self, topic: str) -> str: ...


class Follower:
    """`seen` is the history it derived, `noticed` how often its place was gone; `away` says that it lost its connection."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self.away = False
        self.noticed = 0
        self.anew()

    def anew(self) -> None:
        self.fold = PlayedFold(Checkpoint(self._around.identity(topics.EVENTS), 0), self._around.rules)
        self.seen: list[Accepted] = []

    def read(self, limit: int) -> None:
        """Some more records. Who lost its connection compares its place first; who hears that it is gone begins anew."""
        if self.away:
            self.go_on()
        try:
            found = self._around.events.read(self.fold.offset, limit)
        except HistoryLost:
            self.noticed += 1
            self.anew()
            return
        for stored in found:
            event = self.fold.step(stored)
            if event is not None:
                self.seen.append(event)

    def go_on(self) -> None:
        """From its checkpoint, as another process would; from the beginning where that does not belong to this log."""
        self.away = False
        start = self.fold.checkpoint()
        before = self._around.events.at(start.offset - 1) if start.offset else None
        if self._around.rules.place and misfit(start, self._around.identity(topics.EVENTS), before):
            self.noticed += 1
            self.anew()
        else:
            self.fold = PlayedFold(start, self._around.rules)
