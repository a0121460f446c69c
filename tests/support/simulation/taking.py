"""Taking a partition over: the plan of `services.processor.taking.claiming`, answered from the log of the simulation.

Between fold, confirmation, claim, and the reading of the claim the schedule may do something else.
"""

from typing import Any, Protocol

from events import topics
from events.acceptance import Checkpoint
from events.envelope import Record, StoredRecord
from services.core.running.run_state import Place
from services.kit.errors import AppendFailed, NotMember
from services.processor.taking.claiming import taking_over
from services.processor.taking.plan import Ask, Bounds, Confirm, Identity, Read, Turn, Write
from tests.support.simulation import flows
from tests.support.simulation.fold import PlayedFold
from tests.support.simulation.log import Sending, Topic
from tests.support.simulation.remembering import PlayedFound, empty
from tests.support.simulation.rules import Rules


class Around(Protocol):
    """What a process sees of the world."""

    rules: Rules
    time: int
    commands: Topic
    events: Topic
    snapshots: Topic
    committed: int | None

    def claim_id(self) -> str: ...
    def send(self, producer: str, records: list[Record]) -> Sending: ...
    def confirms(self, name: str) -> bool: ...
    def says(self, name: str, *what: object) -> None: ...
    def begins_effect(self, claim: str, claimed_at: int, run: str, place: Place, node_started: str) -> None: ...
    def decided(self, ids: list[str]) -> None: ...
    def acknowledged(self, command: str, event: str) -> None: ...
    def identity(self, topic: str) -> str: ...
    def stops(self, why: Exception) -> None: ...
    def may_snapshot(self) -> bool: ...
    def begins_snapshot(self) -> None: ...

    def begins_with_snapshot(self, *, doubtful: bool) -> None: ...

    lost: bool


class Taking:
    """One attempt. `resume` is where the commands go on, once the partition is taken."""

    def __init__(self, around: Around, name: str, *, old: bool, anew: bool) -> None:
        self.claim = around.claim_id()
        self.claimed_at = -1
        self.resume: int | None = None
        self.fold = PlayedFold(Checkpoint(_identity(around, topics.EVENTS), 0), around.rules, old=old)
        self.state = empty(around.rules)
        self._around = around
        self._name = name
        found = PlayedFound(self.state.runs.rows, around.rules, only_keys=anew)
        self._plan = taking_over(self.fold, self.state, 0, self.claim, lambda: around.time, found=found)
        self._turn: Ask | None = None
        self._ended = around.events.end
        self._sent: Sending | None = None

    @property
    def waits(self) -> bool:
        """Whether the claim is under way."""
        return self._sent is not None and self._sent.fate == "flying"

    def step(self) -> None:
        """The plan's next turn. Raises what ends it."""
        if self._sent is not None:
            self._claimed()
        else:
            self._ask()

    def _ask(self) -> None:
        """The plan up to its next turn: something may come between snapshots, fold, confirmation, claim, and the reading of the claim."""
        answer = None if self._turn is None else self._answered(self._turn)
        self._turn = None
        if self._sent is not None:
            return
        try:
            while True:
                ask = self._plan.send(answer)
                if self._gives_way(ask):
                    self._turn = ask
                    return
                answer = self._answered(ask)
        except StopIteration as taken:
            self.resume = taken.value

    def _gives_way(self, ask: Ask) -> bool:
        """Whether others have their turn before this; those who write snapshots too, where there are any."""
        match ask:
            case Confirm() | Write():
                return True
            case Read(topics.SNAPSHOTS, start, _):
                return start > self._around.snapshots.base
            case Bounds(topics.EVENTS):
                return self._around.snapshots.end > 0
            case _:
                return False

    def _answered(self, ask: Ask) -> Any:
        around, rules = self._around, self._around.rules
        match ask:
            case Turn():
                return None
            case Identity(topic):
                return _identity(around, topic)
            case Bounds(topics.SNAPSHOTS):
                return (around.snapshots.base, around.snapshots.end)
            case Read(topics.SNAPSHOTS, start, limit):
                return around.snapshots.read(start, limit)
            case Bounds(topics.EVENTS) if not rules.end_after:
                return (around.events.base, self._ended)
            case Bounds(topic):
                return (self._topic(topic).base, self._topic(topic).end)
            case Confirm():
                if rules.confirm and not around.confirms(self._name):
                    raise NotMember("the group gave the partition to somebody else")
                return None
            case Write(claim):
                around.says(self._name, f"claims {self.claim} after {self.fold.claim or 'nothing'}")
                self._sent = around.send(f"{self._name}/{self.claim}", [claim])
                return None
            case Read(topics.EVENTS, _, _) if self.claimed_at >= 0 and not rules.read_own:
                self.fold.claim = self.claim
                return []
            case Read(topic, start, limit):
                found = self._topic(topic).read(start, limit)
                return found if topic == topics.EVENTS else self._resume_from(found, start + limit - 1)

    def _resume_from(self, found: list[StoredRecord], last: int) -> list[StoredRecord]:
        """The commands that end with the newest cause, as an owner sees them that does not look closely."""
        cause, rules = self.fold.cause, self._around.rules
        if cause is None or cause.offset != last:
            return found
        if not rules.cause_id:
            return [StoredRecord(last, flows.record_of(cause.command, "1", flows.cancel("1")))]
        return found if rules.near else found[-1:]

    def _claimed(self) -> None:
        sent, self._sent = self._sent, None
        assert sent is not None
        if sent.fate == "failed":
            raise AppendFailed("the claim may be there, or not")
        self.claimed_at = sent.first

    def _topic(self, name: str) -> Topic:
        return self._around.events if name == topics.EVENTS else self._around.commands


def _identity(around: Around, name: str) -> str:
    topic = around.events if name == topics.EVENTS else around.commands
    return topic.identity if around.rules.topic else "the same"
