"""The embedded log's writer: one thread, one transaction for everybody who waits.

In come batches and marks from the event loop; out go futures that resolve after the synced commit, and the committed
batches in order. While one commit is on its way to the disk the next callers gather: so an append costs one hop and
one sync, and many at once cost one sync together.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from services.kit.embedded.file import Batch, LogFile, Mark
from services.kit.errors import AppendFailed
from services.kit.log import MAX_BATCH_BYTES

Job = tuple[Batch | Mark, int, "asyncio.Future[int]"]
"""What to write, its size in bytes, and who waits for it."""

WAITING_BYTES = 256 * 1024 * 1024
"""So much may wait to be written; who wants to write more is refused."""

Committed = Callable[[Sequence[Batch]], None]
"""Told on the event loop of the batches of one commit, before their futures resolve."""


class Writer:
    """Writes until it is closed."""

    def __init__(self, file: LogFile, committed: Committed) -> None:
        self._file = file
        self._committed = committed
        self._loop = asyncio.get_running_loop()
        self._jobs = SimpleQueue[Job | None]()
        self._waiting = 0
        self._closed = False
        self._ended = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="prozess-log-writer", daemon=True)
        self._thread.start()

    async def write(self, what: Batch | Mark, size: int = 0) -> int:
        """Durable when it returns; a batch's first offset. Raises `AppendFailed`."""
        if self._closed:
            raise AppendFailed("the log is closed; nothing was written")
        if self._waiting + size > WAITING_BYTES:
            raise AppendFailed("the log's file is too slow: too much waits to be written; nothing of this was")
        done: asyncio.Future[int] = self._loop.create_future()
        self._waiting += size
        self._jobs.put((what, size, done))
        return await done

    async def close(self, patience: float) -> bool:
        """Write what waits, then end the thread; whether it ended in so many seconds."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        await asyncio.wait({self._ended}, timeout=patience)
        return self._ended.done()

    def _run(self) -> None:
        going = True
        while going:
            jobs, going = self._take()
            failure = ""
            try:
                self._file.write([what for what, _, _ in jobs])
            except sqlite3.Error as wrong:
                failure = f"the log's file could not be written: {wrong}"
            except Exception as wrong:  # noqa: BLE001 (whoever waits must hear of it, whatever it is)
                failure = f"a batch could not be written: {type(wrong).__name__}: {wrong}"
            with contextlib.suppress(RuntimeError):  # the loop has ended, and everybody who waited with it
                self._loop.call_soon_threadsafe(self._tell, jobs, failure)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ended.set_result, None)

    def _take(self) -> tuple[list[Job], bool]:
        first = self._jobs.get()
        jobs: list[Job] = []
        size = 0
        job = first
        with contextlib.suppress(Empty):
            while job is not None:
                jobs.append(job)
                size += job[1]
                if size >= MAX_BATCH_BYTES:
                    return jobs, True
                job = self._jobs.get_nowait()
            return jobs, False
        return jobs, True

    def _tell(self, jobs: Sequence[Job], failure: str) -> None:
        if not failure:
            self._committed([what for what, _, _ in jobs if isinstance(what, Batch)])
        self._waiting -= sum(size for _, size, _ in jobs)
        for what, _, done in jobs:
            if done.done():
                continue
            if failure:
                done.set_exception(AppendFailed(failure))
            else:
                done.set_result(what.first if isinstance(what, Batch) else 0)
