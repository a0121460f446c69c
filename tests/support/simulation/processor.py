"""One process that holds the partition, or thinks so: the owner of `services.processor.owner` without a loop.

Its takeover, its decisions, its batches and its reading back are the program's own. What the program awaits is a step
here: between any two of them the schedule may do something else, or end the process. Messages to other partitions (child
runs that live elsewhere) do not exist yet; when they do, they leave where `_read_back` has looked at a record.
"""

from collections.abc import Callable, Iterator

from events import topics
from events.catalogue import Unknown, decode
from events.envelope import Event
from services.core.codes import Code
from services.core.running.effects import Outcome
from services.core.running.run import Due, GoOn, TakenOver, Told, due_at, request
from services.core.running.run_state import Errand, errand_of
from services.core.running.turn import Limits
from services.kit.errors import AppendFailed, HistoryLost, NotMember
from services.processor.memory.restoring import Whose
from services.processor.memory.snapshots import Misfit
from services.processor.steps.deciding import Deciding, Move, Step
from services.processor.steps.pipeline import Group, Waiting
from services.processor.steps.reading import Poisoned
from services.processor.steps.watch import Foreign, Reached
from services.processor.taking.claiming import Overtaken
from tests.support.simulation import flows
from tests.support.simulation.fold import NEWER, PlayedReadBack
from tests.support.simulation.log import Sending
from tests.support.simulation.remembering import Snapshots
from tests.support.simulation.taking import Around, Taking

LIMITS = Limits()
_ENDS = (AppendFailed, HistoryLost, Foreign, Overtaken)
_Key = tuple[str, Errand]


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
        return self._taking is None

    def lost_connection(self) -> None:
        """The log was cut while this process was reading it: whoever was further hears it at once."""
        if self.owns:
            self._cut = self._seen > self._around.events.end or self._next > self._around.commands.end

    def starts_anew(self) -> None:
        """The topic of the snapshots was emptied: whoever has not taken the partition yet does not go on with what it read there."""
        if self.alive and not self.owns:
            self._begin()

    def can(self) -> list[Callable[[], None]]:
        """The steps that it could take now."""
        if self._taking is not None:
            return [] if self._taking.waits else [self._take]
        around = self._around
        if self._cut:
            return [self._hear_of_cut]
        found = []
        if self._flights and self._flights[0][0].fate != "flying":
            found.append(self._hear)
        if self._waiting and len(self._flights) < (1 if around.rules.one_in_flight else 3):
            found.append(self._write)
        if self._seen < around.events.end:
            found += [self._read_back] * (6 if self._snapshots.waits else 1)
        if self.stopping:
            return found or [self._stopped]
        if self._next < around.commands.end:
            found.append(self._command)
        if self._open:
            found.append(self._take_over_run)
        if self._snapshots.ready:
            found += [self._write_snapshot] * 3
        elif self._snapshots.due(self._deciding.said) and around.may_snapshot():
            found.append(self._mark)
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
        except Misfit as end:
            self._around.says(self.name, "does not use the snapshot:", end)
            self._begin(anew=True)
        except (Poisoned, NotMember) as end:
            self._around.says(self.name, "is gone,", f"{type(end).__name__}:", end)
            self._around.stops(end)
            self.alive = False

    # Taking over.

    def _begin(self, *, anew: bool = False) -> None:
        self._taking: Taking | None = Taking(self._around, self.name, old=self.old, anew=anew)
        self._claim = self._taking.claim
        self._cut = False
        self._flights: list[tuple[Sending, list[Group]]] = []
        self._effects: dict[_Key, Iterator[Outcome]] = {}
        self._timers: dict[str, int] = {}
        self._open: list[str] = []
        self._mine: set[str] = set()

    def _take(self) -> None:
        taking = self._taking
        assert taking is not None
        taking.step()
        if taking.resume is None:
            return
        around, rules = self._around, self._around.rules
        self._taking = None
        self._claimed_at = taking.claimed_at
        self._state = taking.state
        self._deciding = Deciding(self._claim, self._state, LIMITS)
        self._waiting = Waiting()
        start = Reached(taking.state.book.claimed, self._claim, taking.fold.cause)
        self._back = PlayedReadBack(0, self._claim, self._waiting, rules, start, taking.fold.commands)
        whose = Whose(around.identity(topics.EVENTS), 0, self._claim, taking.fold.commands)
        self._snapshots = Snapshots(self._state, self._back, whose, rules)
        if self._state.book.base:
            around.begins_with_snapshot(doubtful=bool(self._state.book.ahead) or around.lost)
        self._seen = taking.fold.offset if rules.read_own else self._claimed_at + 1
        self._next = taking.resume if rules.cause else max(around.commands.base, around.committed or 0)
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
            place, attempt, step = key[1]
            self._move(key[0], Told(place, attempt, outcome, step))

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
        for key in [key for key in self._effects if key[0] == run and not self._deciding.waits_for(run, key[1])]:
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
        starts = [one.meta.id for one in step.envelopes if isinstance(one.data, Event) and errand_of(one.data)]
        begun = list(zip(step.begun, starts, strict=True))
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

    def _acknowledged(self, run: str, begun: list[tuple[Errand, str]], command: tuple[int, str] | None, event: str) -> None:
        around = self._around
        if command is not None:
            if around.confirms(self.name):
                around.committed = command[0] + 1
            if not around.rules.answer_accepted:
                around.acknowledged(command[1], event)
        if not self.stopping:
            self._start(run, begun)

    def _start(self, run: str, begun: list[tuple[Errand, str]]) -> None:
        for errand, node_started in begun:
            state = self._deciding.waits_for(run, errand)
            if state is not None:
                self._around.begins_effect(self._claim, self._claimed_at, run, errand.place, node_started)
                asked = request(state, errand.place, flows.graph_of(run), LIMITS)
                self._effects[run, errand] = flows.outcomes(run, asked)

    def _mark(self) -> None:
        self._around.begins_snapshot()
        self._around.says(self.name, "marks a snapshot after", self._deciding.said, "events")
        self._snapshots.begin(self._deciding.said, self._around.time, self._around.events.end, self._around.snapshots)

    def _write_snapshot(self) -> None:
        self._snapshots.write(self._around.snapshots)
        self._around.says(self.name, "writes", self._around.snapshots.stored[-1].record.key.decode(), "of a snapshot")

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
