"""How large a batch is, said once for both logs: the same batch is refused or taken by either.

In go the records of one append; out comes their size as Kafka counts it before compression, rounded up.
"""

from collections.abc import Sequence

from events.envelope import Record
from services.kit.errors import TooLarge
from services.kit.log import MAX_BATCH_BYTES

_BATCH_HEADER = 61
_RECORD_HEADER = 36
_FIELD_HEADER = 10


def weigh(record: Record) -> int:
    """The bytes of one record, lengths and offsets included."""
    fields = sum([len(name) + len(value) for name, value in record.headers])  # names are ASCII
    return _RECORD_HEADER + len(record.key) + len(record.value) + _FIELD_HEADER * len(record.headers) + fields


def check_batch(records: Sequence[Record]) -> int:
    """The bytes of the batch. Raises `TooLarge` above `MAX_BATCH_BYTES`, `ValueError` when there is nothing to write."""
    if not records:
        raise ValueError("a batch needs at least one record")
    size = _BATCH_HEADER + sum(map(weigh, records))
    if size > MAX_BATCH_BYTES:
        raise TooLarge(f"a batch of {len(records)} records has {size} bytes, and {MAX_BATCH_BYTES} are the limit; nothing was written")
    return size
