"""Which events are true. The pure fold of law 3 that every reader uses: processor, projector, api, and anyone outside.

In come the records of one partition in log order; out come the accepted ones with their position in their stream.
What carries another claim than the newest counted one at its place is ignored on purpose: it never happened.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from events.catalogue import envelope_at
from events.envelope import Envelope, Meta, StoredRecord, meta_at, meta_of
from events.ownership import PartitionClaimed

NO_CLAIM = ""
ENDS_A_RUN = frozenset({"run.completed", "run.failed", "run.timed_out", "run.cancelled"})


class Accepted(NamedTuple):
    """A true event: its place in the partition, its position in its stream (1, 2, 3, no gaps), itself."""

    partition: int
    offset: int
    position: int
    envelope: Envelope

    @property
    def meta(self) -> Meta:
        return self.envelope.meta


@dataclass(frozen=True, slots=True)
class Cause:
    """The newest accepted command: where it stood, in which commands topic, and its id."""

    topic: str
    offset: int
    command: str


@dataclass(frozen=True)
class Checkpoint:
    """Everything one needs to go on reading a partition from its middle; itself a fold of the log.

    `offset` is the next to read, `last` the id of the record before it. `positions` holds the streams that may go on.
    """

    topic: str
    partition: int
    offset: int = 0
    last: str = ""
    claim: str = NO_CLAIM
    commands: str = ""
    cause: Cause | None = None
    positions: dict[str, int] = field(default_factory=dict[str, int])


def misfit(start: Checkpoint, topic: str, before: StoredRecord | None) -> str:
    """Why a checkpoint must not be gone on from in this topic ("" = it may). `before` is the record ahead of its offset, if any."""
    if start.topic != topic:
        return f"it was made from another topic ({start.topic}, and this is {topic})"
    if start.offset == 0:
        return ""
    if before is None or before.offset != start.offset - 1:
        return f"the log does not have offset {start.offset - 1}, up to which it goes"
    if meta_of(before.record).id != start.last:
        return f"the log has another record at offset {start.offset - 1} than it says"
    return ""


class Acceptance:
    """The fold. `step` takes the next record; `checkpoint()` says where it stands."""

    def __init__(self, start: Checkpoint) -> None:
        self._at = replace(start, positions=dict(start.positions))
        self.positions = self._at.positions
        self.offset = start.offset
        self.last = start.last
        self.claim = start.claim
        self.commands = start.commands
        self.cause = start.cause

    def step(self, stored: StoredRecord) -> Accepted | None:
        """The accepted event at this place, or None. Raises what `events.catalogue.data_of` raises, only for accepted events."""
        meta = meta_at(stored)
        if meta.type == PartitionClaimed.type:
            if not self._counts(envelope_at(stored)):
                return self._pass(stored, meta)
        elif meta.claim != self.claim or self.claim == NO_CLAIM:
            return self._pass(stored, meta)
        envelope = envelope_at(stored)
        if meta.cause is not None:
            self.cause = Cause(self.commands, meta.cause, meta.command)
        position = self.positions.get(meta.stream, 0) + 1
        if meta.type in ENDS_A_RUN:
            self.positions.pop(meta.stream, None)
        else:
            self.positions[meta.stream] = position
        self._pass(stored, meta)
        return Accepted(self._at.partition, stored.offset, position, envelope)

    def checkpoint(self) -> Checkpoint:
        """Where the fold stands now."""
        return replace(
            self._at,
            offset=self.offset,
            last=self.last,
            claim=self.claim,
            commands=self.commands,
            cause=self.cause,
            positions=dict(self.positions),
        )

    def _counts(self, envelope: Envelope) -> bool:
        claim = envelope.data
        if not isinstance(claim, PartitionClaimed) or claim.after != self.claim:
            return False
        self.claim = claim.id
        self.commands = claim.commands
        return True

    def _pass(self, stored: StoredRecord, meta: Meta) -> None:
        self.offset = stored.offset + 1
        self.last = meta.id
