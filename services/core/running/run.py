"""A run's decisions: what comes in is a wish, an outcome of an effect, a timer that came due, or a change of owner.

Out go events, decided purely: time comes with the input. A wish always leaves at least one event; an outcome that is
already known, or of an attempt that is over, leaves none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from events.commands import AnswerQuestion, CancelRun, StartRun
from events.envelope import Event, Protected
from events.node import NodeTimedOut
from events.node import Problem as Said
from events.refusal import CommandRefused
from events.run import RunCancelled, RunStarted, RunTimedOut, Usage
from events.run import Turn as Earlier
from services.core.codes import Code
from services.core.language.file_variables import links
from services.core.language.graph import Graph
from services.core.language.kind import Call, Finished, Query
from services.core.language.values import default_of, misfits
from services.core.problems import Problem
from services.core.running import audit, called, passages
from services.core.running.children import ChildTold, Ending, Relayed, too_deep
from services.core.running.effects import (
    Broke,
    Called,
    Done,
    Judgement,
    Outcome,
    Piece,
    Pinned,
    Request,
    Responded,
    Retrieved,
    ToolAnswered,
    ToolSent,
)
from services.core.running.evidence import evidence, tidy
from services.core.running.held import HeldAnswer
from services.core.running.node_run import AUDIT
from services.core.running.node_runs import broke, complete, completed, fail, said, start, start_again
from services.core.running.questions import answer, ends_at, expire, spoken, why_not
from services.core.running.run_state import Active, Ended, NodeRun, NotStarted, Place, RunState
from services.core.running.scheduling import advance, hear, show, sweep, unfinished
from services.core.running.steps import ask, due, quiet_ms, receive, step
from services.core.running.turn import Limits, Turn

GRACE_MS = 2_000
"""How much later than the effect's own limit the owner's timer is due: the effect's answer says more."""


@dataclass(frozen=True, slots=True)
class Told:
    """An effect of this node run, attempt and step tells an outcome. After a piece of text `further` ones may come with it."""

    place: Place
    attempt: int
    outcome: Outcome
    step: int = 0
    further: Sequence[Piece] = ()


@dataclass(frozen=True, slots=True)
class Due:
    """Time passed; the state knows what that means."""


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A new owner: what was under way begins again from the record."""


@dataclass(frozen=True, slots=True)
class GoOn:
    """The last step was full."""


Input = StartRun | CancelRun | AnswerQuestion | Told | ChildTold | Relayed | Due | TakenOver | GoOn


@dataclass(frozen=True, slots=True)
class Decision:
    """The events, the state they lead to, and whether a further step must follow at once."""

    events: list[Event]
    state: RunState
    more: bool = False


def decide(
    state: RunState, input_: Input, time: int, graph: Graph | None, limits: Limits, remembered: tuple[Earlier, ...] = ()
) -> Decision:
    """Decide one input. `graph` is the run's pinned definition, None where the input needs none.

    `remembered` is what was said in a new run's chat, for flows that ask for it.
    """
    if isinstance(input_, CancelRun):
        return _cancel(state, input_)
    if isinstance(input_, StartRun) and not isinstance(state, NotStarted):
        return _no(state, input_.type, f"run-{input_.run}", Code.OPEN_API_ERROR, "the run id is taken; repeat the request")
    if isinstance(input_, AnswerQuestion) and (no := why_not(state, input_, time)) is not None:
        return _no(state, input_.type, f"run-{input_.run}", no.code, no.message)
    assert graph is not None, "a run that goes on has its graph"
    turn = Turn(state, time, graph, limits)
    if isinstance(input_, StartRun):
        _start(turn, input_, remembered)
    elif isinstance(state, Active):
        _react(turn, input_)
    return Decision(turn.events, turn.state, unfinished(turn))


def due_at(state: RunState, graph: Graph, limits: Limits) -> int | None:
    """When time next changes this run, in milliseconds since 1970; None for one that is over."""
    if not isinstance(state, Active):
        return None
    asked = [audit.due(state.audit.asked, limits)] if state.audit and state.audit.asked else []
    quiet = [due(graph, place, state.nodes[place], limits) + GRACE_MS for place in state.working]
    deadline = [state.question.deadline] if state.question else []
    return min([ends_at(state, limits.run_ms), *asked, *quiet, *deadline, *state.pauses.values(), *called.ends(state, graph).values()])


def rounds_wanted(graph: Graph, wish: StartRun) -> int:
    """How many rounds of its chat a new run's flow asks for; 0 where the caller sent a history, or there is no chat."""
    if not wish.chat or wish.history.words:
        return 0
    return max((node.kind.rounds(node) for node in graph.nodes.values()), default=0)


