"""The world of one schedule: the log, what is on its way to it, the group, those who read, and what is remembered for the check."""

from dataclasses import dataclass

from events import topics
from events.envelope import Record, meta_of
from services.core.running.run_state import Place
from tests.support.simulation import flows
from tests.support.simulation.choices import Choices, Over
from tests.support.simulation.fold import claim_in
from tests.support.simulation.follower import Follower
from tests.support.simulation.log import Sending, Topic
from tests.support.simulation.processor import Processor
from tests.support.simulation.remembering import differs
from tests.support.simulation.rules import Rules, Trouble

NAMES = ("P1", "P2", "P3")
OLD = "P3"


@dataclass(frozen=True)
class Effect:
    """An effect that was started: by which ownership, and what its `node.started` was."""

    claim: str
    claimed_at: int
    run: str
    place: Place
    node_started: str
    on_record: bool


class World:
    """What happens in it is up to `tests.support.simulation.play`. `told` is the story, where it is asked for."""

    def __init__(self, rules: Rules, trouble: Trouble, choices: Choices, *, tell: bool = False) -> None:
        self.rules = rules
        self.trouble = trouble
        self.told: list[str] | None = [] if tell else None
        self.time = flows.NOON
        self.commands = Topic("commands-1")
        self.events = Topic("events-1")
        self.snapshots = Topic("snapshots-1")
        self.begun_with = 0
        self.misled = False
        self.committed: int | None = None
        self.effects: list[Effect] = []
        self.steps: list[list[str]] = []
        self.answers: dict[str, str] = {}
        self.wishes: list[tuple[str, str, Record]] = []
        self.cancelled: set[str] = set()
        self.restless = False
        self.lost = False
        self.stopped_for_nothing = False
        self.moved = False
        self._choices = choices
        self._pick = choices.pick
        self._left = {name: getattr(trouble, name) for name in Trouble.__dataclass_fields__}
        self._numbers = 0
        self._flying: list[Sending] = []
        self._late: list[Sending] = []
        self._broken: set[str] = set()
        self._member = ""
        self._actors: list[Processor] = []
        self.followers = [Follower(self), Follower(self)]

    # What processes see (see `tests.support.simulation.taking.Around`).

    def claim_id(self) -> str:
        return f"c{self._number()}"

    def send(self, producer: str, records: list[Record]) -> Sending:
        sending = Sending(producer, records)
        self._flying.append(sending)
        return sending

    def confirms(self, name: str) -> bool:
        return self._member == name

    def says(self, name: str, *what: object) -> None:
        if self.told is not None:
            self.told.append(f"{name} {' '.join(map(str, what))}")

    def begins_effect(self, claim: str, claimed_at: int, run: str, place: Place, node_started: str) -> None:
        on_record = self.lost or any(meta_of(one.record).id == node_started for one in reversed(self.events.stored))
        self.says(claim, "starts the effect of", node_started)
        self.effects.append(Effect(claim, claimed_at, run, place, node_started, on_record))

    def decided(self, ids: list[str]) -> None:
        self.steps.append(ids)

    def acknowledged(self, command: str, event: str) -> None:
        self._answer(command, event)

    def may_snapshot(self) -> bool:
        return self._may("snapshots")

    def begins_with_snapshot(self, *, doubtful: bool) -> None:
        self.begun_with += 1
        if doubtful:
            self.compare()

    def compare(self) -> None:
        self.misled = self.misled or differs(self.rules, self.identity(topics.EVENTS), self.events, self.snapshots)

    def begins_snapshot(self) -> None:
        self._left["snapshots"] -= 1

    def stops(self, why: Exception) -> None:
        self.stopped_for_nothing = self.stopped_for_nothing or (not self.lost and "what was between is lost" in str(why))

    def identity(self, topic: str) -> str:
        found = self.events if topic == topics.EVENTS else self.commands
        return found.identity if self.rules.topic else "the same"

    # What happens to what was sent, and who has the partition.

    def _land(self, sending: Sending) -> None:
        self._flying.remove(sending)
        if sending.producer in self._broken:
            sending.fate = "failed"
            self.says(sending.producer, "has lost records: sequence error")
            return
        sending.first = self.events.append(sending.records, sending.producer)
        sending.fate = "landed"
        self.says(sending.producer, f"has {len(sending.records)} records at {sending.first}")
        if claim_in(sending.records[0]) and self._may("doubled_claims") and self._chance(3):
            self._late.append(sending)
            self.says("the log", "will have a copy of that claim later")

    def _arrived(self, late: Sending) -> None:
        if late.producer not in self._broken:
            self.says("late:", f"{len(late.records)} records at", self.events.append(late.records, late.producer))

    def _assign(self, which: int) -> None:
        name = NAMES[which]
        self._member = name
        self.says("the group", "gives the partition to", name, "(an older program)" if name == OLD else "")
        if not self._holds(name):
            self._actors.append(Processor(self, name, old=name == OLD))

    def _holds(self, name: str) -> bool:
        return any(actor.name == name and actor.alive and not actor.stopping for actor in self._actors)

    def _end_everybody(self) -> None:
        for actor in self._actors:
            actor.alive = False
        self._flying.clear()
        self._late.clear()
        self._member = ""

    # What is remembered, and chances.

    def _answers(self, follower: Follower) -> None:
        if self.rules.answer_accepted:
            for event in follower.seen:
                if event.meta.command:
                    self._answer(event.meta.command, event.meta.id)

    def _answer(self, command: str, event: str) -> None:
        self.answers.setdefault(command, event)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _may(self, what: str) -> bool:
        return self._left[what] > 0

    def _chance(self, one_in: int) -> bool:
        try:
            return self._choices.chance(one_in)
        except Over:
            return False
