"""Who writes a partition. A claim counts only if `after` names the newest claim that counted before it.

These names are the storage format.
"""

from typing import ClassVar

from events.envelope import Event


class PartitionClaimed(Event):
    """One processor took a partition: `owner` names the process. `commands` is the commands topic that its causes point into."""

    type: ClassVar[str] = "partition.claimed"
    id: str
    after: str
    owner: str
    commands: str
