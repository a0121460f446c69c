"""One ownership's decisions, without the doing: what is decided is folded at once, numbered, and carries the claim.

In come commands with their place, outcomes and timers with their time; out go steps, each of which has to be written as a
whole. Nothing is read, written or waited for here: the owner does that, and so does the simulation in the tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from events import topics
from events.commands import AnswerQuestion, StartRun
from events.envelope import Envelope, Event, Meta
from events.run import RunTerms
from services.core.codes import Code
from services.core.language.graph import Graph
from services.core.running.questions import ends_at
from services.core.running.run import Due, GoOn, Input, TakenOver, Told, decide
from services.core.running.run_state import Active, Ended, Errand, NotStarted, RunState, errand_of
from services.core.running.turn import Limits
from services.processor.memory.state import Answer, PartitionState, Said
from services.processor.steps.watch import event_id

SOURCE = "prozess/processor"
Move = Told | Due | GoOn | TakenOver


@dataclass(frozen=True, slots=True)
class Step:
    """What one input led to: events that belong together. `more`: the step was full, `GoOn` has to follow."""

    run: str
    envelopes: Sequence[Envelope]
    more: bool
    before: Active | None = None
    """Where the run stood before a step that ended it."""

    @property
    def begun(self) -> list[Errand]:
        """The effects that may start once this step is in the log."""
        return [errand for one in self.envelopes if isinstance(one.data, Event) and (errand := errand_of(one.data)) is not None]


class Deciding:
    """The newest state of a partition, and everything that its owner says with this claim."""

    def __init__(self, claim: str, state: PartitionState, limits: Limits) -> None:
        self.state = state
        self._claim = claim
        self._limits = limits
        self._said = 0

    @property
    def said(self) -> int:
        """How many events were decided with this claim."""
        return self._said

    def needs_graph(self, command: Envelope) -> RunTerms | None:
        """The terms of the run whose definition must be at hand before the wish can be decided."""
        wish = command.data
        if command.meta.id in self.state.ids:
            return None
        if isinstance(wish, AnswerQuestion):
            run = self.state.runs.get(wish.run)
            return None if run is None else run.terms
        return wish if isinstance(wish, StartRun) else None

    def wish(self, command: Envelope, offset: int, time: int, graph: Graph | None) -> Step:
        """Decide the command that stands at `offset`: at least one event."""
        return self._answered(command, offset, time, self.state.decide(command, time, graph, self._limits))

    def refuse(self, command: Envelope, offset: int, time: int, code: Code, message: str) -> Step:
        """Say no to the command that stands at `offset`."""
        return self._answered(command, offset, time, self.state.refuse(command.meta, code, message))

    def move(self, run: str, input_: Input, time: int, graph: Graph) -> Step | None:
        """Decide an outcome, a timer, a takeover, or what another run wants of this one; None where the run is not open.

        Many leave no event.
        """
        state = self.state.run(run)
        if isinstance(input_, StartRun) and isinstance(state, NotStarted):
            app, trace = input_.app, input_.traceparent
        elif isinstance(state, Active):
            app, trace = state.terms.app, state.terms.traceparent
        else:
            return None
        decision = decide(state, input_, time, graph, self._limits)
        stream = topics.run_stream(run)
        return self._fold(
            run, [self._envelope(Said(stream, app, event), time, trace=trace) for event in decision.events], decision.more, decision.state
        )

    def taken_over(self) -> dict[str, int]:
        """What the last owner left: each open run, and when its time is over (ms since 1970). Each is moved by `TakenOver` next."""
        return {run: ends_at(state, self._limits.run_ms) for run, state in self.state.runs.awake.items()}

    def waits_for(self, run: str, errand: Errand) -> Active | None:
        """The run, if it still waits for this effect."""
        state = self.state.runs.get(run)
        return state if state is not None and state.errand(errand.place) == errand else None

    def _answered(self, command: Envelope, offset: int, time: int, answer: Answer) -> Step:
        wish, meta = command.data, command.meta
        run = wish.run if isinstance(wish, StartRun | AnswerQuestion) else meta.stream.removeprefix("run-")
        return self._fold(run, [self._envelope(said, time, meta, offset) for said in answer.said], answer.more, answer.state)

    def _fold(self, run: str, envelopes: Sequence[Envelope], more: bool, state: RunState | None) -> Step:
        """`state` is where the run stands after them, where deciding them has folded them."""
        over = isinstance(state, Ended) and bool(envelopes)
        before = self.state.runs.get(run) if over else None
        if state is not None and envelopes:
            self.state.adopt(run, envelopes, state)
        elif state is None:
            for envelope in envelopes:
                self.state.apply(envelope.meta, envelope.data)
        return Step(run, envelopes, more, before)

    def _envelope(self, said: Said, time: int, command: Meta | None = None, offset: int | None = None, trace: str = "") -> Envelope:
        self._said += 1
        meta = Meta(
            id=event_id(self._claim, self._said),
            type=said.event.type,
            version=said.event.version,
            stream=said.stream,
            time=time,
            source=SOURCE,
            app=said.app,
            actor=command.actor if command else "",
            claim=self._claim,
            cause=offset,
            command=command.id if command else "",
            traceparent=command.traceparent if command else trace,
        )
        return Envelope(meta, said.event)
