"""Killing, and starting again as a supervisor would, with an eye on memory.

In come a fleet and a broker; every so many seconds one of them, drawn by a seed, gets a SIGKILL and is started again at once.
Who has ended without being killed is started again as well, and counted.
"""

import asyncio
import random
import signal
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from statistics import median

from infra.bench.fleet import Fleet
from infra.kafka.broker import CannotStart, LocalBroker

BROKER = "broker"
_LOOK_S = 1.0
_WEIGH_S = 5.0
_AROUND_S = 30.0


@dataclass
class Chaos:
    """What was done, and what was seen meanwhile."""

    fleet: Fleet
    broker: LocalBroker | None
    every_s: float
    seed: int
    killed: Counter[str] = field(default_factory=Counter[str])
    broken: list[float] = field(default_factory=list[float])
    """When the broker was killed, on the monotonic clock."""
    ended: Counter[str] = field(default_factory=Counter[str])
    last_words: list[str] = field(default_factory=list[str])
    """Of those who ended by themselves."""
    weights: defaultdict[str, list[tuple[float, int, float]]] = field(default_factory=lambda: defaultdict(list))
    """By program: seconds since the beginning, process id, megabytes."""

    async def rage(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        draw = random.Random(self.seed)
        began = time.monotonic()
        due, weigh = began + self.every_s, began
        while not stop.is_set():
            now = time.monotonic()
            if now >= due:
                await self._kill(draw.choice([*self.fleet.names, *([BROKER] if self.broker else [])]))
                due = time.monotonic() + self.every_s
            if now >= weigh:
                weigh += _WEIGH_S
                self._weigh(now - began)
            for name in self.fleet.names:
                if not self.fleet.runs(name):
                    self.ended[name] += 1
                    self.last_words.append(f"{name} after {now - began:.0f} s: {self.fleet.last_words(name)}")
                    self.fleet.start(name)
            await asyncio.sleep(_LOOK_S)

    def growth(self) -> dict[str, tuple[float, float, float]]:
        """By program, in megabytes: median of the first quarter, median of the last, most. Processes younger than 20 s are left out."""
        found: dict[str, tuple[float, float, float]] = {}
        for name, seen in self.weights.items():
            born: dict[int, float] = {}
            for at, pid, _ in seen:
                born.setdefault(pid, at)
            grown = [megabytes for at, pid, megabytes in seen if at - born[pid] >= 20] or [megabytes for *_, megabytes in seen]
            quarter = max(1, len(grown) // 4)
            found[name] = (median(grown[:quarter]), median(grown[-quarter:]), max(grown))
        return found

    def spared(self, at: float) -> bool:
        """Whether no broker was killed around this time."""
        return all(abs(at - broken) > _AROUND_S for broken in self.broken)

    async def _kill(self, name: str) -> None:
        self.killed[name] += 1
        if name == BROKER:
            assert self.broker is not None, "only a broker that is there is drawn"
            self.broken.append(time.monotonic())
            await asyncio.to_thread(self.broker.stop, signal.SIGKILL)
            await self._start_the_broker(self.broker)
        elif self.fleet.runs(name):
            await asyncio.to_thread(self.fleet.kill, name)
            self.fleet.start(name)

    async def _start_the_broker(self, broker: LocalBroker) -> None:
        while True:
            try:
                return await asyncio.to_thread(broker.start)
            except CannotStart:
                self.ended[BROKER] += 1

    def _weigh(self, at: float) -> None:
        for name, megabytes in self.fleet.resident_mb(self.fleet.names).items():
            self.weights[name].append((at, self.fleet.pid(name), megabytes))
