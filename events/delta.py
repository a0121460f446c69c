"""A piece of text as it comes from a model: the one noun among the events, and the most frequent.

These names are the storage format.
"""

from typing import ClassVar

from events.envelope import Stage, Words
from events.node import NodeEvent


class NodeDelta(NodeEvent):
    """Some text of a node run. `shown` is the output node that shows it at once, in its unit `unit`; empty while it waits."""

    type: ClassVar[str] = "node.delta"
    stage: Stage
    text: Words
    shown: str = ""
    unit: int = 0
