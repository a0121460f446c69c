"""Which node comes next (astron.md 4.8), without enumerating paths.

A node is ready when every edge into it is decided and one of them is taken; it is skipped when none is. Output nodes may
begin early, beside what they show (3.7). In comes a turn and the places that moved; out go node events until nothing moves.
"""

from collections import deque
from collections.abc import Iterable, Iterator

from pydantic import JsonValue

from events.delta import NodeDelta
from events.node import NodeCompleted, NodeSkipped
from events.run import RunCompleted
from services.core.language.kind import Finished
from services.core.language.wiring import OUTSIDE, Edge
from services.core.problems import Problem
from services.core.running.audit import listen
from services.core.running.effects import Piece
from services.core.running.node_runs import broke, complete, exhaust, fail, said, start
from services.core.running.questions import ask
from services.core.running.release import shown_at, speak, whole_text
from services.core.running.rounds import at_once, close, go_on, held_back
from services.core.running.run_state import Active, NodeRun, Place
from services.core.running.steps import awaits_of, first
from services.core.running.turn import Turn


def advance(turn: Turn, moved: Iterable[Place]) -> None:
    """Decide everything that follows, until the run waits for the world, ends, or the step is full."""
    waiting = deque(moved)
    while not turn.over and not turn.full:
        if waiting:
            node, path = waiting.popleft()
            for target in (*(edge.target for edge in turn.graph.outgoing[node]), *turn.graph.awakens.get(node, ())):
                waiting.extend(_look_at(turn, (target, path)))
                if turn.over or turn.full:
                    return
        elif not show(turn):
            return
        else:
            told = len(turn.events)
            waiting.extend(_rounds(turn))
            if not turn.over and len(turn.events) == told:
                ask(turn)
            if len(turn.events) == told:
                break
    if not turn.over:
        _finish(turn)


def sweep(turn: Turn) -> None:
    """Look at every place that is not settled, once: what a full step left behind goes on."""
    moved: list[Place] = []
    for place in _places(turn):
        moved.extend(_look_at(turn, place))
        if turn.over or turn.full:
            return
    advance(turn, moved)


def _places(turn: Turn) -> Iterator[Place]:
    """Every place that can be ready: outside of all bodies, and in all open rounds. Starts are begun with what they start."""
    for node, owner in turn.graph.owners.items():
        if owner == OUTSIDE and node != turn.graph.start:
            yield node, ()
    for (container, path), known in tuple(turn.run.rounds.items()):
        for number in known.open:
            for node in turn.graph.bodies[container]:
                if turn.graph.incoming[node]:
                    yield node, (*path, number)


def _rounds(turn: Turn) -> Iterable[Place]:
    """Close rounds and open others; the places that moved. Where rounds are open side by side, later ones may be shown now."""
    moved: list[Place] = []
    for place in tuple(turn.run.rounds):
        if turn.over or turn.full or place not in turn.run.rounds:
            continue
        close(turn, place)
        if at_once(turn, place) > 1:
            for one in tuple(_places(turn)):
                if not turn.over and one[1] and turn.node_run(one) is None and turn.node(one).kind.speak is not None:
                    moved.extend(_look_at(turn, one))
        if not turn.over and place in turn.run.rounds:
            moved.extend(go_on(turn, place))
    return moved


def unfinished(turn: Turn) -> bool:
    """Whether the step ended because it was full, not because the run waits for something."""
    return turn.full and not turn.over


def show(turn: Turn) -> bool:
    """Show all that may be shown. False when something could not be rendered: that ends the run in the node that has the floor."""
    while not turn.over:
        try:
            speak(turn)
        except Problem as problem:
            floor = turn.run.floor
            assert floor is not None, "only who has the floor is rendered"
            fail(turn, floor.place, said(problem))
        else:
            listen(turn)
            return True
    return False


