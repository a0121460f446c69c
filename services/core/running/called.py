"""What another run did for a node, as decisions of the run that waits for it: text as it comes, questions, the end.

Where a model called the run as a tool there is only the end: a step's result, which the model reads, failures too.
In come a turn and what a child told; out go the places that moved. Of a child that nobody waits for nothing counts.
"""

from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from events.commands import AnswerQuestion
from events.node import NodeTimedOut
from events.node import Problem as Said
from events.run import Usage
from services.core.codes import Code
from services.core.language.graph import Graph
from services.core.language.kind import Answer
from services.core.language.values import encodable
from services.core.problems import Problem
from services.core.running.children import ChildTold, Ending, Relayed
from services.core.running.effects import Done, Piece
from services.core.running.node_runs import broke, complete, said
from services.core.running.questions import answer
from services.core.running.run_state import Active, Place
from services.core.running.scheduling import hear
from services.core.running.steps import take_step
from services.core.running.turn import Turn


def told(turn: Turn, told: ChildTold) -> Sequence[Place]:
    """Take what a child told."""
    place = told.place
    if turn.run.children.get(told.child) != place:
        return ()
    hear(turn, place, turn.run.nodes[place].attempt, told.pieces)
    if turn.over:
        return ()
    if told.question is not None:
        take_step(turn, place, told.question)
    return () if told.end is None else _ended(turn, place, told.end)


def relay(turn: Turn, told: Relayed) -> Sequence[Place]:
    """Take the answer that the parent was given."""
    question, terms = turn.run.question, turn.run.terms
    if question is None:
        return ()
    content = turn.words(told.content)
    wish = AnswerQuestion(run=terms.run, app=terms.app, question=question.number, event_type=told.event_type, content=content, by=told.by)
    return answer(turn, wish)


def ends(state: Active, graph: Graph) -> dict[Place, int]:
    """When nodes have waited long enough for other runs; without a limit of the node's only that of its run ends the wait."""
    waits = {place: state.nodes[place] for place in state.children.values() if place[0] in graph.nodes}
    limited = {place: node for place, node in waits.items() if graph.nodes[place[0]].retry.should_retry and node.awaits == "child"}
    return {place: node.since + _limit(graph, place) for place, node in limited.items()}


def expire(turn: Turn) -> Iterator[Sequence[Place]]:
    """End the waits that took too long; what moved, one by one."""
    for place, due in sorted(ends(turn.run, turn.graph).items()):
        if turn.time < due or turn.over or place not in turn.run.waiting:
            continue
        limit = _limit(turn.graph, place)
        if turn.node(place).kind.observe is not None:
            late = Said(code=Code.NODE_RUN_ERROR, message=f"the flow took longer than {limit / 1000:g} s and was cancelled")
            yield observe(turn, place, Ending(late, None, Usage()))
            continue
        turn.emit(NodeTimedOut(node=place[0], path=place[1], attempt=turn.run.nodes[place].attempt, limit_ms=limit))
        what = f"Node execution timeout: the sub-flow took {limit / 1000:g} s"
        yield broke(turn, place, Said(code=Code.NODE_RUN_ERROR, message=what))


def _limit(graph: Graph, place: Place) -> int:
    return int(graph.nodes[place[0]].retry.timeout * 1000)


def observe(turn: Turn, place: Place, end: Ending) -> Sequence[Place]:
    """Tell a model how the flow that it called has ended."""
    known, compiled = turn.run.nodes[place], turn.node(place)
    assert compiled.kind.observe is not None, "whose model calls a run is told of its end"
    result, shown = compiled.kind.observe(compiled, known.steps, _response(end))
    if shown:
        hear(turn, place, known.attempt, [Piece("reasoning", shown)])
    if not turn.over:
        take_step(turn, place, result, Done(usage=end.usage))
    return ()


def _response(end: Ending) -> JsonValue:
    if end.problem is not None:
        return {"code": "workflow", "message": encodable(end.problem.message)}
    return end.text if end.outputs is None else end.outputs


def _ended(turn: Turn, place: Place, end: Ending) -> Sequence[Place]:
    if turn.node(place).kind.observe is not None:
        return observe(turn, place, end)
    if turn.run.nodes[place].awaits == "person":
        take_step(turn, place, {"ended": True})  # the question ended with its run
    node, compiled = turn.run.nodes[place], turn.node(place)
    if end.problem is not None:
        return broke(turn, place, Said(code=end.problem.code, message=encodable(end.problem.message)))
    assert compiled.kind.receive is not None, "who calls a run receives its end"
    try:
        finished = compiled.kind.receive(compiled, node.inputs or {}, Answer(node.content.text, node.reasoning.text, (), end.outputs))
    except Problem as problem:
        return broke(turn, place, said(problem), again=False)
    done = complete(turn, place, finished, usage=end.usage, content=node.content.seal, reasoning=node.reasoning.seal)
    return (place,) if done else ()
