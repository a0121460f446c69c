"""The open runs of a partition: in memory those that do something, in rows those that only wait.

In comes a run's id; out goes its state, brought back from its row where it rests. A row is what the newest snapshot says of its
run, so that nothing is lost with it: it is a cache, and it is gone with the ownership.
"""

from collections.abc import Callable, Mapping
from typing import Any

from events.topics import run_stream
from services.core.deciders import memory
from services.core.running.run_state import Active
from services.processor.memory.book import Book
from services.processor.memory.snapshots import MemoryRows, Row, Rows


class Runs(dict[str, Active]):
    """As a dictionary it has the runs that are awake; asked for one that rests, it wakes it."""

    def __init__(self, awake: Any = (), rows: Rows | None = None) -> None:
        super().__init__(awake)
        self.rows: Rows = MemoryRows() if rows is None else rows
        self.book: Book | None = None
        self.on_wake: Callable[[str, int | None], None] = lambda _run, _due: None

    @property
    def awake(self) -> Mapping[str, Active]:
        """Those in memory."""
        return self

    @property
    def open(self) -> int:
        """How many there are, with those that rest."""
        return len(self.keys()) + len(self.rows)

    def get(self, run: str, default: Any = None) -> Any:
        """The state of an open run."""
        found = super().get(run)
        if found is None:
            found = self._wake(run)
        return default if found is None else found

    def __contains__(self, run: object) -> bool:
        return self.get(str(run)) is not None

    def __missing__(self, run: str) -> Active:
        found = self._wake(run)
        if found is None:
            raise KeyError(run)
        return found

    def bring(self, row: Row) -> Active:
        """The state of a row goes into memory."""
        state = memory.decode(row.kind, row.state.words or "" if row.state else "")
        assert isinstance(state, Active), "only runs rest"
        run = row.stream.partition("-")[2]
        self[run] = state
        if self.book is not None:
            self.book.positions[row.stream] = row.position
        return state

    def rest(self, run: str) -> None:
        """The run's row is kept; memory is not needed."""
        del self[run]
        if self.book is not None:
            self.book.positions.pop(run_stream(run), None)

    def _wake(self, run: str) -> Active | None:
        row = self.rows.take(run_stream(run))
        if row is None:
            return None
        state = self.bring(row)
        self.on_wake(run, row.due)
        return state
