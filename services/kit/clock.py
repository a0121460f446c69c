"""The clock as a port: milliseconds since 1970, and waiting. Tests move it by hand."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Time, as far as we need it."""

    def now(self) -> int:
        """Milliseconds since 1970."""
        ...

    async def sleep_until(self, due: int) -> None:
        """Wait until `now()` is `due` or later."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """See `Clock.now`."""
        return time.time_ns() // 1_000_000

    async def sleep_until(self, due: int) -> None:
        """See `Clock.sleep_until`."""
        while (rest := due - self.now()) > 0:  # noqa: ASYNC110 (the machine's clock may be set back)
            await asyncio.sleep(rest / 1000)
