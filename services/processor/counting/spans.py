"""The spans of runs, of their node runs and of the effects of those: runs and nodes are a fold of what an owner has written.

In come steps that are in the log; out go spans, told when they are over. Their ids follow from what they are about, so that
the next owner, or whoever tells a child's, names the same ones. A node run that began before this ownership is
told as a moment, its run with all its time. Nothing here reads what people said.
"""

import time
from collections import OrderedDict

from events.node import NodeCompleted, NodeFailed, NodeStarted
from events.run import RunCancelled, RunCompleted, RunFailed, RunStarted, RunTerms, RunTimedOut
from services.core.running.effects import Broke, Called, Done, Outcome, Request, Responded
from services.core.running.run_state import Errand, Place
from services.kit.telling.traces import TRACE, Attribute, Span, Traces
from services.processor.steps.deciding import Step

_NAMES = {"ModelRequest": "model call", "AgentCallRequest": "model call"}
_KEPT = ("gen_ai.", "error.type", "server.")
_OPEN = 100_000
"""Node runs whose beginning is remembered; the oldest ones are forgotten first."""
_NodeRun = tuple[str, str, tuple[int, ...], int]
_End = RunCompleted | RunFailed | RunTimedOut | RunCancelled


class EffectSpan:
    """One effect's, from now on; what it calls belongs to it."""

    def __init__(self, traces: Traces, run: str, errand: Errand, request: Request) -> None:
        self._traces = traces
        self._above = TRACE.get()
        self._name = _NAMES.get(type(request).__name__) or f"effect {type(request).__name__.removesuffix('Request').lower()}"
        self._own = traces.begin(self._above, "effect", run, *errand.place, errand.attempt, errand.step)
        self._began = time.time()
        self._told: dict[str, Attribute] = {"prozess.run": run, "prozess.node": errand.place[0], "prozess.attempt": errand.attempt}
        self._failed = "interrupted"
        TRACE.set(self._own)

    def hear(self, outcome: Outcome) -> None:
        """Something that it told: numbers and names of models are kept, words are not."""
        if isinstance(outcome, Called | Responded):
            for name, value in outcome.attributes.items():
                if name.startswith(_KEPT) and isinstance(value, str | int | float):
                    self._told[name] = value
        elif isinstance(outcome, Broke):
            self._failed = str(outcome.problem.code)
        elif isinstance(outcome, Done):
            self._failed = ""

    def end(self) -> None:
        """It is over."""
        began, ended = self._began * 1000, time.time() * 1000
        self._traces.tell(Span(self._own, self._name, began, ended, self._above, "client", self._told, self._failed))


class Spans:
    """Of one ownership. Where nobody collects spans, only what is handed on is known."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces
        self._begun: OrderedDict[_NodeRun, tuple[int, str]] = OrderedDict()

    def of_errand(self, terms: RunTerms, errand: Errand) -> str:
        """What an effect belongs to: its node run."""
        return self._of_node(terms, errand.place, errand.attempt) if self._traces.on else terms.traceparent

    def note(self, step: Step, terms: RunTerms | None) -> None:
        """A step is in the log; `terms` are those of its run, where it is open."""
        terms, began = (step.before.terms, step.before.began) if step.before is not None else (terms, 0)
        for envelope in step.envelopes:
            data, time = envelope.data, envelope.meta.time
            if isinstance(data, RunStarted):
                terms, began = data, time
            if terms is None:
                continue
            if isinstance(data, NodeStarted):
                self._begun[(step.run, data.node, data.path, data.attempt)] = (time, data.kind)
                if len(self._begun) > _OPEN:
                    self._begun.popitem(last=False)
            elif isinstance(data, NodeCompleted | NodeFailed):
                self._node(step.run, terms, data, time)
            elif isinstance(data, _End):
                self._run(terms, data, began or time, time)

    def _run(self, terms: RunTerms, end: _End, began: int, time: int) -> None:
        told: dict[str, str | int] = {"prozess.run": terms.run, "prozess.flow": terms.flow, "prozess.surface": terms.surface}
        failed = "" if isinstance(end, RunCompleted) else str(end.code)
        self._traces.tell(Span(self._of_run(terms), "run", began, time, self._above(terms), "internal", told, failed))

    def _node(self, run: str, terms: RunTerms, end: NodeCompleted | NodeFailed, time: int) -> None:
        place = (end.node, end.path)
        key: _NodeRun = (run, *place, end.attempt)
        if end.problem is not None and isinstance(end, NodeCompleted) and key not in self._begun:
            return  # its failure was told already
        began, kind = self._begun.pop(key, (time, ""))
        told: dict[str, str | int] = {"prozess.run": run, "prozess.node": end.node, "prozess.attempt": end.attempt}
        if end.path:
            told["prozess.path"] = ".".join(map(str, end.path))
        failed = "" if end.problem is None else str(end.problem.code)
        name = f"node {kind}".rstrip()
        self._traces.tell(Span(self._of_node(terms, place, end.attempt), name, began, time, self._of_run(terms), "internal", told, failed))

    def _of_node(self, terms: RunTerms, place: Place, attempt: int) -> str:
        return self._traces.begin(self._of_run(terms), "node", terms.run, *place, attempt)

    def _of_run(self, terms: RunTerms) -> str:
        return self._traces.begin(self._above(terms), "run", terms.run)

    def _above(self, terms: RunTerms) -> str:
        """The request that started the run, or the node run whose child it is; empty for a run of no trace."""
        link = terms.parent
        if link is None or not terms.traceparent:
            return terms.traceparent
        return self._traces.begin(terms.traceparent, "node", link.run, link.node, link.path, link.attempt)
