"""The shape of every decision: a state, what changes it, and what is decided from it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from events.envelope import Event

I_ = TypeVar("I_")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Decider(Generic[I_, S]):
    """`decide(state, input, time)` and `evolve(state, event, time)`, both pure; times in milliseconds since 1970."""

    initial: S
    evolve: Callable[[S, Event, int], S]
    decide: Callable[[S, I_, int], list[Event]]