def hear(turn: Turn, place: Place, attempt: int, pieces: Iterable[Piece]) -> None:
    """A node said something: it is shown now, or later by reference.

    Where a piece is shown at once, so is the next one of its stage: it is looked for only when the stage changes.
    """
    deltas: list[NodeDelta] = []
    stage, shown, unit = "", "", 0
    for piece in pieces:
        if piece.stage != stage or not shown:
            turn.say(deltas)
            deltas = []
            stage, (shown, unit) = piece.stage, shown_at(turn, place, piece.stage) or ("", 0)
        text = turn.words(piece.text)
        deltas.append(NodeDelta(node=place[0], path=place[1], attempt=attempt, stage=piece.stage, text=text, shown=shown, unit=unit))
        if not shown:
            turn.say(deltas)
            deltas = []
            show(turn)
            if turn.over:
                return
    turn.say(deltas)


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
    if known is None and taken and turn.exhausted:
        exhaust(turn, place)
        return ()
    if turn.node(place).kind.speak is not None:
        return _output(turn, place, known, ready=taken)
    return _arrive(turn, place) if taken and known is None else ()


def _taken(edge: Edge, source: NodeRun | None) -> bool:
    if source is None or source.status != "completed" or edge.on_failure != source.took_failure_edge:
        return False
    return source.handle is None or edge.handle == source.handle


def _arrive(turn: Turn, place: Place) -> Iterable[Place]:
    kind = turn.node(place).kind
    try:
        inputs = turn.inputs(place)
    except Problem as problem:
        fail(turn, place, said(problem))
        return ()
    if kind.ask is not None:
        return _asks(turn, place, inputs)
    if kind.body is not None:
        start(turn, place, inputs, awaits="rounds")
        return (place, *go_on(turn, place))
    start(turn, place, inputs)
    assert kind.work is not None, "a node works, asks, speaks or runs rounds"
    try:
        finished = kind.work(turn.node(place), inputs)
    except Problem as problem:
        return broke(turn, place, said(problem), again=False)
    return (place,) if complete(turn, place, finished) else ()


def _asks(turn: Turn, place: Place, inputs: dict[str, JsonValue]) -> Iterable[Place]:
    try:
        history = turn.history(place, inputs)
        asked = first(turn, place, inputs, history)
    except Problem as problem:
        start(turn, place, inputs)
        return broke(turn, place, said(problem), again=False)
    start(turn, place, inputs, awaits_of(asked), history)
    if isinstance(asked, Finished) and not complete(turn, place, asked):
        return ()
    return (place,)


def _output(turn: Turn, place: Place, known: NodeRun | None, *, ready: bool) -> Iterable[Place]:
    """An output node begins when its gates are settled and it is reached or something it shows began; it is complete when reached."""
    if known is None:
        if held_back(turn, place) or turn.still_waits(place, "gates", turn.graph.waits_for[place[0]]):
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
            progress=turn.progress_after(place),
            inputs=turn.values({} if is_end else inputs),
            outputs=turn.values(inputs if is_end else {}),
        )
    )
    return (place,) if show(turn) else ()


def _finish(turn: Turn) -> None:
    """The run is complete when nothing works, speaks or waits to speak, and nothing that is left can be reached."""
    run = turn.run
    if turn.full or run.working or run.waiting or run.floor or run.queue or run.line or _is_judged(run):
        return
    terminals = [(node.rank, place) for place, node in run.nodes.items() if node.status == "completed" and _is_terminal(turn, place)]
    ends = [one for one in terminals if turn.node(one[1]).kind.name == "node-end"]
    first = min(ends or terminals, default=None)
    outputs = run.nodes[first[1]].outputs if first else {}
    turn.emit(RunCompleted(outputs=turn.values(outputs), usage=run.usage))


def _is_judged(run: Active) -> bool:
    """Whether something of it has to pass the content audit before it can end."""
    audit = run.audit
    return audit is not None and (not audit.entered or audit.asked is not None or bool(audit.marks))


def _is_terminal(turn: Turn, place: Place) -> bool:
    after = (turn.node_run((edge.target, place[1])) for edge in turn.graph.outgoing[place[0]])
    return not any(node is not None and node.status == "completed" for node in after)
