"""The rounds of iterations and loops: opened as far as their node allows, closed when everything inside is settled and shown.

In comes a turn and the place of a node that runs rounds; out go `round.opened`, the start of the body at the path of the
round, `round.completed`, and in the end the node's own result. What is ready inside a round is decided where it is decided
outside of all rounds.
"""

from collections.abc import Sequence

from events.node import RoundCompleted, RoundOpened
from services.core.language.kind import Body, Finished, Next
from services.core.problems import Problem
from services.core.running.node_runs import complete, exhaust, fail, said, start
from services.core.running.run_state import NodeRun, Place
from services.core.running.turn import Turn


def go_on(turn: Turn, place: Place) -> Sequence[Place]:
    """Open the rounds that may be opened, or end the node; the places that moved."""
    moved: list[Place] = []
    body = _body(turn, place)
    while not turn.over and not turn.full:
        known = turn.run.rounds.get(place)
        if known is None or len(known.open) >= at_once(turn, place):
            break
        node = turn.run.nodes[place]
        try:
            what = body.next(turn.node(place), node.inputs or {}, known.opened, known.results)
        except Problem as problem:
            fail(turn, place, said(problem))
            break
        if what is None:
            break
        if isinstance(what, Finished):
            moved += [place] if complete(turn, place, what) else []
            break
        if turn.exhausted:
            exhaust(turn, place)
            break
        moved += _open(turn, place, known.opened, what)
    return moved


def _open(turn: Turn, place: Place, number: int, what: Next) -> Sequence[Place]:
    turn.emit(RoundOpened(node=place[0], path=place[1], round=number, values=turn.values(what.values), of=what.of))
    first: Place = (_body(turn, place).start(turn.node(place)), (*place[1], number))
    start(turn, first, what.values)
    return [first] if complete(turn, first, Finished(what.values)) else []


def at_once(turn: Turn, place: Place) -> int:
    """How many rounds of a node may be open at once."""
    return _body(turn, place).parallel(turn.node(place))


def close(turn: Turn, place: Place) -> None:
    """Record the open rounds that are done."""
    done = [number for number in turn.run.rounds[place].open if _is_done(turn, place, number)]
    for number in done:
        if turn.full:
            break
        end = _end(turn, place, number)
        outputs = turn.run.nodes[end].outputs if end else {}
        leaves = end is not None and turn.node(end).kind.name in _body(turn, place).exit_kinds
        turn.emit(RoundCompleted(node=place[0], path=place[1], round=number, outputs=turn.values(outputs), exit=leaves))


def held_back(turn: Turn, place: Place) -> bool:
    """Whether an output node has to wait for earlier rounds: what people see of rounds comes in their order."""
    path = place[1]
    for depth, container in zip(range(len(path) - 1, -1, -1), turn.graph.around(place[0]), strict=True):
        known = turn.run.rounds.get((container, path[:depth]))
        if known is not None and known.open and min(known.open) < path[depth]:
            return True
    return False


def is_inside(turn: Turn, inner: Place, place: Place, number: int) -> bool:
    """Whether a place stands in this round of a node."""
    path = (*place[1], number)
    return inner[1][: len(path)] == path and inner[0] in turn.run.rounds[place].body


def _body(turn: Turn, place: Place) -> Body:
    body = turn.node(place).kind.body
    assert body is not None, "only nodes with a body run rounds"
    return body


def _is_done(turn: Turn, place: Place, number: int) -> bool:
    within = (*place[1], number)
    if turn.still_waits((place[0], within), "round", turn.graph.bodies[place[0]]):
        return False
    run = turn.run
    speaks = [run.floor.place] if run.floor else []
    speaks += [mark.place for mark in run.audit.marks] if run.audit else []
    return not any(is_inside(turn, one, place, number) for one in (*speaks, *run.queue))


def _end(turn: Turn, place: Place, number: int) -> Place | None:
    """The end that the round reached: the first, where one that leaves the loop goes before all others."""
    body, within = _body(turn, place), (*place[1], number)
    found: list[tuple[bool, int, str]] = []
    for one in turn.graph.bodies[place[0]]:
        kind = turn.graph.nodes[one].kind.name
        node: NodeRun | None = turn.node_run((one, within)) if kind in body.end_kinds else None
        if node is not None and node.status == "completed":
            found.append((kind not in body.exit_kinds, node.rank, one))
    return (min(found)[2], within) if found else None
