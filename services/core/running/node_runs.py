"""The life of one node run as events: started, completed, failed, begun again.

In comes a turn and a place; out go the events, and where a failure was handled (astron.md 4.7) the places that moved.
Which node comes next is not decided here.
"""

from collections.abc import Sequence

from pydantic import JsonValue

from events.envelope import Protected
from events.node import Awaits, NodeCompleted, NodeFailed, NodeStarted, VariablesStored
from events.node import Problem as Said
from events.run import RunFailed, RunStepsExceeded, Usage
from events.run import Turn as Earlier
from services.core.codes import Code
from services.core.language.graph import defaults
from services.core.language.kind import Call, Finished, Node
from services.core.language.values import misfits
from services.core.problems import Problem
from services.core.running.children import begin
from services.core.running.rescue import give_up, survivor
from services.core.running.run_state import Place
from services.core.running.steps import ask
from services.core.running.turn import Turn

MAX_PAUSE_S = 300.0


def said(problem: Problem) -> Said:
    """What went wrong, as events tell it."""
    return Said(code=problem.code, message=problem.message)


def start(
    turn: Turn, place: Place, inputs: dict[str, JsonValue] | None, awaits: Awaits = "nothing", history: tuple[Earlier, ...] = ()
) -> None:
    """Record that a node began, and what it was given of the conversation before."""
    node, subject = turn.node(place), turn.run.terms.subject
    turn.emit(
        NodeStarted(
            node=place[0],
            path=place[1],
            kind=node.kind.name,
            alias=node.alias,
            progress=turn.progress,
            inputs=None if inputs is None else turn.values(inputs),
            awaits=awaits,
            body=turn.graph.inside(place[0]) if awaits == "rounds" else (),
            history=Protected[tuple[Earlier, ...]](subject=subject, words=history) if history else None,
        )
    )


def exhaust(turn: Turn, place: Place) -> None:
    """The run may take no further step, and there is one to take: that ends it."""
    limit = turn.limits.steps
    message = f"the run took more than {limit} steps (node runs)"
    turn.emit(RunStepsExceeded(code=Code.ENG_RUN_ERROR, message=message, node=place[0], usage=turn.run.usage, limit=limit))


def start_again(turn: Turn, place: Place, reason: str) -> None:
    """Record a new attempt. After another owner it goes on from the recorded text; after a failure it begins anew."""
    node = turn.node_run(place)
    assert node is not None, "what begins again has begun"
    turn.emit(
        NodeStarted.model_validate(
            {
                "node": place[0],
                "path": place[1],
                "attempt": node.attempt + 1,
                "kind": turn.node(place).kind.name,
                "alias": turn.node(place).alias,
                "progress": turn.progress,
                "reason": reason,
                "recorded": len(node.recorded[0]) if reason == "taken_over" else 0,
                "awaits": node.awaits,
                "step": len(node.steps),
                "inputs": turn.values(node.inputs or {}),
            }
        )
    )
    if node.awaits == "child":
        call = ask(turn.run, place, turn.graph, turn.limits)
        assert isinstance(call, Call), "who waits for a child calls it"
        begin(turn, place, call)


def complete(turn: Turn, place: Place, finished: Finished, usage: Usage | None = None, **more: object) -> bool:
    """Record a node's outputs, if they are of the declared types. False when the node failed instead (20601)."""
    node = turn.node(place)
    if finished.handle is not None and not any(edge.handle == finished.handle for edge in turn.graph.outgoing[place[0]]):
        fail(
            turn, place, Said(code=Code.ENG_RUN_ERROR, message=f"Branch not found: no edge leaves {node.alias} at {finished.handle}"), usage
        )
        return False
    wrong = misfits(finished.outputs, node.schema)
    if wrong:
        fail(turn, place, Said(code=Code.VARIABLE_POOL_SET_PARAMETER_ERROR, message=f"Node name: {node.alias}, {wrong}"), usage)
        return False
    completed(turn, place, finished, usage=usage, **more)
    return True


