"""One batch of the projector: records in, rows and checkpoint out, in one transaction.

In come records of one partition in log order. They are folded into accepted events first; then the checkpoint moves
(which fails for a projector that was overtaken) and every read model takes the events. An accepted event that cannot be
read stops the program; it is never skipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from events.acceptance import Acceptance, Accepted, Checkpoint
from events.catalogue import Unknown
from events.envelope import Damaged, StoredRecord
from projections import checkpoints
from services.kit.errors import ProzessError
from services.projector.read_models import READ_MODELS, ReadModel


class Poisoned(ProzessError):
    """An accepted event cannot be read. Start a version of the program that knows it, or mend the log."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a stretch of a partition means. `before` is None for the very first one."""

    before: Checkpoint | None
    after: Checkpoint
    events: Sequence[Accepted]


class Folding:
    """The fold of one partition, batch by batch."""

    def __init__(self, topic: str, partition: int, start: Checkpoint | None) -> None:
        self._partition = partition
        self._before = start
        self._acceptance = Acceptance(start or Checkpoint(topic, partition))

    @property
    def offset(self) -> int:
        """The next record to fold."""
        return self._acceptance.offset

    def checkpoint(self) -> Checkpoint:
        """Where the fold stands."""
        return self._acceptance.checkpoint()

    def fold(self, records: Sequence[StoredRecord]) -> Batch:
        """The next batch. Raises `Poisoned`."""
        events: list[Accepted] = []
        for stored in records:
            try:
                accepted = self._acceptance.step(stored)
            except (Unknown, Damaged) as wrong:
                raise Poisoned(
                    f"the projector stops: partition {self._partition}, offset {stored.offset}, stream "
                    f"{stored.record.key.decode(errors='replace')}: {wrong}"
                ) from None
            if accepted is not None:
                events.append(accepted)
        batch = Batch(self._before, self._acceptance.checkpoint(), events)
        self._before = batch.after
        return batch


def write(connection: sa.Connection, batch: Batch, models: Sequence[ReadModel] | None = None) -> None:
    """The rows (of all read models, unless some are named) and the checkpoint of one batch, inside the caller's transaction.

    Raises `checkpoints.Fenced`.
    """
    checkpoints.advance(connection, batch.before, batch.after, {event.meta.stream for event in batch.events})
    for model in READ_MODELS if models is None else models:
        model.apply(connection, batch.events)
