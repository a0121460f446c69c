"""Runs whose words are judged: a story with a judge, and a check that nobody sees what did not pass.

`judge` gives the verdict that is waited for, or lets a rule give all of them. The check folds the events by itself: each text
that is shown has to stand at the front of what a verdict has released.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Self

from events.audit import AuditAsked, AuditJudged
from events.envelope import Event
from events.node import OutputClosed, OutputReleased
from services.core.running.effects import AuditRequest, Broke, Done, Judgement, Piece
from services.core.running.node_run import AUDIT
from services.core.running.run import TakenOver, Told
from services.core.running.turn import Limits
from tests.support.random_flows import TEXTS
from tests.support.spec import Story, wish_to_start

Rule = Callable[[AuditRequest], bool]


def everything(_: AuditRequest) -> bool:
    return True


def without(*words: str) -> Rule:
    return lambda request: not any(word in request.text for word in words)


class Audited(Story):
    """A story of an audited run. With a `rule` verdicts come at once, else `judge` has to be called."""

    def __init__(self, document: Any, rule: Rule | None = everything, limits: Limits | None = None) -> None:
        super().__init__(document, limits)
        self.rule = rule
        self.asked_for: list[AuditRequest] = []

    def start(self, **parameters: Any) -> Self:
        self.take(wish_to_start(**parameters).model_copy(update={"audit": "own"}))
        return self

    def take(self, input_: Any, *, go_on: bool = True) -> Any:
        decision = super().take(input_, go_on=go_on)
        while self.rule is not None and self.waits:
            self.judge(passed=self.rule(self.judged))
        return decision

    @property
    def waits(self) -> bool:
        return not self.over and self.active.audit is not None and self.active.audit.asked is not None

    @property
    def judged(self) -> AuditRequest:
        """What the provider is asked now."""
        request = self.asked_of(self.active, AUDIT)
        assert isinstance(request, AuditRequest)
        return request

    def judge(self, *, passed: bool = True) -> Self:
        return self.verdict(Judgement("test", passed, "none" if passed else "discontinue"))

    def verdict(self, outcome: Judgement | Broke) -> Self:
        errand = self.active.errand(AUDIT)
        assert errand is not None
        self.asked_for.append(self.judged)
        Story.take(self, Told(AUDIT, errand.attempt, outcome, errand.step))
        return self


def unjudged(events: list[Event]) -> list[str]:
    """What was shown before it passed; empty in a run as it should be."""
    asked: dict[int, AuditAsked] = {}
    allowed, wrong = 0, list[str]()
    for event in events:
        match event:
            case AuditAsked():
                asked[event.number] = event
            case AuditJudged(verdict="pass", of="output"):
                allowed += asked[event.number].covers
            case OutputReleased() | OutputClosed():
                assert not isinstance(event, OutputReleased) or event.of is None
                text = (event.text.words if event.text else None) or ""
                allowed -= len(text)
                wrong += [text] if allowed < 0 else []
            case _:
                assert not getattr(event, "shown", "")
    return wrong


def tell(story: Audited, seed: int, *, faults: bool = True) -> Audited:
    """A whole run: models speak in turns, verdicts come sometimes at once and sometimes late, owners change."""
    chance = Random(seed)
    story.start(q="Q")
    for step in range(400):
        if story.over:
            return story
        if faults and chance.random() < 0.05:
            story.take(TakenOver())
        places = sorted(story.active.working)
        if story.waits and (not places or chance.random() < 0.4):
            story.judge()
            continue
        place = chance.choice(places)
        choice = chance.randrange(4) if step < 60 else 0
        if choice == 0:
            outcome: Any = Done()
        elif choice == 1 and not len(story.active.nodes[place].content):
            outcome = Piece("reasoning", chance.choice((*TEXTS, "so.")))
        else:
            outcome = Piece("content", chance.choice((*TEXTS, "Yes. ", "no; x")))
        story.take(Told(place, story.active.nodes[place].attempt, outcome))
    raise AssertionError("the run does not end")
