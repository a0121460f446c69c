"""How far the rows are, told from the projector to whoever waits in the same process. Other processes ask the database."""

import asyncio
import contextlib


class Progress:
    """The newest known checkpoint offset of each partition, and a bell."""

    def __init__(self) -> None:
        self._reached: dict[int, int] = {}
        self._bells: dict[int, asyncio.Event] = {}

    def tell(self, partition: int, offset: int) -> None:
        """All rows below `offset` are there."""
        if offset > self._reached.get(partition, 0):
            self._reached[partition] = offset
            bell = self._bells.pop(partition, None)
            if bell is not None:
                bell.set()

    def reached(self, partition: int) -> int:
        """The newest that was told; 0 where nobody told anything."""
        return self._reached.get(partition, 0)

    async def news(self, partition: int, seconds: float) -> None:
        """Wait for the next `tell` of this partition, at most so long."""
        bell = self._bells.setdefault(partition, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await bell.wait()
