"""How the command line prints: tables as wide as the terminal, or as wide as they need where nobody watches.

Colours and moving things are for terminals; what is piped is plain text, one row a line.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console
from rich.table import Column, Table

_ENDLESS = 4000


def console() -> Console:
    """Standard output; text is never folded, and never taken for markup by accident."""
    terminal = Console(highlight=False, soft_wrap=True)
    return terminal if terminal.is_terminal else Console(highlight=False, soft_wrap=True, width=_ENDLESS)


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