def request(state: Active, place: Place, graph: Graph, limits: Limits) -> Request:
    """What a working node (or the content audit) asks of the world, derived from the record."""
    if place == AUDIT:
        judges = state.audit.asked if state.audit else None
        return passages.request(state, spoken(state, graph, limits) if judges and judges.of == "question" else "")
    asked = ask(state, place, graph, limits)
    assert not isinstance(asked, Finished | Query | Call), "a node that works asks something of the world"
    return asked


def _no(state: RunState, wished: str, target: str, code: Code, message: str) -> Decision:
    return Decision([CommandRefused(wished=wished, target=target, code=code, message=message)], state)


def _cancel(state: RunState, wish: CancelRun) -> Decision:
    target = f"run-{wish.run}"
    if isinstance(state, NotStarted):
        return _no(state, wish.type, target, Code.EVENT_REGISTRY_NOT_FOUND_ERROR, "there is no such run")
    if isinstance(state, Ended):
        return _no(state, wish.type, target, Code.EVENT_REGISTRY_NOT_FOUND_ERROR, "the run has ended")
    if state.terms.app != wish.app:
        return _no(state, wish.type, target, Code.EVENT_REGISTRY_NOT_FOUND_ERROR, "there is no such run")
    event = RunCancelled(by=wish.by, code=Code.ENG_RUN_ERROR, message=f"the run was cancelled by {wish.by}", usage=state.usage)
    return Decision([event], Ended(state.terms.app))


def _start(turn: Turn, wish: StartRun, remembered: tuple[Earlier, ...]) -> None:
    before = Protected[tuple[Earlier, ...]](subject=wish.subject, words=remembered) if remembered else None
    turn.emit(RunStarted.model_validate({**wish.model_dump(), "remembered": before}))
    if turn.run.audit is not None:
        audit.begin(turn)
        return
    _enter(turn)


def _enter(turn: Turn) -> None:
    """Begin the first node."""
    place: Place = (turn.graph.start, ())
    given = turn.run.terms.parameters.words or {}
    node = turn.node(place)
    values: dict[str, JsonValue] = {}
    for one in node.outputs:
        value = given.get(one.name, default_of(one.schema))
        values[one.name] = int(value) if one.schema.get("type") == "integer" and isinstance(value, float) else value
    try:
        files = links(node.outputs, values)
    except Problem as problem:
        fail(turn, place, said(problem))
        return
    wrong = misfits(given, node.schema)
    if wrong:
        fail(turn, place, Said(code=Code.START_NODE_SCHEMA_ERROR, message=f"parameters: {wrong}"))
        return
    if files:
        start(turn, place, values, awaits="effect")
        return
    start(turn, place, {}, awaits="nothing")
    completed(turn, place, Finished(values))
    advance(turn, [place])


def _react(turn: Turn, input_: AnswerQuestion | Told | ChildTold | Relayed | Due | TakenOver | GoOn) -> None:
    match input_:
        case AnswerQuestion():
            if not audit.hold_answer(turn, input_.event_type, input_.content.words or "", input_.by):
                _moved(turn, answer(turn, input_))
        case Relayed():
            _moved(turn, called.relay(turn, input_))
        case Told():
            _told(turn, input_)
        case ChildTold():
            _moved(turn, called.told(turn, input_))
        case Due():
            _due(turn)
        case TakenOver():
            _taken_over(turn)
        case GoOn():
            sweep(turn)


