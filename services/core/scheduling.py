"""Which node comes next (astron.md 4.8), without enumerating paths.

A node is ready when every edge into it is decided and one of them is taken; it is skipped when none is. Output nodes may
begin early, beside what they show (3.7). In comes a turn and the places that moved; out go node events until nothing moves.
"""

from collections import deque
from collections.abc import Iterable

from events.node import NodeCompleted, NodeSkipped
from events.run import RunCompleted
from services.core.graph import Edge
from services.core.kind import Asking
from services.core.node_runs import broke, complete, fail, said, start
from services.core.problems import Problem
from services.core.questions import ask
from services.core.release import speak, whole_text
from services.core.run_state import NodeRun, Place, keys_of
from services.core.turn import Turn


def advance(turn: Turn, moved: Iterable[Place]) -> None:
    """Decide everything that follows, until the run waits for the world, ends, or the step is full."""
    waiting = deque(moved)
    while waiting and not turn.over and not turn.full:
        node, path = waiting.popleft()
        for target in (*(edge.target for edge in turn.graph.outgoing[node]), *turn.graph.awakens.get(node, ())):
            waiting.extend(_look_at(turn, (target, path)))
            if turn.over or turn.full:
                return
    if not turn.over and show(turn):
        ask(turn)
    if not turn.over:
        _finish(turn)


def sweep(turn: Turn) -> None:
    """Look at every place that is not settled, once: what a full step left behind goes on."""
    moved: list[Place] = []
    for node in turn.graph.nodes:
        if node != turn.graph.start:
            moved.extend(_look_at(turn, (node, ())))
        if turn.over or turn.full:
            return
    advance(turn, moved)


def unfinished(turn: Turn) -> bool:
    """Whether the step ended because it was full, not because the run waits for something."""
    return turn.full and not turn.over


def show(turn: Turn) -> bool:
    """Show all that may be shown. False when something could not be rendered: that ends the run in the node that has the floor."""
    try:
        speak(turn)
    except Problem as problem:
        floor = turn.run.floor
        assert floor is not None, "only who has the floor is rendered"
        fail(turn, floor.place, said(problem))
    return not turn.over


def _look_at(turn: Turn, place: Place) -> Iterable[Place]:
    """What a place does now; the places that moved because of it."""
    known = turn.node_run(place)
    if known is not None and (known.settled or known.status == "failed"):
        return ()
    edges = turn.graph.incoming[place[0]]
    decided = not turn.still_waits(place, "edges", (edge.source for edge in edges))
    taken = decided and any(_taken(edge, turn.node_run((edge.source, place[1]))) for edge in edges)
    if decided and not taken:
        turn.emit(NodeSkipped(node=place[0], path=place[1], by=edges[-1].source))
        return (place,)
    if turn.node(place).kind.speak is not None:
        return _output(turn, place, known, ready=taken)
    return _arrive(turn, place) if taken and known is None else ()


def _taken(edge: Edge, source: NodeRun | None) -> bool:
    if source is None or source.status != "completed" or edge.on_failure != source.took_failure_edge:
        return False
    return source.handle is None or edge.handle == source.handle


def _arrive(turn: Turn, place: Place) -> Iterable[Place]:
    node = turn.node(place)
    try:
        inputs = turn.inputs(place)
        start(turn, place, inputs)
        if node.kind.work is not None and not complete(turn, place, node.kind.work(node, inputs)):
            return ()
    except Problem as problem:
        fail(turn, place, said(problem))
        return ()
    if node.kind.ask is not None:
        try:
            node.kind.ask(node, inputs, Asking(keys_of(turn.run.terms), turn.limits.quiet_ms))
        except Problem as problem:
            return broke(turn, place, said(problem), again=False)
    return (place,)


def _output(turn: Turn, place: Place, known: NodeRun | None, *, ready: bool) -> Iterable[Place]:
    """An output node begins when its gates are settled and it is reached or something it shows began; it is complete when reached."""
    if known is None:
        if turn.still_waits(place, "gates", turn.graph.waits_for[place[0]]):
            return ()
        if not ready and not any(_began(turn.node_run((source, place[1]))) for source in turn.graph.early[place[0]]):
            return ()
        start(turn, place, None)
    if ready:
        return _complete_output(turn, place)
    show(turn)
    return ()


def _began(node: NodeRun | None) -> bool:
    return node is not None and node.status != "skipped"


def _complete_output(turn: Turn, place: Place) -> Iterable[Place]:
    try:
        whole_text(turn, place)
        inputs = turn.inputs(place)
    except Problem as problem:
        fail(turn, place, said(problem))
        return ()
    is_end = turn.node(place).kind.name == "node-end"
    if not show(turn):
        return ()
    turn.emit(
        NodeCompleted(
            node=place[0],
            path=place[1],
            progress=turn.progress_after,
            inputs=turn.values({} if is_end else inputs),
            outputs=turn.values(inputs if is_end else {}),
        )
    )
    return (place,) if show(turn) else ()


def _finish(turn: Turn) -> None:
    """The run is complete when nothing works, speaks or waits to speak, and nothing that is left can be reached."""
    run = turn.run
    if turn.full or run.working or run.floor or run.queue or run.line:
        return
    terminals = [(node.rank, place) for place, node in run.nodes.items() if node.status == "completed" and _is_terminal(turn, place)]
    ends = [one for one in terminals if turn.node(one[1]).kind.name == "node-end"]
    first = min(ends or terminals, default=None)
    outputs = run.nodes[first[1]].outputs if first else {}
    turn.emit(RunCompleted(outputs=turn.values(outputs), usage=run.usage))


def _is_terminal(turn: Turn, place: Place) -> bool:
    after = (turn.node_run((edge.target, place[1])) for edge in turn.graph.outgoing[place[0]])
    return not any(node is not None and node.status == "completed" for node in after)
