"""One node as running, and the rounds of one that runs others: values of a run's state.

What changes them is the fold in `services.core.running.run_state`. Values that it copies often have no slots: see `changing` beside it.
"""

import json
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, JsonValue, PlainSerializer

from events import audit as a
from events import node as n
from events import run as r
from events.envelope import Event
from services.core.running.pieces import NOTHING, Pieces

Place = Annotated[
    tuple[str, tuple[int, ...]],
    PlainSerializer(json.dumps, return_type=str),
    BeforeValidator(lambda place: json.loads(place) if isinstance(place, str) else place),
]
"""A node id and its path of rounds. Remembered as text, since it is a key of dictionaries."""
AUDIT: Place = ("", ())
"""Where the content audit stands among the places of a run: no node has this name."""
Step = dict[str, JsonValue]
"""The recorded result of one step of a node run."""


_BEGINS = n.NodeStarted | n.NodeStepCompleted


class Errand(NamedTuple):
    """What an effect is done for: a node run's attempt, and the step of it that is under way."""

    place: Place
    attempt: int
    step: int


def errand_of(event: Event) -> Errand | None:
    """The errand that an event sends somebody on, once it is in the log."""
    if isinstance(event, _BEGINS) and event.awaits == "effect":
        return Errand((event.node, event.path), event.attempt, event.step)
    if isinstance(event, a.AuditAsked):
        return Errand(AUDIT, event.attempt, event.number)
    return None


@dataclass(frozen=True)
class NodeRun:
    """One node as running. `last` is when something last came from it; `rank` its place in the order of completion.

    `awaits` is what it waits for while it runs, `history` what it was given of the conversation before. `steps` are the results of
    its recorded steps, `since` when the step under way was first tried, `said` how many pieces of content and of reasoning came
    before it; `taken_over` says that it began with an earlier owner. `child` is the run that works for it.
    """

    status: Literal["running", "completed", "skipped", "failed"]
    kind: str = ""
    attempt: int = 1
    failures: int = 0
    last: int = 0
    inputs: dict[str, JsonValue] | None = None
    history: tuple[r.Turn, ...] = ()
    outputs: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    content: Pieces = NOTHING
    reasoning: Pieces = NOTHING
    handle: str | None = None
    problem: n.Problem | None = None
    took_failure_edge: bool = False
    rank: int = 0
    awaits: n.Awaits = "effect"
    steps: tuple[Step, ...] = ()
    said: tuple[int, int] = (0, 0)
    since: int = 0
    taken_over: bool = False
    usage: r.Usage | None = None
    child: str = ""

    @property
    def settled(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in {"completed", "skipped"}

    @property
    def recorded(self) -> tuple[str, str]:
        """What the step under way has said so far: content, reasoning."""
        return self.content.after(self.said[0]), self.reasoning.after(self.said[1])

    def pieces(self, stage: str) -> Pieces:
        """What it said in this stage."""
        return self.reasoning if stage == "reasoning" else self.content


@dataclass(frozen=True, slots=True)
class Result:
    """How a round ended: the outputs of the body's end, or its problem. `exit` says that it is the last."""

    outputs: dict[str, JsonValue]
    problem: n.Problem | None = None
    exit: bool = False


@dataclass(frozen=True)
class Rounds:
    """The rounds of an iteration or loop that runs: how many began, which are open, how the others ended."""

    body: frozenset[str]
    opened: int = 0
    open: tuple[int, ...] = ()
    results: dict[int, Result] = field(default_factory=dict[int, Result])
