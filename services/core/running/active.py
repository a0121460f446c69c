"""The types of a run's state: one per phase, so that a run that has ended cannot be asked for its nodes.

What changes them is the fold in `services.core.running.run_state`.
"""

from dataclasses import dataclass, field

from events import question as q
from events import run as r
from services.core.running.chats import Exchange
from services.core.running.held import Audit
from services.core.running.node_run import AUDIT, Errand, NodeRun, Place, Rounds
from services.core.running.pieces import NOTHING, Pieces


@dataclass(frozen=True, slots=True)
class Floor:
    """The output node that speaks, its unit, and how many deltas of that unit's source were shown."""

    place: Place
    unit: int = 0
    taken: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """A question that nobody has answered yet. `number` counts those of the run from 1, `follow_up` those before of the same node."""

    place: Place
    number: int
    text: str
    options: tuple[q.Option, ...]
    need_reply: bool
    asked: int
    deadline: int
    follow_up: int


@dataclass(frozen=True, slots=True)
class NotStarted:
    """No event yet."""


@dataclass(frozen=True)
class Active:
    """A run that goes on. `working` are the nodes whose effects are under way, `waiting` those that wait for rounds, a person or a child.

    `pauses` are the nodes that are tried again, and when (ms since 1970). `queue` are the output nodes that wait for the floor.
    `settled` counts nodes outside of rounds, `ranked` every node run that ended, `steps` node runs that began and steps of them.
    `line` are the nodes that have something to ask: only the first one does, the others wait for their turn. `idle_since` is
    there while the run waits for a person only; such times add up to `idle_ms`. Of a run in a chat, `asks` is what the person said
    last, `shown` what was shown since, and `said` are the rounds before, one for each question that was answered. Of a run that a
    model called, `shown` is all that it showed. `audit` is there where what it says is judged before people see it.
    """

    terms: r.RunStarted
    began: int
    nodes: dict[Place, NodeRun] = field(default_factory=dict[Place, NodeRun])
    working: frozenset[Place] = frozenset()
    waiting: frozenset[Place] = frozenset()
    rounds: dict[Place, Rounds] = field(default_factory=dict[Place, Rounds])
    pauses: dict[Place, int] = field(default_factory=dict[Place, int])
    floor: Floor | None = None
    queue: tuple[Place, ...] = ()
    settled: int = 0
    ranked: int = 0
    steps: int = 0
    usage: r.Usage = field(default_factory=r.Usage)
    line: tuple[Place, ...] = ()
    question: Question | None = None
    asked: int = 0
    idle_since: int | None = None
    idle_ms: int = 0
    asks: str = ""
    shown: Pieces = NOTHING
    said: tuple[Exchange, ...] = ()
    audit: Audit | None = None

    @property
    def children(self) -> dict[str, Place]:
        """The runs that work for its nodes now, and for which."""
        found = {self.nodes[place].child: place for place in self.waiting if place in self.nodes}
        found.pop("", None)
        return found

    def errand(self, place: Place) -> Errand | None:
        """What is under way for a node run, or for the content audit; None where no effect is."""
        if place == AUDIT:
            asked = self.audit.asked if self.audit else None
            return None if asked is None else Errand(place, asked.attempt, asked.number)
        if place not in self.working:
            return None
        node = self.nodes[place]
        return Errand(place, node.attempt, len(node.steps))


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over. One that was completed in a chat leaves there what was said."""

    app: str
    chat: str = ""
    said: tuple[Exchange, ...] = ()


RunState = NotStarted | Active | Ended
OUTPUT_KINDS = frozenset({"message", "node-end"})


def keys_of(terms: r.RunTerms) -> str:
    """The app whose secrets the run's definition refers to."""
    return terms.keys_of or terms.app
