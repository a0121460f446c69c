"""What a plan for a takeover may ask of whoever carries it out.

The program answers from the log (`services.processor.taking.takeover`), the simulation in the tests from a log that lies in its way.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from events.envelope import Record


@dataclass(frozen=True, slots=True)
class Identity:
    """What is the topic's id? Answer: str."""

    topic: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is the first offset, and which will the next record get? Answer: (int, int)."""

    topic: str


@dataclass(frozen=True, slots=True)
class Read:
    """Records from `start` on. Answer: a sequence of `StoredRecord`, empty at the end."""

    topic: str
    start: int
    limit: int


@dataclass(frozen=True, slots=True)
class Confirm:
    """Does the group still say that the partition is ours? No answer; who does not get it closes the plan."""


@dataclass(frozen=True, slots=True)
class Write:
    """Append this claim, alone, with a producer that nobody else has. No answer; a failure ends the plan."""

    claim: Record


@dataclass(frozen=True, slots=True)
class Turn:
    """Much was done at once: others have a turn. No answer."""


Ask = Identity | Bounds | Read | Confirm | Write | Turn
Plan = Generator[Ask, Any, int]
