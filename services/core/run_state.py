"""Where a run stands: the fold of its events. Total and silent: whatever comes, a state comes out.

The types are one per phase, so that a run that has ended cannot be asked for its nodes.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import JsonValue

from events import node as n
from events import question as q
from events import run as r
from events.delta import NodeDelta
from events.envelope import Event
from services.core.pieces import NOTHING, Pieces

Place = tuple[str, tuple[int, ...]]
"""A node id and its path of rounds."""


@dataclass(frozen=True, slots=True)
class NodeRun:
    """One node as running. `last` is when something last came from it; `rank` its place in the order of completion."""

    status: Literal["running", "completed", "skipped", "failed"]
    kind: str = ""
    attempt: int = 1
    failures: int = 0
    last: int = 0
    inputs: dict[str, JsonValue] | None = None
    outputs: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    content: Pieces = NOTHING
    reasoning: Pieces = NOTHING
    handle: str | None = None
    problem: n.Problem | None = None
    took_failure_edge: bool = False
    rank: int = 0

    @property
    def settled(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in {"completed", "skipped"}

    def pieces(self, stage: str) -> Pieces:
        """What it said in this stage."""
        return self.reasoning if stage == "reasoning" else self.content


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


@dataclass(frozen=True, slots=True)
class Active:
    """A run that goes on. `working` are the nodes whose effects are under way, `queue` the output nodes that wait for the floor.

    `line` are the nodes that have something to ask: only the first one does, the others wait for their turn. `idle_since` is
    there while the run waits for a person only; such times add up to `idle_ms`.
    """

    terms: r.RunTerms
    began: int
    nodes: dict[Place, NodeRun] = field(default_factory=dict[Place, NodeRun])
    working: frozenset[Place] = frozenset()
    floor: Floor | None = None
    queue: tuple[Place, ...] = ()
    settled: int = 0
    usage: r.Usage = field(default_factory=r.Usage)
    line: tuple[Place, ...] = ()
    question: Question | None = None
    asked: int = 0
    idle_since: int | None = None
    idle_ms: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over."""

    app: str


RunState = NotStarted | Active | Ended
OUTPUT_KINDS = frozenset({"message", "node-end"})
ASKING_KINDS = frozenset({"question-answer"})


def keys_of(terms: r.RunTerms) -> str:
    """The app whose secrets the run's definition refers to."""
    return terms.keys_of or terms.app


def evolve(state: RunState, event: Event, time: int) -> RunState:
    """The state after one more event."""
    if isinstance(event, r.RunStarted):
        return Active(event, time) if isinstance(state, NotStarted) else state
    if not isinstance(state, Active):
        return state
    if isinstance(event, r.RunCompleted | r.RunFailed | r.RunTimedOut | r.RunCancelled):
        return Ended(state.terms.app)
    if isinstance(event, q.QuestionAsked | q.QuestionAnswered | q.QuestionExpired):
        return _clocked(_evolve_question(state, event, time), time)
    if isinstance(event, n.NodeEvent):
        return _clocked(_evolve_node(state, event, time), time)
    return state


def _clocked(state: Active, time: int) -> Active:
    """The time in which a run waits for a person and for nothing else is no activity of its own."""
    idle = state.question is not None and not state.working
    if idle == (state.idle_since is not None):
        return state
    if state.idle_since is None:
        return replace(state, idle_since=time)
    return replace(state, idle_since=None, idle_ms=state.idle_ms + max(0, time - state.idle_since))


