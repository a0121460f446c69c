"""How the command line prints: tables as wide as the terminal, or as wide as they need where nobody watches.

Colours and moving things are for terminals; what is piped is plain text, one row a line.
"""

import contextlib
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

_ENDLESS = 4000
_LINE_S = 5.0
Meter = Callable[[int, int], None]
"""Called with what is done and what there is in all."""


def console(*, to_stderr: bool = False) -> Console:
    """Standard output, or standard error; text is never folded, and never taken for markup by accident."""
    terminal = Console(highlight=False, soft_wrap=True, markup=False, stderr=to_stderr)
    return terminal if terminal.is_terminal else Console(highlight=False, soft_wrap=True, markup=False, stderr=to_stderr, width=_ENDLESS)


def table(*columns: str, header: bool = True) -> Table:
    """An empty table without a frame."""
    return Table(*(Column(name, overflow="fold") for name in columns), box=None, pad_edge=False, show_header=header)


def show(what: Table) -> None:
    """Print a table."""
    terminal = Console(highlight=False)
    (terminal if terminal.is_terminal else console()).print(what)


def waiting(told: str) -> AbstractContextManager[Any]:
    """A moving line on the terminal's standard error while something takes its time."""
    terminal = Console(stderr=True)
    return terminal.status(told) if terminal.is_terminal else nullcontext()


@contextlib.contextmanager
def meter(told: str) -> Generator[Meter]:
    """A progress bar on the terminal's standard error; a plain line every few seconds where nobody watches."""
    terminal = Console(stderr=True, highlight=False, soft_wrap=True)
    if not terminal.is_terminal:
        yield _plain_meter(terminal, told)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=terminal, transient=True) as progress:
        task = progress.add_task(told, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _plain_meter(out: Console, told: str) -> Meter:
    due = time.monotonic() + _LINE_S

    def tell(done: int, total: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _LINE_S
            out.print(f"{told}: {done:,} of {total:,} records")

    return tell
