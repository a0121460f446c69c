"""Where a run stands: the fold of its events. Total and silent: whatever comes, a state comes out.

The types are in `services.core.running.active`, what people see of a run is folded in `services.core.running.conversation`.
"""

from collections.abc import Collection, Sequence

from events import audit as a
from events import node as n
from events import question as q
from events import run as r
from events.delta import NodeDelta
from events.envelope import Event
from services.core.running.active import OUTPUT_KINDS, Active, Ended, Floor, NotStarted, Question, RunState, keys_of
from services.core.running.changing import replace
from services.core.running.conversation import evolve_output, evolve_question, exchanges, out_of_line, seen, silenced
from services.core.running.held import Audit, evolved
from services.core.running.node_run import Errand, NodeRun, Place, Result, Rounds, Step, errand_of

__all__ = [
    "Active", "Ended", "Errand", "Floor", "NodeRun", "NotStarted", "Place", "Question", "Result", "Rounds", "RunState", "Step", "errand_of",
    "evolve", "exchanges", "keys_of", "told",
]  # fmt: skip
_OF_QUESTIONS = q.QuestionAsked | q.QuestionAnswered | q.QuestionExpired | q.AnswerHeld | q.AnswerRefused
_BAD_ENDS = r.RunFailed | r.RunTimedOut | r.RunCancelled


def evolve(state: RunState, event: Event, time: int) -> RunState:
    """The state after one more event."""
    if not isinstance(state, Active):
        return _began(event, time) if isinstance(event, r.RunStarted) and isinstance(state, NotStarted) else state
    if isinstance(event, NodeDelta):  # most of all events, so before all others
        return told(state, (event,), time)
    if isinstance(event, r.RunCompleted):
        return Ended(state.terms.app, state.terms.chat, exchanges(state))
    if isinstance(event, _BAD_ENDS):
        return Ended(state.terms.app)
    if isinstance(event, a.AuditEvent):
        return replace(state, audit=evolved(state.audit, event, time)) if state.audit else state
    if isinstance(event, _OF_QUESTIONS):
        return _clocked(evolve_question(state, event, time), time)
    if isinstance(event, n.NodeEvent):
        return _clocked(_evolve_node(state, event, time), time)
    return state


def _began(event: r.RunStarted, time: int) -> Active:
    asks = event.asked if event.chat else ""
    return Active(event, time, asks=asks, audit=Audit() if event.audit == "own" else None)


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
        case n.NodeStarted():
            return _started(state, place, node, event, time)
        case n.NodeStepCompleted():
            return _stepped(state, place, node, event, time) if node else state
        case n.NodeCompleted():
            return _completed(state, place, node, event)
        case n.NodeFailed():
            failed = replace(node or NodeRun("failed", event.kind), status="failed", failures=(node.failures if node else 0) + 1)
            state = replace(state, usage=_sum(state.usage, event.usage)) if event.usage else state
            state = _awaiting(_without_rounds(_with(out_of_line(state, place), place, failed), place), place, "nothing")
            return state if event.again_at is None else replace(state, pauses={**state.pauses, place: event.again_at})
        case n.NodeSkipped():
            return _ended(_with(silenced(out_of_line(state, place), frozenset({place})), place, NodeRun("skipped")), place)
        case n.ChildStarted():
            return _with(state, place, replace(node, child=event.child)) if node else state
        case n.RoundOpened() | n.RoundCompleted():
            return _round(state, place, event)
        case n.ModelCalled() | n.ModelResponded() | n.ContextRetrieved() | n.ToolCalled() | n.ToolReturned():
            return _with(state, place, replace(node, last=time)) if node else state
        case _:
            return evolve_output(state, place, event)


def _with(state: Active, place: Place, node: NodeRun) -> Active:
    return replace(state, nodes={**state.nodes, place: node})


def _awaiting(state: Active, place: Place, what: n.Awaits) -> Active:
    working = state.working | {place} if what == "effect" else state.working - {place}
    waiting = state.waiting - {place} if what in {"effect", "nothing"} else state.waiting | {place}
    return replace(state, working=working, waiting=waiting)


def _ended(state: Active, place: Place) -> Active:
    return replace(state, settled=state.settled + (not place[1]), ranked=state.ranked + 1)


def told(state: Active, deltas: Sequence[NodeDelta], time: int) -> Active:
    """The state after these deltas of one node run: all of one stage, all shown at one place or all waiting."""
    event = deltas[0]
    place, words = (event.node, event.path), [one.text.words or "" for one in deltas]
    node = state.nodes.get(place) or NodeRun("running")
    if event.stage == "reasoning":
        node = replace(node, last=time, reasoning=node.reasoning.add(*words))
    else:
        node = replace(node, last=time, content=node.content.add(*words))
    floor = state.floor
    if event.shown and floor:
        floor = Floor(floor.place, event.unit, len(words) + (floor.taken if floor.unit == event.unit else 0))
    if event.shown and event.stage == "content":
        state = seen(state, *words)
    return _clocked(replace(state, nodes={**state.nodes, place: node}, floor=floor), time)


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
        child="" if event.awaits == "effect" else node.child,
        steps=(*node.steps, event.result.words or {}),
        said=(len(node.content), len(node.reasoning)),
        taken_over=False,
        usage=_sum(node.usage or r.Usage(), event.usage) if event.usage else node.usage,
    )
    state = replace(_with(state, place, stepped), steps=state.steps + 1)
    if event.awaits == "child":
        state = out_of_line(state, place)
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
    return _ended(_without_rounds(out_of_line(state, place), place), place)


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
        state = out_of_line(state, place)
    return replace(
        silenced(state, gone),
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
