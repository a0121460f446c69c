"""A failure inside a round that does not end the run: the node around it goes on without that round.

In comes a turn and the place that failed; out goes what has to be said of the round. Whether the node around goes on is its
own setting (an iteration's `errorStrategy`).
"""

from events.node import OutputClosed, RoundCompleted
from events.node import Problem as Said
from services.core.running.audit import say
from services.core.running.run_state import Place
from services.core.running.turn import Turn


def survivor(turn: Turn, place: Place) -> tuple[Place, int] | None:
    """The nearest node around that goes on although this place fails, and the round that is given up."""
    path = place[1]
    for depth, container in zip(range(len(path) - 1, -1, -1), turn.graph.around(place[0]), strict=True):
        body = turn.graph.nodes[container].kind.body
        if body is not None and body.survives(turn.graph.nodes[container]):
            return (container, path[:depth]), path[depth]
    return None


def give_up(turn: Turn, place: Place, number: int, problem: Said) -> None:
    """End a round that failed. An output node in there that speaks says no more."""
    run, within = turn.run, (*place[1], number)
    if run.floor is not None:
        node, path = run.floor.place
        if node in run.rounds[place].body and path[: len(within)] == within:
            say(turn, OutputClosed(node=node, path=path, text=turn.words("")))
    turn.emit(RoundCompleted(node=place[0], path=place[1], round=number, outputs=turn.values({}), problem=problem))
