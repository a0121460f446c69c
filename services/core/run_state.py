"""Where a run stands: the fold of its events. Total and silent: whatever comes, a state comes out.

The types are one per phase, so that a run that has ended cannot be asked for its nodes.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from events import node as n
from events import question as q
from events import run as r
from events.delta import NodeDelta
from events.envelope import Event
from services.core.changing import replace
from services.core.chats import Exchange
from services.core.node_run import Errand, NodeRun, Place, Result, Rounds, Step, errand_of
from services.core.pieces import NOTHING, Pieces

__all__ = ["Active", "Ended", "Errand", "NodeRun", "NotStarted", "Place", "Result", "Rounds", "RunState", "Step", "errand_of", "evolve"]


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
    """A run that goes on. `working` are the nodes whose effects are under way, `waiting` those that wait for rounds, a person or a child.

    `pauses` are the nodes that are tried again, and when (ms since 1970). `queue` are the output nodes that wait for the floor.
    `settled` counts nodes outside of rounds, `ranked` every node run that ended, `steps` node runs that began and steps of them.
    `line` are the nodes that have something to ask: only the first one does, the others wait for their turn. `idle_since` is
    there while the run waits for a person only; such times add up to `idle_ms`. Of a run in a chat, `asks` is what the person said
    last, `shown` what was shown since, and `said` are the rounds before, one for each question that was answered.
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

    @property
    def children(self) -> dict[str, Place]:
        """The runs that work for its nodes now, and for which."""
        found = {self.nodes[place].child: place for place in self.waiting if place in self.nodes}
        found.pop("", None)
        return found

    def errand(self, place: Place) -> Errand | None:
        """What is under way for a node run; None where no effect is."""
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


def evolve(state: RunState, event: Event, time: int) -> RunState:
    """The state after one more event."""
    if isinstance(event, r.RunStarted):
        return Active(event, time, asks=event.asked if event.chat else "") if isinstance(state, NotStarted) else state
    if not isinstance(state, Active):
        return state
    if isinstance(event, r.RunCompleted):
        return Ended(state.terms.app, state.terms.chat, exchanges(state))
    if isinstance(event, r.RunFailed | r.RunTimedOut | r.RunCancelled):
        return Ended(state.terms.app)
    if isinstance(event, q.QuestionAsked | q.QuestionAnswered | q.QuestionExpired):
        return _clocked(_evolve_question(state, event, time), time)
    if isinstance(event, n.NodeEvent):
        return _clocked(_evolve_node(state, event, time), time)
    return state


def _clocked(state: Active, time: int) -> Active:
    """The time in which a run waits for a person and for nothing else is no activity of its own."""
    idle = state.question is not None and not state.working and not state.pauses
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
        case n.NodeStepCompleted():
            return _stepped(state, place, node, event, time) if node else state
        case n.NodeCompleted():
            return _completed(state, place, node, event)
        case n.NodeFailed():
            failed = replace(node or NodeRun("failed", event.kind), status="failed", failures=(node.failures if node else 0) + 1)
            state = replace(state, usage=_sum(state.usage, event.usage)) if event.usage else state
            state = _awaiting(_without_rounds(_with(_out_of_line(state, place), place, failed), place), place, "nothing")
            return state if event.again_at is None else replace(state, pauses={**state.pauses, place: event.again_at})
        case n.NodeSkipped():
            return _ended(_with(_silenced(_out_of_line(state, place), frozenset({place})), place, NodeRun("skipped")), place)
        case n.ChildStarted():
            return _with(state, place, replace(node, child=event.child)) if node else state
        case n.RoundOpened() | n.RoundCompleted():
            return _round(state, place, event)
        case n.ModelCalled() | n.ModelResponded() | n.ContextRetrieved() | n.ToolCalled() | n.ToolReturned():
            return _with(state, place, replace(node, last=time)) if node else state
        case _:
            return _shown(state, place, event)


def exchanges(state: Active) -> tuple[Exchange, ...]:
    """What was said in this run so far, as rounds of its chat."""
    return (*state.said, Exchange(state.terms.run, state.asks, state.shown.text)) if state.terms.chat else ()


def _seen(state: Active, text: str) -> Active:
    """A piece of text that a person of a chat sees."""
    return replace(state, shown=state.shown.add(text)) if state.terms.chat and text else state


def _shown(state: Active, place: Place, event: n.NodeEvent) -> Active:
    match event:
        case n.OutputOpened():
            return replace(state, floor=Floor(place), queue=tuple(one for one in state.queue if one != place))
        case n.OutputReleased():
            state = _seen(state, _released(state, event)) if event.stage == "content" else state
            taken = event.of.stop if event.of else 0
            return replace(state, floor=Floor(place, event.unit if event.of else event.unit + 1, taken))
        case n.OutputClosed():
            return replace(_seen(state, event.text.words or ""), floor=None)
        case _:
            return state


def _released(state: Active, event: n.OutputReleased) -> str:
    if event.of is None:
        return (event.text.words if event.text else None) or ""
    source = state.nodes.get((event.of.node, event.of.path))
    return source.pieces(event.of.stage).between(event.of.start, event.of.stop) if source else ""


def _evolve_question(state: Active, event: q.QuestionAsked | q.QuestionAnswered | q.QuestionExpired, time: int) -> Active:
    if not isinstance(event, q.QuestionAsked):
        known = state.question
        if isinstance(event, q.QuestionAnswered) and state.terms.chat:
            state = replace(state, said=exchanges(state), asks=event.content.words or "", shown=NOTHING)
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
    return replace(_seen(state, event.spoken), question=asked, asked=max(state.asked, event.question))