def _told(turn: Turn, told: Told) -> None:
    place, outcome = told.place, told.outcome
    if place == AUDIT:
        _judged(turn, told)
        return
    node = turn.node_run(place)
    if node is None or turn.run.errand(place) != (place, told.attempt, told.step):
        return
    match outcome:
        case Piece():
            hear(turn, place, told.attempt, (outcome, *told.further))
        case Called() | Responded() | Retrieved() | ToolSent() | ToolAnswered():
            turn.emit(evidence(place, told.attempt, outcome))
        case Pinned():
            _pinned(turn, place, node, outcome)
        case Done():
            _done(turn, place, node, outcome)
        case Judgement():
            pass  # only the content audit is judged
        case Broke():
            _broke(turn, place, tidy(outcome.problem))


def _judged(turn: Turn, told: Told) -> None:
    match audit.told(turn, told.attempt, told.step, told.outcome):
        case "input":
            _enter(turn)
        case HeldAnswer() as given:
            run = turn.run
            wish = AnswerQuestion(
                run=run.terms.run,
                app=run.terms.app,
                question=given.question,
                event_type=given.event_type,
                content=turn.words(given.content),
                by=given.by,
            )
            _moved(turn, answer(turn, wish))
        case _:
            _moved(turn, ())


def _pinned(turn: Turn, place: Place, node: NodeRun, outcome: Pinned) -> None:
    if turn.node(place).kind.observe is not None and (why := too_deep(turn, outcome.flow)):
        _moved(turn, called.observe(turn, place, Ending(Said(code=Code.WORKFLOW_EXECUTION_ERROR, message=why), None, Usage())))
        return
    words: dict[str, JsonValue] = {"flow": outcome.flow, "version": outcome.version, "definition": outcome.definition}
    _done(turn, place, node, Done(outputs={**words, "owner": outcome.owner}))


def _done(turn: Turn, place: Place, node: NodeRun, outcome: Done) -> None:
    try:
        if turn.node(place).kind.stepwise:
            finished = step(turn, place, outcome)
            usage = turn.run.nodes[place].usage
        else:
            finished, usage = receive(turn.node(place), node, outcome), outcome.usage
    except Problem as problem:
        cost = None if turn.node(place).kind.stepwise else outcome.usage
        _moved(turn, broke(turn, place, said(problem), again=False, usage=cost))
        return
    if finished is None:
        if turn.run.nodes[place].awaits == "person":
            _moved(turn, ())
        return
    if place == (turn.graph.start, ()):
        completed(turn, place, finished)
        _moved(turn, [place])
    elif complete(turn, place, finished, usage=usage, content=node.content.seal, reasoning=node.reasoning.seal):
        _moved(turn, [place])


def _broke(turn: Turn, place: Place, problem: Said) -> None:
    _moved(turn, broke(turn, place, problem))


def _moved(turn: Turn, places: Sequence[Place]) -> None:
    if not turn.over and show(turn):
        advance(turn, places)


def _taken_over(turn: Turn) -> None:
    audit.ask_again(turn)
    for place in sorted(turn.run.working):
        start_again(turn, place, reason="taken_over")
    sweep(turn)


def _due(turn: Turn) -> None:
    if expire(turn) or audit.late(turn):
        _moved(turn, ())
    if turn.over:
        return
    run = turn.run
    if turn.time >= ends_at(run, turn.limits.run_ms):
        message = f"the run was active longer than {turn.limits.run_ms / 1000:g} s"
        turn.emit(RunTimedOut(code=Code.ENG_RUN_ERROR, message=message, limit_ms=turn.limits.run_ms, usage=run.usage))
        return
    for place in sorted(one for one, at in run.pauses.items() if turn.time >= at and one[0] in turn.graph.nodes):
        start_again(turn, place, reason="retried")
    for moved in called.expire(turn):
        _moved(turn, moved)
    if not turn.over:
        _expire_effects(turn, run)


def _expire_effects(turn: Turn, run: Active) -> None:
    for place in sorted(one for one in run.working if one[0] in turn.graph.nodes):
        if place not in turn.run.working:
            continue
        quiet = quiet_ms(turn.graph, place, turn.limits)
        node = run.nodes[place]
        if turn.time >= due(turn.graph, place, node, turn.limits) + GRACE_MS:
            turn.emit(NodeTimedOut(node=place[0], path=place[1], attempt=node.attempt, limit_ms=quiet))
            _broke(turn, place, Said(code=Code.NODE_RUN_ERROR, message=f"Node execution timeout: nothing came for {quiet / 1000:g} s"))
            if turn.over:
                return