def completed(turn: Turn, place: Place, finished: Finished, **more: object) -> None:
    """Record a node's outputs as they are: defaults and presets need not fit what the node itself may answer."""
    known = turn.node_run(place)
    told = finished.remembered
    if told is not None:
        attempt = known.attempt if known else 1
        values = turn.values(told.values)
        turn.emit(VariablesStored(node=place[0], path=place[1], attempt=attempt, pool=told.pool, flow=told.flow, values=values))
    turn.emit(
        NodeCompleted.model_validate(
            {
                "node": place[0],
                "path": place[1],
                "attempt": known.attempt if known else 1,
                "progress": turn.progress_after(place),
                "outputs": turn.values(finished.outputs),
                "raw_output": turn.words(finished.raw_output) if finished.raw_output is not None else None,
                "handle": finished.handle,
                **more,
            }
        )
    )


def fail(turn: Turn, place: Place, problem: Said, usage: Usage | None = None) -> None:
    """A node's failure that ends the run, or the round where the node around goes on. Who never started is named with kind and alias."""
    node, known = turn.node(place), turn.node_run(place)
    rescued = survivor(turn, place)
    turn.emit(
        NodeFailed(
            node=place[0],
            path=place[1],
            attempt=known.attempt if known else 1,
            problem=problem,
            then="round" if rescued else "end",
            progress=turn.progress,
            kind="" if known else node.kind.name,
            alias="" if known else node.alias,
            usage=usage or (known.usage if known else None),
        )
    )
    if rescued:
        give_up(turn, *rescued, problem)
        return
    turn.emit(RunFailed(code=problem.code, message=problem.message, node=place[0], usage=turn.run.usage))


def broke(turn: Turn, place: Place, problem: Said, *, again: bool = True, usage: Usage | None = None) -> Sequence[Place]:
    """The chain of 4.7: an attempt whose first token was sent is final; else retry while attempts remain, else the strategy.

    `again` is False where another attempt could only fail the same way. Returns the places that moved.
    """
    node, known = turn.node(place), turn.node_run(place)
    assert known is not None, "what broke has begun"
    retry = node.retry
    sent = node.kind.streams(node) and bool(len(known.content) or len(known.reasoning))
    then = "end"
    if retry.should_retry and node.kind.retries and not sent:
        left = again and known.failures < retry.max_retries
        then = "retry" if left else {0: "end", 1: "preset", 2: "branch"}[retry.error_strategy]
    preset = _preset(node) if then == "preset" else Finished()
    if then == "end" or preset is None:
        fail(turn, place, problem, usage)
        return ()
    pause = _pause_ms(retry.interval, known.failures)
    turn.emit(
        NodeFailed.model_validate(
            {
                "node": place[0],
                "path": place[1],
                "attempt": known.attempt,
                "problem": problem,
                "then": then,
                "progress": turn.progress,
                "usage": usage,
                "again_at": turn.time + pause if then == "retry" and pause else None,
            }
        )
    )
    if then == "retry":
        if not pause:
            start_again(turn, place, reason="retried")
        return ()
    completed(turn, place, preset, problem=problem, took_failure_edge=then == "branch", usage=known.usage)
    return (place,)


def _pause_ms(interval: float, failures: int) -> int:
    """How long to wait before the next attempt after so many failures: twice as long each time."""
    return round(min(interval * 2 ** min(failures, 30), MAX_PAUSE_S) * 1000)


def _preset(node: Node) -> Finished | None:
    """What stands in for the result of a node that failed; None where a branch would have to be taken and none is known."""
    outputs = {**defaults(node), **node.retry.custom_output}
    if node.kind.handles is None or node.kind.preset_handle is None:
        return Finished(outputs)
    handle = node.kind.preset_handle(node, outputs)
    return None if handle is None else Finished(outputs, handle=handle)
