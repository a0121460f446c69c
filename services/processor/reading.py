"""Records that cannot be read stop the program: they are named with their place, and never skipped.

In comes a record of the commands or of the events; out goes what it says, or `Poisoned` with topic, partition and offset.
"""

from collections.abc import Generator
from contextlib import contextmanager

from events.catalogue import Unknown, decode
from events.envelope import Damaged, Envelope, StoredRecord
from services.kit.blobs import Blobs, unpack
from services.kit.errors import BlobMissing, ProzessError


class Poisoned(ProzessError):
    """A record cannot be read. Start a version of the program that knows it, or mend the log."""


@contextmanager
def naming(topic: str, partition: int, offset: int) -> Generator[None]:
    """Whatever cannot be read inside is raised as `Poisoned` with this place."""
    try:
        yield
    except (Unknown, Damaged, BlobMissing) as wrong:
        raise Poisoned(f"the processor stops: {topic}, partition {partition}, offset {offset}: {wrong}") from None


async def opened(topic: str, partition: int, stored: StoredRecord, blobs: Blobs) -> Envelope:
    """The whole envelope of a record. Raises `Poisoned`."""
    with naming(topic, partition, stored.offset):
        return decode((await unpack(stored, blobs)).record)
