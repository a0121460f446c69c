"""Deciders in three words: `given(events).when(input).then(events)`, for flows and apps; `Story` tells a run.

A story drives a run from its document and keeps all its events; steps that were full go on at once, as the owner does.
It folds what people saw by itself, so that it does not trust the code it looks at.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

from events.commands import CancelRun, StartRun
from events.delta import NodeDelta
from events.envelope import Event, Protected
from events.node import NodeCompleted, OutputClosed, OutputReleased, Problem
from events.refusal import CommandRefused
from events.run import Turn, Usage
from services.core.deciders.decider import Decider
from services.core.language.graph import Graph, compile_
from services.core.running.effects import Broke, Called, Done, Outcome, Piece, Request, Responded
from services.core.running.run import Decision, Due, GoOn, Input, TakenOver, Told, decide, due_at, request
from services.core.running.run_state import Active, NotStarted, Place, RunState, evolve
from services.core.running.turn import Limits

I_ = TypeVar("I_")
S = TypeVar("S")
NOW = 1_000_000


@dataclass(frozen=True)
class Then:
    """What was decided."""

    events: Sequence[Event]

    def then(self, *expected: Event) -> None:
        assert list(self.events) == list(expected)

    def then_types(self, *types: str) -> None:
        assert [event.type for event in self.events] == list(types)

    def then_nothing(self) -> None:
        assert list(self.events) == []

    def then_refused(self, code: int) -> str:
        """One refusal and nothing else; its message."""
        assert [event.type for event in self.events] == [CommandRefused.type]
        (refused,) = self.events
        assert isinstance(refused, CommandRefused)
        assert refused.code == code
        return refused.message


@dataclass(frozen=True)
class Given(Generic[I_, S]):
    """A history."""

    decider: Decider[I_, S]
    state: S

    def when(self, input_: I_, time: int = NOW) -> Then:
        return Then(self.decider.decide(self.state, input_, time))

    def after(self, *wishes: I_) -> "Given[I_, S]":
        """The history with what these wishes lead to."""
        given = self
        for wish in wishes:
            given = Given(given.decider, fold(given.decider, given.state, given.decider.decide(given.state, wish, NOW)))
        return given


def fold(decider: Decider[I_, S], state: S, events: Sequence[Event]) -> S:
    for event in events:
        state = decider.evolve(state, event, NOW)
    return state


def given(decider: Decider[I_, S], *events: Event) -> Given[I_, S]:
    return Given(decider, fold(decider, decider.initial, events))


def wish_to_start(run: str = "1", **parameters: Any) -> StartRun:
    def words(of: Any) -> Any:
        return Protected(subject="demo/u", words=of)

    return StartRun(
        run=run, app="demo", subject="demo/u", uid=words("u"), flow="7", definition="d", mode="debug", surface="astron", stream=True,
        parameters=words(parameters), history=words(()), ext=words({}),
    )  # fmt: skip


@dataclass
class Shown:
    """What an output node has shown: pieces in order, by stage."""

    pieces: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    @property
    def content(self) -> str:
        return "".join(text for stage, text in self.pieces if stage == "content")

    @property
    def reasoning(self) -> str:
        return "".join(text for stage, text in self.pieces if stage == "reasoning")


class Story:
    """A run as it is told. Nodes are named as in `tests.support.flows`."""

    def __init__(self, document: Any, limits: Limits | None = None) -> None:
        self.graph: Graph = compile_(document)
        self.limits = limits or Limits()
        self.state: RunState = NotStarted()
        self.events: list[Event] = []
        self.steps: list[Sequence[Event]] = []
        self.now = NOW
        self.remembered: tuple[Turn, ...] = ()
        self._ids = {one.partition("::")[2]: one for one in self.graph.nodes}

    # what happens

    def take(self, input_: Input, *, go_on: bool = True) -> Decision:
        """One input; full steps go on unless told otherwise."""
        decision = self._step(input_)
        while decision.more and go_on:
            decision = self._step(GoOn())
        return decision

    def _step(self, input_: Input) -> Decision:
        decision = decide(self.state, input_, self.now, self.graph, self.limits, self.remembered)
        folded = self.state
        for event in decision.events:
            folded = evolve(folded, event, self.now)
        assert folded == decision.state, "the state is the fold of the events"
        self.state = decision.state
        self.events += decision.events
        self.steps.append(decision.events)
        return decision

    def start(self, **parameters: Any) -> Self:
        self.take(wish_to_start(**parameters))
        return self

    def tell(self, name: str, outcome: Outcome, attempt: int | None = None, path: tuple[int, ...] = ()) -> Self:
        place = (self._ids[name], path)
        known = self.state.nodes.get(place) if isinstance(self.state, Active) else None
        self.take(Told(place, attempt or (known.attempt if known else 1), outcome, len(known.steps) if known else 0))
        return self

    def say(self, name: str, *texts: str) -> Self:
        for text in texts:
            self.tell(name, Piece("content", text))
        return self

    def think(self, name: str, *texts: str) -> Self:
        for text in texts:
            self.tell(name, Piece("reasoning", text))
        return self

    def done(self, name: str, usage: Usage | None = None) -> Self:
        return self.tell(name, Done(usage))

    def fails(self, name: str, code: int = 20380, message: str = "the model failed", path: tuple[int, ...] = ()) -> Self:
        return self.tell(name, Broke(Problem(code=code, message=message)), path=path)

    def call(self, name: str) -> Self:
        self.tell(name, Called({}, "digest", "never"))
        return self.tell(name, Responded({}, "digest", 5))

    def wait(self, milliseconds: int) -> Self:
        self.now += milliseconds
        self.take(Due())
        return self

    def taken_over(self) -> Self:
        self.take(TakenOver())
        return self

    def cancel(self, app: str = "demo") -> Decision:
        return self.take(CancelRun(run="1", app=app, by="somebody"))

    # what is true then

    @property
    def active(self) -> Active:
        assert isinstance(self.state, Active)
        return self.state

    @property
    def over(self) -> bool:
        return not isinstance(self.state, Active)

    @property
    def due(self) -> int | None:
        return due_at(self.state, self.graph, self.limits)

    def asked(self, name: str, path: tuple[int, ...] = ()) -> Request:
        return self.asked_of(self.active, (self._ids[name], path))

    def asked_of(self, state: Active, place: Place) -> Request:
        return request(state, place, self.graph, self.limits)

    def of(self, type_: str, name: str | None = None) -> list[Any]:
        """Events of a type, of a node where one is named."""
        return [one for one in self.events if one.type == type_ and (name is None or getattr(one, "node", "") == self._ids[name])]

    def outputs(self, name: str) -> dict[str, Any]:
        (done,) = self.of(NodeCompleted.type, name)
        return done.outputs.words

    @property
    def last(self) -> Any:
        return self.events[-1]

    @property
    def told(self) -> list[str]:
        """The events in short: type, and the node's name where there is one."""
        return [" ".join([one.type, *([one.node.partition("::")[2]] if getattr(one, "node", "") else [])]) for one in self.events]

    def shown(self) -> list[tuple[str, str, str]]:
        """What people saw, in order: output node, stage, text. Fails where something is shown without the floor."""
        pieces: dict[tuple[str, tuple[int, ...], str], list[str]] = {}
        seen: list[tuple[str, str, str]] = []
        floor = ""
        for one in self.events:
            if one.type == "output.opened":
                assert floor == "", f"{getattr(one, 'node', '')} opened while {floor} speaks"
                floor = getattr(one, "node", "")
            found: list[tuple[str, str, str]] = []
            match one:
                case NodeDelta():
                    text = one.text.words or ""
                    pieces.setdefault((one.node, one.path, one.stage), []).append(text)
                    found = [(one.shown, one.stage, text)] if one.shown else []
                case OutputReleased():
                    assert (one.text is None) != (one.of is None)
                    texts = [one.text.words or ""] if one.text else []
                    if one.of:
                        assert 0 <= one.of.start < one.of.stop <= len(pieces.get((one.of.node, one.of.path, one.of.stage), []))
                        texts = pieces[one.of.node, one.of.path, one.of.stage][one.of.start : one.of.stop]
                    found = [(one.node, one.stage, text) for text in texts]
                case OutputClosed():
                    found = [(one.node, "content", one.text.words or "")]
                case _:
                    pass
            assert all(node == floor for node, _, _ in found), f"shown without the floor: {found}"
            seen += found
            if one.type == "output.closed":
                floor = ""
        return [(node.partition("::")[2], stage, text) for node, stage, text in seen]

    def screen(self, name: str) -> Shown:
        return Shown([(stage, text) for node, stage, text in self.shown() if node == name])

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(text for _, stage, text in self.shown() if stage == "content")

    @property
    def reasoning(self) -> str:
        return "".join(text for _, stage, text in self.shown() if stage == "reasoning")


def told(document: Any, **parameters: Any) -> Story:
    """A story that has begun."""
    return Story(document).start(**parameters)
