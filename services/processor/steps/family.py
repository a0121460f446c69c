"""Runs that work for nodes of other runs: what one of them decides is followed by the others in the same step.

In comes a step of a run; out go the steps that follow from it: children begin, are answered and are cancelled, parents
hear what children show, ask and end with. All of them are written as a whole, so that no owner ever finds a parent without
its child, or an ended child whose parent does not know. Both stand in the same partition: nothing is sent.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from events.commands import CancelRun, StartRun
from events.envelope import Event
from events.node import ChildStarted
from events.node import Problem as Said
from events.question import QuestionAnswered
from events.run import Usage
from services.core.codes import Code
from services.core.language.graph import NO_GRAPH, Graph
from services.core.language.kind import Call
from services.core.running.children import ChildTold, Ending, Relayed, told_by, wish_of
from services.core.running.run import Input
from services.core.running.run_state import Active, NotStarted, Place, RunState
from services.core.running.steps import ask
from services.core.running.turn import Limits
from services.processor.steps.deciding import Deciding, Step

GraphOf = Callable[[str, str], Graph | None]
"""The graph of a run (by id) that follows this definition, None where it is not at hand."""


@dataclass(frozen=True, slots=True)
class Following:
    """An input that follows from another run's step."""

    run: str
    input: Input
    definition: str = ""


class Family:
    """The followers of each step of one partition."""

    def __init__(self, deciding: Deciding, limits: Limits, graph_of: GraphOf) -> None:
        self._deciding = deciding
        self._limits = limits
        self._graph_of = graph_of

    def with_followers(self, step: Step, before: RunState, time: int) -> list[Step]:
        """The step and all that follows from it, in the order in which they have to be written."""
        steps, waiting = [step], deque(self._after(step, before, time))
        while waiting:
            following = waiting.popleft()
            state = self._deciding.state.run(following.run)
            if not isinstance(state, Active) and not isinstance(following.input, StartRun):
                continue
            graph = self._graph(following, state)
            if graph is None:
                waiting.extend(self._without_graph(following))
                continue
            made = self._deciding.move(following.run, following.input, time, graph)
            if made is not None and (made.envelopes or made.more):
                steps.append(made)
                waiting.extend(self._after(made, state, time))
        return steps

    def above(self, state: Active) -> Iterator[str]:
        """The open runs that wait for this one, the nearest first."""
        link = state.terms.parent
        while link is not None and (parent := self._deciding.state.runs.get(link.run)) is not None:
            yield link.run
            link = parent.terms.parent

    def around(self, state: Active) -> Iterator[str]:
        """The runs above this one, and all that work for it."""
        yield from self.above(state)
        below = list(state.children)
        while below:
            child = below.pop()
            yield child
            known = self._deciding.state.runs.get(child)
            below += list(known.children) if known is not None else ()

    def _graph(self, following: Following, state: RunState) -> Graph | None:
        if isinstance(following.input, CancelRun):
            return NO_GRAPH
        definition = state.terms.definition if isinstance(state, Active) else following.definition
        return self._graph_of(following.run, definition)

    def _without_graph(self, following: Following) -> Iterator[Following]:
        """A child that cannot begin now is told as one that failed; other inputs find nobody any more."""
        parent = following.input.parent if isinstance(following.input, StartRun) else None
        if parent is not None:
            problem = Said(code=Code.WORKFLOW_EXECUTION_ERROR, message="the definition of the sub-flow is not at hand; try again")
            place: Place = (parent.node, parent.path)
            yield Following(parent.run, ChildTold(place, following.run, end=Ending(problem, None, Usage())))

    def _after(self, step: Step, before: RunState, time: int) -> Iterator[Following]:
        events = [one.data for one in step.envelopes if isinstance(one.data, Event)]
        now = self._deciding.state.run(step.run)
        open_now = now.children if isinstance(now, Active) else {}
        for child in before.children if isinstance(before, Active) else ():
            if child not in open_now and (state := self._deciding.state.runs.get(child)) is not None:
                yield Following(child, CancelRun(run=child, app=state.terms.app, by=f"run-{step.run}"))
        for event in events if open_now else ():
            if isinstance(event, ChildStarted) and isinstance(now, Active) and event.child in open_now:
                yield from self._begin(step.run, now, (event.node, event.path))
            if isinstance(event, QuestionAnswered):
                for child, place in open_now.items():
                    if place == (event.node, event.path):
                        yield Following(child, Relayed(event.event_type, event.content.words or "", event.by))
        yield from self._upwards(step, before, now, events, time)

    def _begin(self, run: str, state: Active, place: Place) -> Iterator[Following]:
        graph = self._graph_of(run, state.terms.definition)
        if graph is None:
            return
        call = ask(state, place, graph, self._limits)
        if isinstance(call, Call):
            wish = wish_of(state, place, call)
            yield Following(wish.run, wish, wish.definition)

    def _upwards(self, step: Step, before: RunState, now: RunState, events: list[Event], time: int) -> Iterator[Following]:
        known = next((one for one in (now, before) if isinstance(one, Active)), None)
        if known is not None and known.terms.parent is None:
            return
        definition = known.terms.definition if known is not None else next((getattr(one, "definition", "") for one in events), "")
        graph = self._graph_of(step.run, definition) or NO_GRAPH
        found = told_by(before if isinstance(before, Active) else NotStarted(), events, graph, time)
        if found is not None:
            yield Following(*found)
