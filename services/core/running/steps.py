"""What a node run asks of the world, step by step, and what becomes of the answers.

A node of one step asks once. A node of several steps (an agent, a question that a model reads) records each result as
`node.step_completed` before it asks on, so that the next owner goes on after the last one. In come the state and an
outcome; out go the next request, or the node's result. `Problem` is raised where a node cannot go on.
"""

from pydantic import JsonValue

from events.node import Awaits, NodeStepCompleted
from events.run import Turn as Earlier
from services.core.language.graph import Graph
from services.core.language.kind import Answer, Asking, Call, Finished, Node, Query
from services.core.problems import Problem
from services.core.running.children import begin, check_depth
from services.core.running.effects import Done, Request
from services.core.running.run_state import Active, NodeRun, Place, Step, keys_of
from services.core.running.turn import Limits, Turn


def quiet_ms(graph: Graph, place: Place, limits: Limits) -> int:
    """How long an effect of this node may be silent."""
    retry = graph.nodes[place[0]].retry
    return int(retry.timeout * 1000) if retry.should_retry else limits.quiet_ms


Asked = Request | Query | Call | Finished
"""What a node asks of the world, of a person or of another run, or its result."""


def due(graph: Graph, place: Place, node: NodeRun, limits: Limits) -> int:
    """When a working node has said nothing for too long, or worked for too long where its setting limits the whole attempt."""
    quiet = node.last + quiet_ms(graph, place, limits)
    compiled = graph.nodes[place[0]]
    if compiled.kind.limits_attempt and compiled.retry.should_retry:
        return min(quiet, node.since + quiet_ms(graph, place, limits))
    return quiet


def awaits_of(asked: Asked) -> Awaits:
    """What a node waits for that asks this."""
    if isinstance(asked, Query):
        return "person"
    if isinstance(asked, Call):
        return "child"
    return "nothing" if isinstance(asked, Finished) else "effect"


def first(turn: Turn, place: Place, inputs: dict[str, JsonValue], history: tuple[Earlier, ...]) -> Asked:
    """What a node asks when it is reached."""
    node = turn.node(place)
    assert node.kind.ask is not None, "this node asks"
    terms = turn.run.terms
    return node.kind.ask(node, inputs, Asking(keys_of(terms), quiet_ms(turn.graph, place, turn.limits), terms=terms, history=history))


def ask(state: Active, place: Place, graph: Graph, limits: Limits, *steps: Step) -> Asked:
    """What a node asks now, or after these further steps."""
    node, known = graph.nodes[place[0]], state.nodes[place]
    assert node.kind.ask is not None, "only nodes that ask are working"
    content, reasoning = ("", "") if steps else known.recorded
    asking = Asking(
        app=keys_of(state.terms),
        quiet_ms=quiet_ms(graph, place, limits),
        recorded=content,
        recorded_reasoning=reasoning,
        steps=(*known.steps, *steps),
        attempt=known.attempt,
        taken_over=known.taken_over and not steps,
        terms=state.terms,
        history=known.history,
    )
    return node.kind.ask(node, known.inputs or {}, asking)


def receive(node: Node, known: NodeRun, outcome: Done) -> Finished:
    """The result of a node of one step."""
    kind = node.kind
    content, reasoning = known.recorded
    if kind.receive is not None:
        answer = Answer(content, reasoning, outcome.calls, outcome.outputs)
        return kind.receive(node, known.inputs or {}, answer)
    if outcome.outputs is not None:
        return Finished(outcome.outputs)
    assert kind.conclude is not None, "a node whose effect gives no outputs makes them of the text"
    return kind.conclude(node, content, reasoning)


def step(turn: Turn, place: Place, outcome: Done) -> Finished | None:
    """Record a step and what follows from it: the node's result, or None where it goes on waiting."""
    known = turn.run.nodes[place]
    content, reasoning = known.recorded
    result: Step = outcome.outputs if outcome.outputs is not None else {"content": content, "reasoning": reasoning}
    if outcome.calls:
        result = {**result, "calls": [call.words for call in outcome.calls]}
    return take_step(turn, place, result, outcome)


def take_step(turn: Turn, place: Place, result: Step, outcome: Done | None = None) -> Finished | None:
    """Record a result, whoever gave it: an effect, or a person."""
    known = turn.run.nodes[place]
    asked: Asked | Problem
    try:
        asked = ask(turn.run, place, turn.graph, turn.limits, result)
        if isinstance(asked, Call):
            check_depth(turn, asked)
    except Problem as problem:
        asked = problem
    turn.emit(
        NodeStepCompleted(
            node=place[0],
            path=place[1],
            attempt=known.attempt,
            step=len(known.steps) + 1,
            result=turn.values(result),
            usage=outcome.usage if outcome else None,
            awaits="nothing" if isinstance(asked, Problem) else awaits_of(asked),
        )
    )
    if isinstance(asked, Problem):
        raise asked
    if isinstance(asked, Call) and not turn.run.nodes[place].child:
        begin(turn, place, asked)
    return asked if isinstance(asked, Finished) else None
