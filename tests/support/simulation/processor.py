"""One process that holds the partition, or thinks so: the owner of `services.processor.owner` without a loop.

Its takeover, its decisions, its batches and its reading back are the program's own. What the program awaits is a step
here: between any two of them the schedule may do something else, or end the process. Messages to other partitions (child
runs that live elsewhere) do not exist yet; when they do, they leave where `_read_back` has looked at a record.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from events import topics
from events.acceptance import Checkpoint
from events.catalogue import Unknown, decode
from events.envelope import Record, StoredRecord
from events.node import NodeStarted
from services.core.codes import Code
from services.core.effects import Outcome
from services.core.run import Due, GoOn, TakenOver, Told, due_at, request
from services.core.run_state import Place
from services.core.turn import Limits
from services.kit.errors import AppendFailed, HistoryLost, NotMember
from services.processor.claiming import Ask, Bounds, Confirm, Identity, Overtaken, Plan, Read, Write, taking_over
from services.processor.deciding import Deciding, Move, Step
from services.processor.pipeline import Group, Waiting
from services.processor.reading import Poisoned
from services.processor.state import PartitionState
from services.processor.watch import Foreign
from tests.support.simulation import flows
from tests.support.simulation.fold import NEWER, PlayedFold, PlayedReadBack
from tests.support.simulation.log import Sending, Topic
from tests.support.simulation.rules import Rules

LIMITS = Limits()
_ENDS = (AppendFailed, HistoryLost, Foreign, Overtaken)
_Key = tuple[str, Place, int]


class Around(Protocol):
    """What a process sees of the world."""

    rules: Rules
    time: int
    commands: Topic
    events: Topic
    committed: int | None

    def claim_id(self) -> str: ...
    def send(self, producer: str, records: list[Record]) -> Sending: ...
    def confirms(self, name: str) -> bool: ...
    def says(self, name: str, *what: object) -> None: ...
    def begins_effect(self, claim: str, claimed_at: int, run: str, place: Place, node_started: str) -> None: ...
    def decided(self, ids: list[str]) -> None: ...
    def acknowledged(self, command: str, event: str) -> None: ...


class _Never(dict[Any, Any]):
    """Remembers nothing."""

    def __setitem__(self, key: Any, value: Any) -> None:
        return

    def setdefault(self, key: Any, default: Any = None) -> Any:
        return default


class Processor:
    """`alive` ends with a crash, with the group's word, and with a record that it cannot read."""

    def __init__(self, around: Around, name: str, *, old: bool = False) -> None:
        self.name = name
        self.old = old
        self.alive = True
        self.stopping = False
        self._around = around
        self._begin()

    @property
    def owns(self) -> bool:
        return self._plan is None

    def lost_connection(self) -> None:
        """The log was cut while this process was reading it: whoever was further hears it at once."""
        if self.owns:
            self._cut = self._seen > self._around.events.end or self._next > self._around.commands.end

    def can(self) -> list[Callable[[], None]]:
        """The steps that it could take now."""
        if self._sent is not None:
            return [self._claimed] if self._sent.fate != "flying" else []
        if self._plan is not None:
            return [self._ask]
        around = self._around
        if self._cut:
            return [self._hear_of_cut]
        found = []
        if self._flights and self._flights[0][0].fate != "flying":
            found.append(self._hear)
        if self._waiting and len(self._flights) < (1 if around.rules.one_in_flight else 3):
            found.append(self._write)
        if self._seen < around.events.end:
            found.append(self._read_back)
        if self.stopping:
            return found or [self._stopped]
        if self._next < around.commands.end:
            found.append(self._command)
        if self._open:
            found.append(self._take_over_run)
        found += [lambda key=key: self._tell(key) for key in self._effects]
        if any(due <= around.time for due in self._timers.values()):
            found.append(self._alarm)
        return found

    @property
    def next_due(self) -> int | None:
        """When its next timer is due."""
        return min(self._timers.values(), default=None) if self.alive and self.owns else None

    def step(self, what: Callable[[], None]) -> None:
        """Take it, and begin again where the ownership ends."""
        try:
            what()
        except _ENDS as end:
            self._around.says(self.name, f"{self._claim} ends, {type(end).__name__}:", end)
            if self.stopping:
                self.alive = False
            else:
                self._begin()
        except (Poisoned, NotMember) as end:
            self._around.says(self.name, "is gone,", f"{type(end).__name__}:", end)
            self.alive = False

    # Taking over.

    def _begin(self) -> None:
        around = self._around
        self._claim = around.claim_id()
        self._claimed_at = -1
        self._fold = PlayedFold(Checkpoint(_identity(around, topics.EVENTS), 0), around.rules, old=self.old)
        self._state = PartitionState()
        if not around.rules.ids:
            self._state.known = _Never()
        if not around.rules.keys:
            self._state.keys = _Never()
        self._plan: Plan | None = taking_over(self._fold, self._state, 0, self._claim, lambda: around.time)
        self._turn: Confirm | Write | None = None
        self._sent: Sending | None = None
        self._cut = False
        self._flights: list[tuple[Sending, list[Group]]] = []
        self._effects: dict[_Key, Iterator[Outcome]] = {}
        self._timers: dict[str, int] = {}
        self._open: list[str] = []
        self._mine: set[str] = set()

    def _ask(self) -> None:
        """The plan up to its next turn: something may come between fold, confirmation, claim, and the reading of the claim."""
        assert self._plan is not None
        answer = None if self._turn is None else self._answered(self._turn)
        self._turn = None
        if self._sent is not None:
            return
        try:
            while True:
                ask = self._plan.send(answer)
                if isinstance(ask, Confirm | Write):
                    self._turn = ask
                    return
                answer = self._answered(ask)
        except StopIteration as taken:
            self._take(taken.value)

    def _answered(self, ask: Ask) -> Any:
        around, rules = self._around, self._around.rules
        match ask:
            case Identity(topic):
                return _identity(around, topic)
            case Bounds(topic):
                return (self._topic(topic).base, self._topic(topic).end)
            case Confirm():
                if rules.confirm and not around.confirms(self.name):
                    raise NotMember("the group gave the partition to somebody else")
                return None
            case Write(claim):
                around.says(self.name, f"claims {self._claim} after {self._fold.claim or 'nothing'}")
                self._sent = around.send(f"{self.name}/{self._claim}", [claim])
                return None
            case Read(topics.EVENTS, _, _) if self._claimed_at >= 0 and not rules.read_own:
                self._fold.claim = self._claim
                return []
            case Read(topic, start, limit):
                found = self._topic(topic).read(start, limit)
                return found if topic == topics.EVENTS else self._resume_from(found, start + limit - 1)

    def _resume_from(self, found: list[StoredRecord], last: int) -> list[StoredRecord]:
        """The commands that end with the newest cause, as an owner sees them that does not look closely."""
        cause, rules = self._fold.cause, self._around.rules
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
        self._claimed_at = sent.first

    def _take(self, resume: int) -> None:
        around, rules = self._around, self._around.rules
        self._plan = None
        self._deciding = Deciding(self._claim, self._state, LIMITS)
        self._waiting = Waiting()
        self._back = PlayedReadBack(0, self._claim, self._waiting, rules)
        self._seen = self._fold.offset if rules.read_own else self._claimed_at + 1
        self._next = resume
        if not rules.cause:
            self._next = max(around.commands.base, around.committed or 0)
        left = self._deciding.taken_over()
        if rules.timers:
            self._timers.update(left)
        if rules.attempts:
            self._open = list(left)
        around.says(self.name, f"owns the partition with {self._claim}, commands from {self._next}, open runs: {len(left)}")

    # Deciding.

    def _take_over_run(self) -> None:
        self._move(self._open.pop(0), TakenOver())

    def _command(self) -> None:
        stored = self._around.commands.at(self._next)
        assert stored is not None
        command = decode(stored.record)
        if self.old and command.meta.type in NEWER:
            if self._around.rules.unknown:
                raise Poisoned(f"offset {self._next}: {Unknown(command.meta.type)}")
            step = self._deciding.refuse(command, self._next, self._around.time, Code.OPEN_API_ERROR, "nobody decides this command")
        else:
            run = command.meta.stream.removeprefix("run-")
            step = self._deciding.wish(command, self._next, self._around.time, flows.graph_of(run))
            if step.envelopes[0].meta.type == "run.started":
                self._mine.add(run)
        self._put(step, (self._next, command.meta.id))
        self._next += 1
        if step.more:
            self._move(step.run, GoOn())

    def _tell(self, key: _Key) -> None:
        outcome = next(self._effects[key], None)
        if outcome is None:
            del self._effects[key]
        else:
            self._move(key[0], Told(key[1], key[2], outcome))

    def _alarm(self) -> None:
        run = min((run for run, due in self._timers.items() if due <= self._around.time), key=lambda run: self._timers[run])
        del self._timers[run]
        self._move(run, Due())

    def _move(self, run: str, input_: Move) -> None:
        step = self._deciding.move(run, input_, self._around.time, flows.graph_of(run))
        if step is not None:
            self._put(step, None)
            if step.more:
                self._move(run, GoOn())

    def _put(self, step: Step, command: tuple[int, str] | None) -> None:
        run, state = step.run, self._state.runs.get(step.run)
        for key in [key for key in self._effects if key[0] == run and not self._deciding.waits_for(*key)]:
            del self._effects[key]
        if state is None:
            self._timers.pop(run, None)
        elif self._around.rules.timers or run in self._mine:
            due = due_at(state, flows.graph_of(run), LIMITS)
            if due is not None:
                self._timers[run] = due
        if not step.envelopes:
            return
        ids = [one.meta.id for one in step.envelopes]
        self._around.says(self.name, "decides", ", ".join(f"{one.meta.type} {one.meta.id}" for one in step.envelopes))
        self._around.decided(ids)
        starts = [one.meta.id for one in step.envelopes if isinstance(one.data, NodeStarted)]
        begun = [(place, attempt, id_) for (place, attempt), id_ in zip(step.begun, starts, strict=True)]
        if not self._around.rules.act_on_ack:
            self._start(run, begun)
            begun = []
        self._waiting.put(step.envelopes, lambda: self._acknowledged(run, begun, command, ids[0]))

    # Writing, and what follows.

    def _write(self) -> None:
        batch = self._waiting.take()
        if not self._around.rules.whole and len(batch[-1].records) > 1:
            last = batch.pop()
            batch.append(Group(last.records[:-1], 0, None))
            self._waiting._groups.insert(0, Group(last.records[-1:], 0, last.then))
        records = [record for group in batch for record in group.records]
        self._flights.append((self._around.send(f"{self.name}/{self._claim}", records), batch))

    def _hear(self) -> None:
        sent, batch = self._flights.pop(0)
        if sent.fate == "landed":
            self._waiting.acknowledge(sent.first, batch)
        elif self._around.rules.fail_closed:
            raise AppendFailed("the batch may be there, or not")
        else:
            self._flights.insert(0, (self._around.send(f"{self.name}/{self._claim}", sent.records), batch))

    def _acknowledged(self, run: str, begun: list[tuple[Place, int, str]], command: tuple[int, str] | None, event: str) -> None:
        around = self._around
        if command is not None:
            if around.confirms(self.name):
                around.committed = command[0] + 1
            if not around.rules.answer_accepted:
                around.acknowledged(command[1], event)
        if not self.stopping:
            self._start(run, begun)

    def _start(self, run: str, begun: list[tuple[Place, int, str]]) -> None:
        for place, attempt, node_started in begun:
            state = self._deciding.waits_for(run, place, attempt)
            if state is not None:
                self._around.begins_effect(self._claim, self._claimed_at, run, place, node_started)
                asked = request(state, place, flows.graph_of(run), LIMITS)
                self._effects[run, place, attempt] = flows.outcomes(run, asked)

    def _read_back(self) -> None:
        stored = self._around.events.at(self._seen)
        if stored is None:
            raise HistoryLost(f"offset {self._seen} is gone")
        self._seen += 1
        self._back.look_at(stored)

    def _hear_of_cut(self) -> None:
        raise HistoryLost("the log ends before what was read")

    def _stopped(self) -> None:
        self.alive = False

    def _topic(self, name: str) -> Topic:
        return self._around.events if name == topics.EVENTS else self._around.commands


def _identity(around: Around, name: str) -> str:
    topic = around.events if name == topics.EVENTS else around.commands
    return topic.identity if around.rules.topic else "the same"
