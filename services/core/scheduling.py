"""Which node comes next (astron.md 4.8), without enumerating paths.

A node is ready when every edge into it is decided and one of them is taken; it is skipped when none is. Output nodes may
begin early, beside what they show (3.7). In comes a turn and the places that moved; out go node events until nothing moves.
"""

from collections import deque
from collections.abc import Iterable

from pydantic import JsonValue

from events.node import NodeCompleted, NodeFailed, NodeSkipped, NodeStarted
from events.node import Problem as Said
from events.run import RunCompleted, RunFailed
from services.core.codes import Code
from services.core.graph import Edge, defaults
from services.core.kind import Finished
from services.core.problems import Problem
from services.core.release import speak, whole_text
from services.core.run_state import NodeRun, Place
from services.core.turn import Turn
from services.core.values import misfits


def advance(turn: Turn, moved: Iterable[Place]) -> None:
    """Decide everything that follows, until the run waits for the world, ends, or the step is full."""
    waiting = deque(moved)
    while waiting and not turn.over and not turn.full:
        node, path = waiting.popleft()
        for edge in turn.graph.outgoing[node]:
            waiting.extend(_look_at(turn, (edge.target, path)))
            if turn.over:
                return
        for output in turn.graph.awakens.get(node, ()):
            waiting.extend(_look_at(turn, (output, path)))
            if turn.over:
                return
    if not turn.over:
        _finish(turn)


def sweep(turn: Turn) -> None:
    """Look at every place: what a full step left behind goes on."""
    advance(turn, [place for place, node in turn.run.nodes.items() if node.settled or node.status == "running"])


def unfinished(turn: Turn) -> bool:
    """Whether the step ended because it was full, not because the run waits for something."""
    return turn.full and not turn.over


def fail(turn: Turn, place: Place, problem: Said) -> None:
    """A node's failure that ends the run. A node that never started is named with its kind and alias."""
    node, known = turn.node(place), turn.node_run(place)
    turn.emit(
        NodeFailed(
            node=place[0],
            path=place[1],
            attempt=known.attempt if known else 1,
            problem=problem,
            then="end",
            progress=turn.progress,
            kind="" if known else node.kind.name,
            alias="" if known else node.alias,
        )
    )
    turn.emit(RunFailed(code=problem.code, message=problem.message, node=place[0], usage=turn.run.usage))


def complete(turn: Turn, place: Place, finished: Finished, **more: object) -> bool:
    """Record a node's outputs, if they are of the declared types. False when the node failed instead (20601)."""
    node = turn.node(place)
    wrong = misfits(finished.outputs, node.schema)
    if wrong:
        fail(turn, place, Said(code=Code.VARIABLE_POOL_SET_PARAMETER_ERROR, message=f"Node name: {node.alias}, {wrong}"))
        return False
    known = turn.node_run(place)
    turn.emit(
        NodeCompleted.model_validate(
            {
                "node": place[0],
                "path": place[1],
                "attempt": known.attempt if known else 1,
                "progress": round((turn.run.settled + 1) / len(turn.graph.nodes), 6),
                "outputs": turn.values(finished.outputs),
                "raw_output": turn.words(finished.raw_output) if finished.raw_output is not None else None,
                "handle": finished.handle,
                **more,
            }
        )
    )
    return True


def start(turn: Turn, place: Place, inputs: dict[str, JsonValue] | None) -> None:
    """Record that a node began."""
    node = turn.node(place)
    turn.emit(
        NodeStarted(
            node=place[0],
            path=place[1],
            kind=node.kind.name,
            alias=node.alias,
            progress=turn.progress,
            inputs=None if inputs is None else turn.values(inputs),
        )
    )


def _look_at(turn: Turn, place: Place) -> Iterable[Place]:
    """What a place does now; the places that moved because of it."""
    known = turn.node_run(place)
    if known is not None and (known.settled or known.status == "failed"):
        return ()
    edges = turn.graph.incoming[place[0]]
    sources = [(edge, turn.node_run((edge.source, place[1]))) for edge in edges]
    decided = all(node is not None and node.settled for _, node in sources)
    taken = decided and any(node is not None and _taken(edge, node) for edge, node in sources)
    is_output = turn.node(place).kind.speak is not None
    if decided and not taken:
        turn.emit(NodeSkipped(node=place[0], path=place[1], by=edges[-1].source))
        return (place,)
    if is_output:
        return _output(turn, place, known, ready=taken)
    return _arrive(turn, place) if taken and known is None else ()


def _taken(edge: Edge, source: NodeRun) -> bool:
    if source.status != "completed" or edge.on_failure != source.took_failure_edge:
        return False
    return source.handle is None or edge.handle == source.handle


def _arrive(turn: Turn, place: Place) -> Iterable[Place]:
    kind = turn.node(place).kind
    try:
        inputs = turn.inputs(place)
        start(turn, place, inputs)
        if kind.work is not None and not complete(turn, place, kind.work(turn.node(place), inputs)):
            return ()
    except Problem as problem:
        fail(turn, place, Said(code=problem.code, message=problem.message))
        return ()
    return (place,)


def _output(turn: Turn, place: Place, known: NodeRun | None, *, ready: bool) -> Iterable[Place]:
    """An output node begins when its gates are settled and it is reached or something it shows began; it is complete when reached."""
    if known is None:
        gates = turn.graph.waits_for[place[0]]
        if not all(_settled(turn, (gate, place[1])) for gate in gates):
            return ()
        began = any(turn.node_run((source, place[1])) is not None for source in turn.graph.early[place[0]])
        if not ready and not began:
            return ()
    try:
        if known is None:
            start(turn, place, None)
        if ready:
            return _complete_output(turn, place)
        speak(turn)
    except Problem as problem:
        fail(turn, place, Said(code=problem.code, message=problem.message))
    return ()


def _complete_output(turn: Turn, place: Place) -> Iterable[Place]:
    node = turn.node(place)
    whole_text(turn, place)
    inputs = turn.inputs(place)
    is_end = node.kind.name == "node-end"
    speak(turn)
    turn.emit(
        NodeCompleted(
            node=place[0],
            path=place[1],
            progress=round((turn.run.settled + 1) / len(turn.graph.nodes), 6),
            inputs=turn.values({} if is_end else inputs),
            outputs=turn.values(inputs if is_end else {}),
        )
    )
    speak(turn)
    return (place,)


def _settled(turn: Turn, place: Place) -> bool:
    node = turn.node_run(place)
    return node is not None and node.settled


def _finish(turn: Turn) -> None:
    """The run is complete when nothing works, speaks or waits to speak, and nothing that is left can be reached."""
    run = turn.run
    if turn.full or run.working or run.floor or run.queue:
        return
    terminals = [(node.rank, place) for place, node in run.nodes.items() if node.status == "completed" and _is_terminal(turn, place)]
    ends = [one for one in terminals if turn.node(one[1]).kind.name == "node-end"]
    first = min(ends or terminals, default=None)
    outputs = run.nodes[first[1]].outputs if first else {}
    turn.emit(RunCompleted(outputs=turn.values(outputs), usage=run.usage))


def _is_terminal(turn: Turn, place: Place) -> bool:
    return not any(_settled_completed(turn, (edge.target, place[1])) for edge in turn.graph.outgoing[place[0]])


def _settled_completed(turn: Turn, place: Place) -> bool:
    node = turn.node_run(place)
    return node is not None and node.status == "completed"


def preset(turn: Turn, place: Place) -> dict[str, JsonValue]:
    """The outputs that take the place of a failed node's: the configured ones, else defaults by type."""
    node = turn.node(place)
    return {**defaults(node), **node.retry.custom_output}