def _evolve_node(state: Active, event: n.NodeEvent, time: int) -> Active:
    place = (event.node, event.path)
    node = state.nodes.get(place)
    match event:
        case NodeDelta():
            return _told(state, place, node, event, time)
        case n.NodeStarted():
            return _started(state, place, node, event, time)
        case n.NodeCompleted():
            return _completed(state, place, node, event)
        case n.NodeFailed():
            failed = replace(node or NodeRun("failed", event.kind), status="failed", failures=(node.failures if node else 0) + 1)
            return replace(_with(_out_of_line(state, place), place, failed), working=state.working - {place})
        case n.NodeSkipped():
            floor = None if state.floor and state.floor.place == place else state.floor
            queue = tuple(one for one in state.queue if one != place)
            state = _out_of_line(state, place)
            return replace(_with(state, place, NodeRun("skipped")), settled=state.settled + 1, floor=floor, queue=queue)
        case n.OutputOpened():
            return replace(state, floor=Floor(place), queue=tuple(one for one in state.queue if one != place))
        case n.OutputReleased():
            taken = event.of.stop if event.of else 0
            return replace(state, floor=Floor(place, event.unit if event.of else event.unit + 1, taken))
        case n.OutputClosed():
            return replace(state, floor=None)
        case n.ModelCalled() | n.ModelResponded() | n.ContextRetrieved():
            return _with(state, place, replace(node, last=time)) if node else state
        case _:
            return state


def _evolve_question(state: Active, event: q.QuestionAsked | q.QuestionAnswered | q.QuestionExpired, time: int) -> Active:
    if not isinstance(event, q.QuestionAsked):
        known = state.question
        return replace(state, question=None) if known and known.number == event.question else state
    options = event.options.words if event.options else None
    asked = Question(
        place=(event.node, event.path),
        number=event.question,
        text=event.text.words or "",
        options=options or (),
        need_reply=event.need_reply,
        asked=time,
        deadline=event.deadline,
        follow_up=event.follow_up,
    )
    return replace(state, question=asked, asked=max(state.asked, event.question))


def _out_of_line(state: Active, place: Place) -> Active:
    if place not in state.line:
        return state
    question = None if state.question and state.question.place == place else state.question
    return replace(state, line=tuple(one for one in state.line if one != place), question=question)


def _with(state: Active, place: Place, node: NodeRun) -> Active:
    return replace(state, nodes={**state.nodes, place: node})


def _told(state: Active, place: Place, node: NodeRun | None, event: NodeDelta, time: int) -> Active:
    node = node or NodeRun("running")
    words = event.text.words or ""
    if event.stage == "reasoning":
        node = replace(node, last=time, reasoning=node.reasoning.add(words))
    else:
        node = replace(node, last=time, content=node.content.add(words))
    floor = state.floor
    if event.shown and floor:
        floor = replace(floor, unit=event.unit, taken=floor.taken + 1 if floor.unit == event.unit else 1)
    return replace(_with(state, place, node), floor=floor)


def _started(state: Active, place: Place, node: NodeRun | None, event: n.NodeStarted, time: int) -> Active:
    words = event.inputs.words if event.inputs else None
    if node is None:
        node = NodeRun("running", event.kind, event.attempt, last=time, inputs=words)
    else:
        node = replace(node, status="running", attempt=event.attempt, last=time, inputs=words or node.inputs)
    state = _with(state, place, node)
    if event.kind in OUTPUT_KINDS:
        return replace(state, queue=(*state.queue, place))
    if event.kind in ASKING_KINDS:
        return state if place in state.line else replace(state, line=(*state.line, place))
    return replace(state, working=state.working | {place})


def _completed(state: Active, place: Place, node: NodeRun | None, event: n.NodeCompleted) -> Active:
    done = replace(
        node or NodeRun("completed"),
        status="completed",
        outputs=event.outputs.words or {},
        handle=event.handle,
        problem=event.problem,
        took_failure_edge=event.took_failure_edge,
        rank=state.settled + 1,
    )
    state = _out_of_line(state, place)
    usage = state.usage
    if event.usage:
        usage = r.Usage(
            input_tokens=usage.input_tokens + event.usage.input_tokens,
            output_tokens=usage.output_tokens + event.usage.output_tokens,
            total_tokens=usage.total_tokens + event.usage.total_tokens,
        )
    return replace(_with(state, place, done), working=state.working - {place}, settled=state.settled + 1, usage=usage)
