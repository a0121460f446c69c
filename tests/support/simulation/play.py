"""One schedule from its first command to the rest after all trouble.

A schedule is a list of choices: who takes which step, what lands, what fails, who is given the partition, who reads. When
the choices are over the trouble ends: what is late arrives, one healthy process is given the partition, and everybody,
zombies too, goes on in turn until nothing is left to do. `tests.support.simulation.check` judges what is there then.
"""

from collections.abc import Callable

from events import topics
from events.acceptance import Cause, Checkpoint
from events.envelope import Command, Record, meta_of
from tests.support.simulation import flows
from tests.support.simulation.choices import Over
from tests.support.simulation.fold import PlayedFold
from tests.support.simulation.log import Topic
from tests.support.simulation.world import NAMES, OLD, World

REST = 150
"""Rounds after the trouble in which everything has to come to rest."""


class Play(World):
    """`play` plays it; what is there then is what `check` looks at."""

    def play(self) -> None:
        """All of it."""
        try:
            self._assign(self._pick(2))
            for _ in range(self.trouble.steps):
                self._one()
        except Over:
            pass
        self._heal()

    def _one(self) -> None:
        self.time += 1
        self._actors = [actor for actor in self._actors if actor.alive]
        kind = self._pick(20)
        if kind < 14:
            busy = [(actor, steps) for actor in self._actors if (steps := actor.can())]
            turn = self._pick(len(busy) + len(self._flying) or 1)
            if turn < len(busy):
                actor, steps = busy[turn]
                actor.step(steps[self._pick(len(steps))])
            elif self._flying:
                self._land(self._flying[turn - len(busy)])
        elif kind < 17:
            self._client()
        elif kind == 17:
            follower = self.followers[self._pick(2)]
            if self._choices.chance(3):
                follower.go_on()
            follower.read(1 + self._pick(12))
            self._answers(follower)
        else:
            self._go_wrong()

    def _client(self) -> None:
        if not self._may("commands"):
            return
        what = self._pick(5 + self.trouble.reposts)
        if self.wishes and what > 4:
            id_, run, record = self.wishes[-1 - self._pick(min(2, len(self.wishes)))]
            self._post(id_, run, record)
        elif self.wishes and what == 4:
            run = self.wishes[self._pick(len(self.wishes))][1]
            self.cancelled.add(run)
            self._wish(run, f"cancel-{self._number()}", flows.cancel(run))
        else:
            behaviours = list(flows.RUNS)[: self.trouble.runs + 1]
            run = behaviours[self._pick(len(behaviours))]
            key = "key" if what == 2 else ""
            if key and self._chance(2):
                run = list(flows.RUNS)[4 + self._pick(2)]
            self._wish(run, f"start-{self._number()}", flows.start(run, key))

    def _clients(self, most: int) -> None:
        """Nobody decides just now, and clients do not know it."""
        count = self._pick(most)
        self._left["commands"] += count
        for _ in range(count):
            self._client()

    def _wish(self, run: str, id_: str, command: Command) -> None:
        record = flows.record_of(id_, run, command)
        self.wishes.append((id_, run, record))
        self._post(id_, run, record)
        if self._chance(6):
            self._post(id_, run, record)

    def _post(self, id_: str, run: str, record: Record) -> None:
        self._left["commands"] -= 1
        at = self.commands.append([record])
        self.says("client", f"posts {id_} of {flows.RUNS.get(run, 'no')} run {run[-4:]} at {at}")

    def _go_wrong(self) -> None:
        kinds: list[Callable[[], None]] = [self._stop_one]
        kinds += [self._time_goes_by] * self._may("jumps")
        kinds += [self._arrive_late] * 2 * bool(self._late)
        kinds += [self._fail] * 2 * bool(self._flying and self._may("failures"))
        kinds += [self._give] * 3 * (self._may("takeovers") or not self._member)
        kinds += [self._crash] * bool(self._actors and self._may("crashes"))
        kinds += [self._move] * 2 * bool(self._may("restores") and self.events.stored)
        kinds += [self._cut_off] * 2 * bool(self._may("cuts") and self.events.stored)
        kinds[self._pick(len(kinds))]()

    def _give(self) -> None:
        self._left["takeovers"] -= 1
        self._assign(self._pick(len(NAMES)))

    def _stop_one(self) -> None:
        """A process hears that the partition is not its own any more, and writes what it knows; or dies of it."""
        zombies = [actor for actor in self._actors if actor.name != self._member and not actor.stopping]
        if zombies:
            actor = zombies[self._pick(len(zombies))]
            actor.stopping = True
            if not actor.owns:
                actor.alive = False
            self.says(actor.name, "is told to stop")

    def _time_goes_by(self) -> None:
        self._left["jumps"] -= 1
        self.time += 62_500
        self.says("time", "goes by")

    def _arrive_late(self) -> None:
        self._arrived(self._late.pop(self._pick(len(self._late))))

    def _fail(self) -> None:
        self._left["failures"] -= 1
        sending = self._flying.pop(self._pick(len(self._flying)))
        sending.fate = "failed"
        how = self._pick(3)
        self.says(sending.producer, "hears of a failure; the records are", ("lost", "there", "late")[how])
        if how == 1 and sending.producer not in self._broken:
            self.events.append(sending.records, sending.producer)
        elif how == 2:
            self._late.append(sending)

    def _crash(self) -> None:
        self._left["crashes"] -= 1
        name, how = self._actors[self._pick(len(self._actors))].name, self._pick(3)
        self.says(name, "is killed; what is in flight is", ("lost", "still landing", "late")[how])
        for actor in self._actors:
            actor.alive = actor.alive and actor.name != name
        for sending in [one for one in self._flying if one.producer.startswith(name + "/")]:
            if how != 1:
                self._flying.remove(sending)
            if how == 2:
                self._late.append(sending)
        if name == self._member:
            self._member = ""

    def _move(self) -> None:
        """All events and the newer commands are on another cluster now; nobody lives on."""
        self._left["restores"] -= 1
        self._end_everybody()
        decided = PlayedFold(Checkpoint("", 0), self.rules)
        for stored in self.events.stored:
            decided.step(stored)
        done = self._done(decided.cause)
        self._clients(3)
        if done and self._chance(2):  # a client that heard nothing repeats itself
            self._left["commands"] += 1
            self._client()
            self.commands.append([self.commands.stored[done - 1].record])
        drop, base = done - min(done, self._pick(3)), self._pick(2)
        self.says("RESTORED:", f"{drop} commands are left out, the first has offset {base}")
        self.events = self.events.moved("events-2", 0, 0)
        self.commands = self.commands.moved("commands-2", drop, base)
        self.snapshots = self.snapshots.moved("snapshots-2", 0, 0) if self._chance(2) else Topic("snapshots-2")
        self.committed, self.moved = None, True
        for follower in self.followers:
            follower.go_on()

    def _done(self, cause: Cause | None) -> int:
        """How many of the commands are decided, and need not be kept."""
        at = self.commands.at(cause.offset) if cause is not None and cause.topic == self.identity(topics.COMMANDS) else None
        return at.offset - self.commands.base + 1 if at is not None and cause and meta_of(at.record).id == cause.command else 0

    def _cut_off(self) -> None:
        """A broker loses the newest batches that it had acknowledged: of the events, of the commands, of both."""
        self._left["cuts"] -= 1
        self.lost = True
        self.answers.clear()
        self.effects.clear()
        which, count = self._pick(3), 1 + self._pick(3)
        if which != 1:
            self._broken |= self.events.cut(min(count, len(self.events.batches)))
            self.says("CUT:", f"the events end at {self.events.end}")
        if which != 0 and self.commands.stored:
            self.commands.cut(min(1 + count // 3, len(self.commands.batches)))
            self.says("CUT:", f"the commands end at {self.commands.end}")
        if self._chance(2):
            self._end_everybody()
        if self.snapshots.stored and self._chance(3):
            self.snapshots.cut(min(count, len(self.snapshots.batches)))
        for actor in self._actors:
            actor.lost_connection()
        for follower in self.followers:
            follower.away = True
        self._clients(3)

    # The rest.

    def _heal(self) -> None:
        self.says("---", "no more trouble")
        for late in self._late:
            self._arrived(late)
        self._late.clear()
        self._left["doubled_claims"] = self._left["snapshots"] = 0
        if self.lost:  # somebody read that the log is shorter than it was, and accepted the loss
            self.snapshots = Topic("snapshots-3")
            for actor in self._actors:
                actor.starts_anew()
        if self._member in {"", OLD} or not self._holds(self._member):
            self._member = ""
            self._actors = [actor for actor in self._actors if actor.name != OLD]
            self._assign(0)
        ping = "999" + "0" * 16
        self.commands.append([flows.record_of("ping", ping, flows.cancel(ping))])
        for _ in range(REST):
            if not self._round() and not self._wait():
                break
        else:
            self.restless = True
        for follower in self.followers:
            follower.go_on()
            follower.read(10_000)
            self._answers(follower)

    def _round(self) -> bool:
        """Everybody takes a few steps. Whether anybody could."""
        moved = False
        for sending in list(self._flying):
            self._land(sending)
            moved = True
        for actor in self._actors:
            for _ in range(3):
                steps = actor.can() if actor.alive else []
                if steps:
                    actor.step(steps[0])
                    moved = True
        return moved

    def _wait(self) -> bool:
        """Time goes by until something is due. Whether something will be."""
        due = min((due for actor in self._actors if (due := actor.next_due) is not None), default=None)
        if due is None:
            return False
        self.time = max(self.time + 1, due)
        return True
