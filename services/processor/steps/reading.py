"""Records that cannot be read stop the program: they are named with their place, and never skipped.

In comes a record of the commands or of the events; out goes what it says, or `Poisoned` with topic, partition and offset.
"""

from types import TracebackType

from events.catalogue import Unknown, decode
from events.envelope import Damaged, Envelope, StoredRecord
from services.kit.blobs import Blobs, unpack
from services.kit.errors import BlobMissing, ProzessError


class Poisoned(ProzessError):
    """A record cannot be read. Start a version of the program that knows it, or mend the log."""


class naming:  # noqa: N801 (reads as a word: `with naming(...)`; a generator would cost twice as much as what is inside)
    """Whatever cannot be read inside is raised as `Poisoned` with this place."""

    __slots__ = ("_place",)

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        self._place = topic, partition, offset

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, wrong: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(wrong, Unknown | Damaged | BlobMissing):
            topic, partition, offset = self._place
            raise Poisoned(f"the processor stops: {topic}, partition {partition}, offset {offset}: {wrong}") from None


async def opened(topic: str, partition: int, stored: StoredRecord, blobs: Blobs) -> Envelope:
    """The whole envelope of a record as the log holds it, even where it was made here: what is decided is what is on the record.

    Raises `Poisoned`.
    """
    with naming(topic, partition, stored.offset):
        return decode((await unpack(stored, blobs)).record)
