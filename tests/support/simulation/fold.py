"""The project's own acceptance, and what it becomes when one of its rules is taken out, or when an older program runs it."""

from dataclasses import replace

from events.acceptance import NO_CLAIM, Acceptance, Accepted, Checkpoint
from events.catalogue import Unknown, data_of
from events.envelope import Envelope, Meta, Record, StoredRecord, meta_of
from events.ownership import PartitionClaimed
from services.processor.steps.watch import Foreign, Reached, ReadBack
from tests.support.simulation.rules import Rules

NEWER = frozenset({"run.cancelled", "run.cancel"})
"""What the older program in the simulation does not know: it can neither decide nor read a cancel."""


class PlayedFold(Acceptance):
    """`events.acceptance.Acceptance`, with switches."""

    def __init__(self, start: Checkpoint, rules: Rules, *, old: bool = False) -> None:
        super().__init__(start)
        self._rules = rules
        self._old = old

    def step(self, stored: StoredRecord) -> Accepted | None:
        if not self._rules.claim_check:
            stored = _claimed_by(stored, self.claim)
        if self._old:
            meta = meta_of(stored.record)
            if meta.type in NEWER and meta.claim == self.claim:
                if self._rules.unknown:
                    raise Unknown(f"{meta.type} is not known here")
                self._pass(stored, meta)
                return None
        return super().step(stored)

    def _counts(self, envelope: Envelope) -> bool:
        if not self._rules.after and isinstance(envelope.data, PartitionClaimed):
            envelope = Envelope(envelope.meta, envelope.data.model_copy(update={"after": self.claim}))
        return super()._counts(envelope)


class PlayedReadBack(ReadBack):
    """`services.processor.steps.watch.ReadBack`, with switches."""

    def __init__(self, partition: int, claim: str, written: object, rules: Rules, start: Reached | None = None, commands: str = "") -> None:
        super().__init__(partition, claim, written, start, commands)  # type: ignore[arg-type]
        self._mine = claim
        self._rules = rules

    def look_at(self, stored: StoredRecord) -> None:
        if not self._rules.read_back:
            return
        meta = meta_of(stored.record)
        if not self._rules.after and meta.type == PartitionClaimed.type and meta.id != self._mine:
            raise Foreign(f"claim {meta.id} counts now")
        super().look_at(stored)


def _claimed_by(stored: StoredRecord, claim: str) -> StoredRecord:
    meta: Meta = meta_of(stored.record)
    if meta.type == PartitionClaimed.type or claim in (NO_CLAIM, meta.claim):
        return stored
    headers = tuple((name, claim.encode() if name == "ce_claim" else value) for name, value in stored.record.headers)
    return StoredRecord(stored.offset, replace(stored.record, headers=headers))


def claim_in(record: Record) -> PartitionClaimed | None:
    """The claim that a record is, if it is one."""
    meta = meta_of(record)
    data = data_of(meta, record.value) if meta.type == PartitionClaimed.type else None
    return data if isinstance(data, PartitionClaimed) else None