def _out_of_line(state: Active, place: Place) -> Active:
    if place not in state.line:
        return state
    question = None if state.question and state.question.place == place else state.question
    return replace(state, line=tuple(one for one in state.line if one != place), question=question)


def _with(state: Active, place: Place, node: NodeRun) -> Active:
    return replace(state, nodes={**state.nodes, place: node})


def _awaiting(state: Active, place: Place, what: n.Awaits) -> Active:
    working = state.working | {place} if what == "effect" else state.working - {place}
    waiting = state.waiting - {place} if what in {"effect", "nothing"} else state.waiting | {place}
    return replace(state, working=working, waiting=waiting)


def _ended(state: Active, place: Place) -> Active:
    return replace(state, settled=state.settled + (not place[1]), ranked=state.ranked + 1)


def _silenced(state: Active, places: Collection[Place]) -> Active:
    """Output nodes that have nothing to show any more."""
    floor = None if state.floor and state.floor.place in places else state.floor
    return replace(state, floor=floor, queue=tuple(one for one in state.queue if one not in places))


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
    if event.shown and event.stage == "content":
        state = _seen(state, words)
    return replace(_with(state, place, node), floor=floor)


def _started(state: Active, place: Place, node: NodeRun | None, event: n.NodeStarted, time: int) -> Active:
    words = event.inputs.words if event.inputs else None
    history = (event.history.words if event.history else None) or ()
    if place in state.pauses:
        state = replace(state, pauses={one: at for one, at in state.pauses.items() if one != place})
    if event.reason == "arrived":
        state = replace(state, steps=state.steps + 1)
    if node is None:
        node = NodeRun("running", event.kind, event.attempt, last=time, since=time, inputs=words, history=history, awaits=event.awaits)
    else:
        node = replace(
            node,
            status="running",
            attempt=event.attempt,
            last=time,
            inputs=words or node.inputs,
            awaits=event.awaits,
            taken_over=node.taken_over or event.reason == "taken_over",
            since=node.since if event.reason == "taken_over" else time,
            said=(len(node.content), len(node.reasoning)) if event.reason == "retried" else node.said,
        )
    state = _with(state, place, node)
    if event.kind in OUTPUT_KINDS:
        return replace(state, queue=(*state.queue, place))
    if event.awaits == "person":
        state = state if place in state.line else replace(state, line=(*state.line, place))
    elif event.awaits == "rounds":
        state = replace(state, rounds={**state.rounds, place: Rounds(frozenset(event.body))})
    return _awaiting(state, place, event.awaits)


def _stepped(state: Active, place: Place, node: NodeRun, event: n.NodeStepCompleted, time: int) -> Active:
    stepped = replace(
        node,
        last=time,
        since=time,
        awaits=event.awaits,
        steps=(*node.steps, event.result.words or {}),
        said=(len(node.content), len(node.reasoning)),
        taken_over=False,
        usage=_sum(node.usage or r.Usage(), event.usage) if event.usage else node.usage,
    )
    state = replace(_with(state, place, stepped), steps=state.steps + 1)
    if event.awaits == "child":
        state = _out_of_line(state, place)
    elif event.awaits == "person" and place not in state.line:
        state = replace(state, line=(*state.line, place))
    return _awaiting(state, place, event.awaits)


def _completed(state: Active, place: Place, node: NodeRun | None, event: n.NodeCompleted) -> Active:
    done = replace(
        node or NodeRun("completed"),
        status="completed",
        outputs=event.outputs.words or {},
        handle=event.handle,
        problem=event.problem,
        took_failure_edge=event.took_failure_edge,
        rank=state.ranked + 1,
    )
    usage = _sum(state.usage, event.usage) if event.usage else state.usage
    state = replace(_awaiting(_with(state, place, done), place, "nothing"), usage=usage)
    return _ended(_without_rounds(_out_of_line(state, place), place), place)


def _without_rounds(state: Active, place: Place) -> Active:
    if place not in state.rounds:
        return state
    return replace(state, rounds={other: known for other, known in state.rounds.items() if other != place})


def _round(state: Active, place: Place, event: n.RoundOpened | n.RoundCompleted) -> Active:
    known = state.rounds.get(place)
    if known is None:
        return state
    if isinstance(event, n.RoundOpened):
        known = replace(known, opened=max(known.opened, event.round + 1), open=(*known.open, event.round))
        return replace(state, rounds={**state.rounds, place: known})
    result = Result(event.outputs.words or {}, event.problem, event.exit)
    known = replace(known, open=tuple(one for one in known.open if one != event.round), results={**known.results, event.round: result})
    return _forgotten(replace(state, rounds={**state.rounds, place: known}), known.body, (*place[1], event.round))


def _forgotten(state: Active, body: Collection[str], path: tuple[int, ...]) -> Active:
    """What a round that ended leaves behind is its result: long iterations take no more memory than short ones."""
    depth = len(path)
    gone = {one for one in state.nodes if one[0] in body and one[1][:depth] == path}
    for place in gone.intersection(state.line):
        state = _out_of_line(state, place)
    return replace(
        _silenced(state, gone),
        nodes={one: node for one, node in state.nodes.items() if one not in gone},
        working=state.working - gone,
        waiting=state.waiting - gone,
        pauses={one: at for one, at in state.pauses.items() if one not in gone},
        rounds={one: rounds for one, rounds in state.rounds.items() if one not in gone},
    )


def _sum(one: r.Usage, other: r.Usage) -> r.Usage:
    return r.Usage(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        total_tokens=one.total_tokens + other.total_tokens,
    )
