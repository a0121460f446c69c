"""One decision under way: the state so far and the events decided so far.

From outside a decision is pure; inside, each event is folded at once so that the next one is decided on the newest state.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from events.delta import NodeDelta
from events.envelope import Event, Values, Words
from events.run import Turn as Said
from services.core.language.graph import ERROR_CODE, ERROR_MESSAGE, Graph, schema_of
from services.core.language.kind import Node, Source
from services.core.language.values import default_of, encodable, pick
from services.core.running.history import Count, chosen, unknown
from services.core.running.run_state import Active, NodeRun, Place, RunState, evolve, told

MAX_EVENTS = 200
"""Events of one step; what does not fit is continued by a further step (law 2)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a run may be active, a node's effect silent, and a question open, in milliseconds; how many steps a run may take.

    `depth` is how deep flows may call flows; `audit_ms` is how long a verdict may take; `tokens` counts those of a text.
    """

    run_ms: int = 1_800_000
    quiet_ms: int = 60_000
    question_ms: int = 2_592_000_000
    steps: int = 20_000
    depth: int = 8
    audit_ms: int = 15_000
    tokens: Count = unknown


class Turn:
    """The events of one decision, in order, and the state they lead to."""

    def __init__(self, state: RunState, time: int, graph: Graph, limits: Limits) -> None:
        self.state = state
        self.time = time
        self.graph = graph
        self.limits = limits
        self.events: list[Event] = []
        self._missing: dict[tuple[Place, str], list[str]] = {}

    def emit(self, event: Event) -> None:
        """Decide one more event."""
        self.events.append(event)
        self.state = evolve(self.state, event, self.time)

    def say(self, deltas: Sequence[NodeDelta]) -> None:
        """Decide these deltas: all of one node run and stage, all shown at one place or all waiting."""
        if deltas:
            self.events += deltas
            self.state = told(self.run, deltas, self.time)

    @property
    def full(self) -> bool:
        """Whether the rest must wait for a further step."""
        return len(self.events) >= MAX_EVENTS

    @property
    def run(self) -> Active:
        """The state of a run that goes on; only asked for while it does."""
        assert isinstance(self.state, Active)
        return self.state

    @property
    def over(self) -> bool:
        """Whether the run ended within this turn."""
        return not isinstance(self.state, Active)

    @property
    def exhausted(self) -> bool:
        """Whether the run may take no further step."""
        return self.run.steps >= self.limits.steps

    def node(self, place: Place) -> Node:
        """The compiled node at a place."""
        return self.graph.nodes[place[0]]

    def node_run(self, place: Place) -> NodeRun | None:
        """The node run at a place."""
        return self.run.nodes.get(place)

    @property
    def progress(self) -> float:
        """The share of the reachable graph that is settled, rounded for the record."""
        return round(self.run.settled / (self.graph.outside or 1), 6)

    def progress_after(self, place: Place) -> float:
        """The progress when this node is settled; nodes in rounds count with the node that runs the rounds."""
        return round((self.run.settled + (not place[1])) / (self.graph.outside or 1), 6)

    def still_waits(self, place: Place, why: str, nodes: Iterable[str]) -> bool:
        """Whether one of these nodes is not settled in the rounds of `place`. Remembers what it saw: asking again costs nothing."""
        missing = self._missing.get((place, why))
        if missing is None:
            missing = self._missing[place, why] = list(nodes)
        while missing:
            node = self.node_run((missing[-1], place[1]))
            if node is None or not node.settled:
                return True
            missing.pop()
        return False

    def words(self, text: str) -> Words:
        """A text of this run's person."""
        return Words(subject=self.run.terms.subject, words=encodable(text))

    def values(self, values: Mapping[str, JsonValue]) -> Values:
        """Values of this run's person."""
        return Values(subject=self.run.terms.subject, words=dict(values))

    def inputs(self, place: Place) -> dict[str, JsonValue]:
        """The values of a node's inputs by name. Raises `Problem` 20600 for a key that no schema has."""
        node = self.node(place)
        return {
            one.name: None
            if node.kind.sees_absence and self._is_absent(one.source, place)
            else self.value(one.source, place, f"{node.id}: input {one.name}")
            for one in node.inputs
        }

    def _is_absent(self, source: Source, place: Place) -> bool:
        """Whether the source is an output of a node that did not run."""
        if not source.node or source.node not in self.graph.nodes:
            return False
        node = self.node_run(self.seen_from(source.node, place))
        return node is None or node.status != "completed"

    def value(self, source: Source, place: Place, where: str) -> JsonValue:
        """A source's value as stored, else the default of its type."""
        if not source.node:
            return source.literal
        target = self.graph.nodes.get(source.node)
        if target is None:
            return None
        node = self.node_run(self.seen_from(source.node, place))
        schema = schema_of(target, source.name)
        return pick(_stored(node, source.name, schema), schema, list(source.keys), where)

    def history(self, place: Place, inputs: dict[str, JsonValue]) -> tuple[Said, ...]:
        """What a node is given of the conversation before its run. Raises `Problem` where its own texts cannot be rendered."""
        node, said = self.node(place), self.run.terms.turns
        rounds = node.kind.rounds(node) if said else 0
        return chosen(said, rounds, node.kind.budget(node, inputs), self.limits.tokens) if rounds else ()

    def seen_from(self, node: str, place: Place) -> Place:
        """Where a node that is referred to stands: in the same rounds, as far as both stand in them."""
        return node, place[1][: self.graph.depths[node]]


def _stored(node: NodeRun | None, name: str, schema: Mapping[str, JsonValue]) -> JsonValue:
    if node is None or node.status != "completed":
        return default_of(schema)
    if name in node.outputs:
        return node.outputs[name]
    if name == ERROR_CODE:
        return node.problem.code if node.problem else 0
    if name == ERROR_MESSAGE:
        return node.problem.message if node.problem else ""
    return default_of(schema)
