"""A node's work that is done by a run of its own (astron.md 4.9.14): how that begins, and what reaches the parent of it.

In come a node run and what it calls; out goes the wish for the child, in the parent's slot and with an id that is always
the same for the same attempt. In come a child's events; out goes what its parent has to know: the text that the child
shows, its question, its end. Nothing of this needs a message: parent and child have the same owner.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from events import topics
from events.commands import StartRun
from events.delta import NodeDelta
from events.envelope import Event, Protected
from events.node import ChildStarted, OutputClosed, OutputReleased
from events.node import Problem as Said
from events.question import AnswerType, QuestionAsked
from events.run import ParentRun, RunCancelled, RunCompleted, RunFailed, RunStarted, RunTimedOut, Turn, Usage
from services.core.codes import Code
from services.core.language.graph import Graph
from services.core.language.kind import Call
from services.core.problems import Problem
from services.core.running.effects import Piece
from services.core.running.run_state import Active, NotStarted, Place, RunState, Step, evolve
from services.core.running.turn import Turn as Deciding

END = "node-end"
_ASKS = Said(
    code=Code.WORKFLOW_EXECUTION_ERROR, message="the flow asks a person a question, which it cannot do when it is called as a tool"
)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended. `outputs` are there where its end says outputs instead of text; `text` is what one showed that is a tool."""

    problem: Said | None
    outputs: dict[str, JsonValue] | None
    usage: Usage
    text: str = ""


@dataclass(frozen=True, slots=True)
class ChildTold:
    """What one step of a child means to the node run that waits for it."""

    place: Place
    child: str
    pieces: tuple[Piece, ...] = ()
    question: Step | None = None
    end: Ending | None = None


@dataclass(frozen=True, slots=True)
class Relayed:
    """The answer to a child's question, which its parent was given."""

    event_type: AnswerType
    content: str
    by: str


def too_deep(turn: Deciding, flow: str) -> str:
    """Why a further child may not begin, as in a flow that calls itself; empty where it may."""
    above = turn.run.terms.parent
    if (above.depth if above else 0) < turn.limits.depth:
        return ""
    return f"flow {flow}: sub-flows may be nested {turn.limits.depth} deep, and this one would be deeper"


def check_depth(turn: Deciding, call: Call) -> None:
    """Raises `Problem` where a further child would stand too deep."""
    if why := too_deep(turn, call.flow):
        raise Problem(Code.WORKFLOW_EXECUTION_ERROR, why)


def begin(turn: Deciding, place: Place, call: Call) -> None:
    """Name the child of this attempt. That it starts follows in the same step."""
    node = turn.run.nodes[place]
    attempt, further = node.attempt, ("step", len(node.steps)) if call.as_tool else ()
    child = topics.child_id(turn.run.terms.run, place[0], *place[1], attempt, *further)
    turn.emit(
        ChildStarted(
            node=place[0],
            path=place[1],
            attempt=attempt,
            child=child,
            flow=call.flow,
            flow_version=call.flow_version,
            definition=call.definition,
        )
    )


def wish_of(state: Active, place: Place, call: Call) -> StartRun:
    """The wish for the child that the node run waits for."""
    terms, node = state.terms, state.nodes[place]
    depth = terms.parent.depth if terms.parent else 0
    link = ParentRun(run=terms.run, node=place[0], path=place[1], attempt=node.attempt, depth=depth + 1, as_tool=call.as_tool)
    return StartRun(
        run=node.child,
        app=terms.app,
        subject=terms.subject,
        uid=terms.uid,
        flow=call.flow,
        flow_version=call.flow_version,
        definition=call.definition,
        keys_of=call.owner,
        mode="open",
        surface=terms.surface,
        stream=terms.stream,
        parameters=Protected[dict[str, JsonValue]](subject=terms.subject, words=dict(call.values)),
        history=Protected[tuple[Turn, ...]](subject=terms.subject, words=call.history),
        ext=Protected[dict[str, JsonValue]](subject=terms.subject, words={}),
        parent=link,
        traceparent=terms.traceparent,
        audit="parent" if terms.audit else "",
    )


def told_by(before: RunState, events: Sequence[Event], graph: Graph, time: int) -> tuple[str, ChildTold] | None:
    """What a child's step tells, and to which run; None where it is no child, or there is nothing to tell."""
    state, pieces, question, end = before, list[Piece](), None, None
    link, run = (before.terms.parent, before.terms.run) if isinstance(before, Active) else (None, "")
    as_json = _says_outputs(graph)
    for event in events:
        match event:
            case RunStarted() if isinstance(before, NotStarted):
                link, run = event.parent, event.run
            case QuestionAsked() if link is not None and link.as_tool:
                end = Ending(_ASKS, None, state.usage if isinstance(state, Active) else Usage())
            case QuestionAsked():
                question = _question(event, time)
            case RunCompleted():
                text = state.shown.text if isinstance(state, Active) else ""
                end = Ending(None, event.outputs.words or {} if as_json else None, event.usage, text)
            case RunFailed() | RunTimedOut() | RunCancelled():
                end = Ending(Said(code=Code.WORKFLOW_EXECUTION_ERROR, message=event.message), None, event.usage)
            case _:
                pieces += [one for one in _shown(state, event, graph) if one.text]
        if link is None:
            return None
        state = evolve(state, event, time)
    if link is not None and link.as_tool:
        pieces.clear()
    if link is None or not (pieces or question or end):
        return None
    return link.run, ChildTold((link.node, link.path), run, tuple(pieces), question, end)


def _says_outputs(graph: Graph) -> bool:
    """Whether the flow ends with outputs (output mode 0) instead of a text."""
    ends = [speech for node, speech in graph.speeches.items() if graph.nodes[node].kind.name == END]
    return bool(ends) and all(speech.outputs_as_json for speech in ends)


def _shown(state: RunState, event: Event, graph: Graph) -> Sequence[Piece]:
    match event:
        case NodeDelta() if event.shown:
            return [Piece(event.stage, event.text.words or "")]
        case OutputReleased() if event.of is not None and isinstance(state, Active):
            source = state.nodes.get((event.of.node, event.of.path))
            return [Piece(event.stage, source.pieces(event.of.stage).between(event.of.start, event.of.stop))] if source else ()
        case OutputReleased() if event.text is not None:
            return [Piece(event.stage, event.text.words or "")]
        case OutputClosed() if event.node in graph.speeches and not graph.speeches[event.node].outputs_as_json:
            return [Piece("content", event.text.words or "")]
        case _:
            return ()


def _question(event: QuestionAsked, time: int) -> Step:
    return {
        "question": event.text.words or "",
        "kind": event.kind,
        "options": [one.model_dump() for one in (event.options.words or ())] if event.options else [],
        "need_reply": event.need_reply,
        "limit_ms": max(1, event.deadline - time),
        "follow_up": event.follow_up,
    }
