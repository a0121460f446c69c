"""One partition played without a loop: a tiny log, owners that do not know of each other, and a schedule that hates them.

The fold of what is accepted, the partition's state and the run's decider are the real ones; only the doing, the waiting
and the log are played. A schedule is a list of numbers; every number is a step that somebody takes, or a fault.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from events import topics
from events.acceptance import Acceptance, Accepted, Checkpoint
from events.catalogue import decode
from events.commands import StartRun
from events.envelope import Envelope, Meta, Record, StoredRecord, encode
from events.node import NodeStarted
from events.ownership import PartitionClaimed
from services.core.effects import Done, Outcome, Piece
from services.core.graph import Graph
from services.core.run import Decision, Due, GoOn, TakenOver, Told, decide
from services.core.run_state import Place
from services.core.turn import Limits
from services.processor.state import PartitionState, Said
from services.processor.watch import event_id

WORDS = ("one ", "two ", "three")
_TOPIC = "commands-1"
_LIMITS = Limits()


@dataclass
class TinyLog:
    """Both topics of one partition, and batches that are still on their way."""

    commands: list[Record] = field(default_factory=list)
    events: list[StoredRecord] = field(default_factory=list)
    late: list[list[Record]] = field(default_factory=list)

    def append(self, records: Sequence[Record]) -> None:
        self.events += [StoredRecord(len(self.events) + place, record) for place, record in enumerate(records)]

    def accepted(self, start: Checkpoint | None = None) -> tuple[list[Accepted], Checkpoint]:
        """What a reader sees that begins there."""
        fold = Acceptance(start or Checkpoint("events-1", 0))
        seen = [event for stored in self.events[fold.offset :] if (event := fold.step(stored)) is not None]
        return seen, fold.checkpoint()


class PlayedOwner:
    """One ownership, from its fold on. `alive` ends with a crash, a failed batch, or a foreign claim that was read."""

    def __init__(self, log: TinyLog, graph: Graph, claim: str, clock: Callable[[], int]) -> None:
        self.alive = True
        self._log, self._graph, self._claim, self._clock = log, graph, claim, clock
        self._fold = Acceptance(Checkpoint("events-1", 0))
        self._state = PartitionState()
        self._next = 0
        self._said = 0
        self._waiting: list[list[Envelope]] = []
        self._effects: dict[tuple[str, Place, int], list[Outcome]] = {}
        self._read()
        self._after = self._fold.claim

    def claim(self, *, late: bool = False, lost: bool = False, doubled: bool = False) -> None:
        """Write the claim; it counts or not. A doubled one comes once more when it is no longer expected."""
        data = PartitionClaimed(id=self._claim, after=self._after, owner="played", commands=_TOPIC)
        stream = topics.partition_stream(0)
        head = Meta(self._claim, data.type, 1, stream, self._clock(), "played", claim=self._claim)
        record = encode(Envelope(head, data))
        if late or lost:
            self.alive = False
            if late:
                self._log.late.append([record])
            return
        self._log.append([record])
        if doubled:
            self._log.late.append([record])
        self._read()
        if self._fold.claim != self._claim:
            self.alive = False
            return
        self._next = self._fold.cause.offset + 1 if self._fold.cause else 0
        for run in list(self._state.runs):
            self._move(run, TakenOver())

    def command(self) -> bool:
        """Decide the next command; whether there was one."""
        if self._next >= len(self._log.commands):
            return False
        wish = decode(self._log.commands[self._next])
        answer = self._state.decide(wish, self._clock(), self._graph, _LIMITS)
        self._put([self._envelope(said, wish.meta, self._next) for said in answer.said])
        self._next += 1
        if answer.more:
            self._move(wish.data.run if isinstance(wish.data, StartRun) else wish.meta.stream[4:], GoOn())
        return True

    def tell(self, choice: int) -> bool:
        """One of the effects tells one more outcome; whether there is one."""
        under_way = sorted(key for key, outcomes in self._effects.items() if outcomes)
        if not under_way:
            return False
        run, place, attempt = key = under_way[choice % len(under_way)]
        self._move(run, Told(place, attempt, self._effects[key].pop(0)))
        return True

    def due(self) -> None:
        """Every run is looked at because time went by."""
        for run in list(self._state.runs):
            self._move(run, Due())

    def write(self, fault: str = "") -> bool:
        """Append what waits, in one batch; whether something did. A failure is the end of this owner."""
        if not self._waiting:
            return False
        envelopes = [envelope for group in self._waiting for envelope in group]
        records = [encode(envelope) for envelope in envelopes]
        self._waiting = []
        if fault == "late":
            self._log.late.append(records)
        if fault in ("", "there"):
            self._log.append(records)
        if fault:
            self.alive = False
            return True
        for envelope in envelopes:
            if isinstance(envelope.data, NodeStarted):
                self._begin(envelope.meta.stream[4:], envelope.data)
        return True

    def read_back(self) -> None:
        """Notice a foreign claim."""
        newest = self._log.accepted()[1].claim
        if newest != self._claim:
            self.alive = False

    def _begin(self, run: str, node: NodeStarted) -> None:
        state, place = self._state.runs.get(run), (node.node, node.path)
        if state is None or place not in state.working or state.nodes[place].attempt != node.attempt:
            return
        recorded, text, rest = state.nodes[place].content.text, "", list[Outcome]()
        for word in WORDS:
            text += word
            if len(text) > len(recorded):
                rest.append(Piece("content", word))
        self._effects[run, place, node.attempt] = [*rest, Done()]

    def _read(self) -> None:
        for stored in self._log.events[self._fold.offset :]:
            event = self._fold.step(stored)
            if event is not None:
                self._state.apply(event.meta, event.envelope.data)

    def _move(self, run: str, input_: Told | Due | GoOn | TakenOver) -> None:
        state = self._state.runs.get(run)
        if state is None:
            return
        decision: Decision = decide(state, input_, self._clock(), self._graph, _LIMITS)
        self._put([self._envelope(Said(topics.run_stream(run), state.terms.app, event)) for event in decision.events])
        if decision.more:
            self._move(run, GoOn())

    def _put(self, envelopes: list[Envelope]) -> None:
        for envelope in envelopes:
            self._state.apply(envelope.meta, envelope.data)
        if envelopes:
            self._waiting.append(envelopes)

    def _envelope(self, said: Said, command: Meta | None = None, offset: int | None = None) -> Envelope:
        self._said += 1
        id_ = event_id(self._claim, self._said)
        head = Meta(
            id_, said.event.type, 1, said.stream, self._clock(), "played", said.app, claim=self._claim, cause=offset,
            command=command.id if command else "",
        )  # fmt: skip
        return Envelope(head, said.event)
