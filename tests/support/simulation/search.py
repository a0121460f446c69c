"""Many schedules, and the smallest one that fails.

In come rules and a range of seeds; out goes what broke, how often, and the first seed of each. A failing schedule is made
smaller by leaving choices out and lowering them, as long as it still breaks in the same way.
"""

import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import get_context

import structlog

from events import acceptance, catalogue, envelope
from services.processor.memory import snapshots
from services.processor.taking import claiming
from tests.support.simulation import fold, log
from tests.support.simulation.check import violations
from tests.support.simulation.choices import Choices
from tests.support.simulation.play import Play
from tests.support.simulation.rules import LAW, Rules, Trouble, trouble_of

SHARE = 250
"""Schedules that one process plays before it tells."""


@dataclass
class Found:
    """What a number of schedules led to. `broken` counts the schedules of each violation, `first` is its lowest seed."""

    schedules: int = 0
    failed: int = 0
    events: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Found") -> None:
        self.schedules += other.schedules
        self.failed += other.failed
        self.events += other.events
        self.broken += other.broken
        for what, seed in other.first.items():
            self.first[what] = min(seed, self.first.get(what, seed))


def play(rules: Rules, trouble: Trouble, choices: Choices, *, tell: bool = False) -> tuple[Play, list[str]]:
    """One schedule, and what broke. A program that trips over the log breaks something too."""
    played = Play(rules, trouble, choices, tell=tell)
    try:
        played.play()
        return played, violations(played)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as wrong:
        if rules == LAW:
            raise
        return played, [f"a program trips over the log ({type(wrong).__name__})"]


def seeds(rules: Rules, first: int, count: int) -> Found:
    """These schedules, one after the other."""
    found = Found()
    for seed in range(first, first + count):
        played, broken = play(rules, trouble_of(seed), Choices(seed))
        found.schedules += 1
        found.failed += bool(broken)
        found.events += len(played.events.stored)
        for what in set(broken):
            found.broken[what] += 1
            found.first.setdefault(what, seed)
    return found


def in_parallel(rules: Rules, first: int, count: int, workers: int) -> Iterator[Found]:
    """The same in several processes; what each share found as it comes. Abandoned early, it does not begin what is left."""
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin) as pool:
        shares = [pool.submit(_share, rules, at, min(SHARE, first + count - at)) for at in range(first, first + count, SHARE)]
        try:
            for share in as_completed(shares):
                yield share.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """What makes a playing process quick, and changes nothing that it finds.

    A record is decoded once, however many read it. Nothing that was imported is ever garbage, and what schedules leave is
    collected after each share.
    """
    quiet()
    catalogue.data_of = lru_cache(10_000)(catalogue.data_of)
    once = lru_cache(10_000)(envelope.meta_of)
    envelope.meta_of = acceptance.meta_of = claiming.meta_of = snapshots.meta_of = fold.meta_of = log.meta_of = once
    gc.collect()
    gc.freeze()
    gc.disable()


def _share(rules: Rules, first: int, count: int) -> Found:
    found = seeds(rules, first, count)
    gc.collect()
    return found


def until_broken(rules: Rules, limit: int, trouble: Trouble | None = None) -> tuple[int, list[str]] | None:
    """The first seed below `limit` whose schedule fails under these rules, and how; with this trouble, if it is named."""
    for seed in range(limit):
        broken = play(rules, trouble or trouble_of(seed), Choices(seed))[1]
        if broken:
            return seed, broken
    return None


def shrink(rules: Rules, trouble: Trouble, taken: Sequence[int], what: str, tries: int = 3_000) -> list[int]:
    """A shorter schedule with smaller choices that still breaks in this way."""
    best = list(taken)

    def fails(schedule: list[int]) -> bool:
        nonlocal tries
        tries -= 1
        return tries >= 0 and what in play(rules, trouble, Choices(recorded=schedule))[1]

    changed = True
    while changed and tries > 0:
        changed = False
        size = max(1, len(best) // 2)
        while size and tries > 0:
            at = len(best) - size
            while at >= 0 and tries > 0:
                shorter = best[:at] + best[at + size :]
                if fails(shorter):
                    best, changed = shorter, True
                at -= size
            size //= 2
        for place in range(len(best)):
            for smaller in {0, best[place] // 2, best[place] - 1}:
                if 0 <= smaller < best[place] and fails([*best[:place], smaller, *best[place + 1 :]]):
                    best[place], changed = smaller, True
                    break
    return best


def quiet() -> None:
    """The program's own log lines would drown the story."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
