"""What a run that goes on waits for: each thing by name (architecture, law 5).

In comes a state; out come effects under way, rounds, a person's answer, other runs, pauses before another attempt, verdicts. Nodes that
show text wait for those that make it and are not listed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from services.core.running.active import Active
from services.core.running.node_run import Place

What = Literal["effect", "rounds", "answer", "turn to ask", "run", "pause", "audit", "decision"]


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing. `since` is when the node began to wait for an effect or the person was asked, `until` a time at which it ends by itself.

    `rounds` are the open ones, `question` is the number of the one that nobody answered yet, `run` is the child's id. `decision`
    says that a step was full: the rest of it follows at once.
    """

    what: What
    node: str = ""
    path: tuple[int, ...] = ()
    kind: str = ""
    attempt: int | None = None
    since: int | None = None
    until: int | None = None
    rounds: tuple[int, ...] | None = None
    question: int | None = None
    run: str | None = None


def waits_of(state: Active) -> list[Wait]:
    """Never empty: a run that waits for nothing has ended."""
    return [*_effects(state), *_others(state), *_pauses(state), *_judged(state)] or [Wait("decision")]


def _effects(state: Active) -> Iterator[Wait]:
    for place in sorted(state.working):
        node = state.nodes[place]
        yield Wait("effect", *place, kind=node.kind, attempt=node.attempt, since=node.since)


def _others(state: Active) -> Iterator[Wait]:
    for place in sorted(state.waiting):
        node = state.nodes[place]
        match node.awaits:
            case "rounds":
                yield Wait("rounds", *place, kind=node.kind, rounds=state.rounds[place].open)
            case "child":
                yield Wait("run", *place, kind=node.kind, attempt=node.attempt, since=node.since, run=node.child)
            case _:
                yield _asks(state, place)


def _asks(state: Active, place: Place) -> Wait:
    kind, asked = state.nodes[place].kind, state.question
    if asked is None or asked.place != place:
        return Wait("turn to ask", *place, kind=kind)
    return Wait("answer", *place, kind=kind, since=asked.asked, until=asked.deadline, question=asked.number)


def _pauses(state: Active) -> Iterator[Wait]:
    for place, at in sorted(state.pauses.items()):
        yield Wait("pause", *place, kind=state.nodes[place].kind, until=at)


def _judged(state: Active) -> Iterator[Wait]:
    asked = state.audit.asked if state.audit else None
    if asked is not None:
        yield Wait("audit", attempt=asked.attempt, since=asked.since)
