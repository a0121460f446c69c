"""Where a schedule's chances come from: a seed, or a list of numbers that was recorded and made smaller."""

import random
from collections.abc import Sequence


class Over(Exception):
    """The recorded schedule has no further choice: trouble ends here."""


class Choices:
    """`pick(n)` is a number below n; `taken` is what was picked so far, enough to play it again."""

    def __init__(self, seed: int | None = None, recorded: Sequence[int] | None = None) -> None:
        self.taken: list[int] = []
        self._random = random.Random(seed).random
        self._recorded = recorded

    def pick(self, count: int) -> int:
        """A number from 0 to `count` - 1. Raises `Over`."""
        if self._recorded is None:
            chosen = int(self._random() * count)
        elif len(self.taken) < len(self._recorded):
            chosen = min(self._recorded[len(self.taken)], count - 1)
        else:
            raise Over
        self.taken.append(chosen)
        return chosen

    def chance(self, one_in: int) -> bool:
        """True once in so many times; 0 in a recorded schedule means no."""
        return self.pick(one_in) == one_in - 1
