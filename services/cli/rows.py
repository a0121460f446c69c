"""Commands that look after the rows: making read models anew from the log, and comparing them with it."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from cyclopts import App, Group, Parameter
from rich.text import Text

from services.cli.options import Everything, settings
from services.cli.printing import Meter, console, meter, show, table
from services.kit.blobs import Blobs, FolderBlobs
from services.kit.database import Database
from services.kit.errors import Refused
from services.kit.program.exits import BROKE, FINE, guarded
from services.kit.settings import Settings
from services.projector.refold import ReadableLog

_SHORT = 12
T = TypeVar("T")
_Names = Annotated[str, Parameter(help="Names of read models, as `prozess rebuild --help` lists them.", negative=())]


def register(app: App) -> None:
    """Add the commands."""
    group = Group("The rows", sort_key=3)
    app.command(rebuild, group=group)
    app.command(audit_consistency, name="audit-consistency", group=group)


def rebuild(
    *names: _Names,
    every: Annotated[
        bool, Parameter(name="--all", help="Every read model.", env_var="PROZESS_ALL", negative=(), show_default=False)
    ] = False,
    options: Everything | None = None,
) -> int:
    """Makes rows anew from the log, while everything goes on running.

    Folds the log into shadow tables, then lets those take the place of the rows in one transaction. Requests see the old
    rows until then; no event is lost or counted twice. Stopped or killed, it goes on from there when called again.

    The read models are apps, audit_events, bots, chat_messages, flows, node_runs, questions, run_journal, runs, tools and
    variables.
    """
    return guarded(lambda: _rebuild(settings(options), names, every))


def audit_consistency(*names: _Names, options: Everything | None = None) -> int:
    """Compares the rows with the log, all of them or some read models. Exits 1 where they differ.

    Folds the log once more and compares what comes out with the rows, key by key, as of one moment. Changes nothing.
    """
    differing: list[int] = []
    code = guarded(lambda: _audit(settings(options), names, differing))
    return code or (BROKE if sum(differing) else FINE)


async def _rebuild(where: Settings, names: tuple[str, ...], every: bool) -> None:
    from services.projector.rebuild import chosen
    from services.projector.rebuild import rebuild as work

    if bool(names) == every:
        raise Refused("name the read models to rebuild, or say --all.")
    models = chosen(names)
    done = await _with_all(where, "Folding the log", lambda log, blobs, rows, tell: work(log, blobs, rows, models, tell))
    pace = f", {done.records / done.seconds:,.0f} a second" if done.seconds else ""
    again = " (going on from an earlier time)" if done.resumed else ""
    console().print(
        f"Rebuilt {', '.join(done.models)} from {done.records:,} records{again} in {done.seconds:.1f} s{pace}; "
        f"the projector waited {done.held:.2f} s."
    )


async def _audit(where: Settings, names: tuple[str, ...], differing: list[int]) -> None:
    from services.projector.consistency import audit
    from services.projector.rebuild import chosen

    models = chosen(names)
    found = await _with_all(where, "Folding the log", lambda log, blobs, rows, tell: audit(log, blobs, rows, models, tell))
    lines = table("read model", "table", "rows", "hash of the rows", "hash of the log", "finding")
    for one in found:
        finding = Text("equal", "green") if one.is_equal else Text(f"{one.differing:,} differ", "red")
        lines.add_row(one.model, one.table, f"{one.rows:,}", one.hash_of_rows[:_SHORT], one.hash_of_log[:_SHORT], finding)
    show(lines)
    for one in found:
        for difference in one.first:
            told = Text(one.table, "red").append(f" {', '.join(map(str, difference.key))}: {difference.what}", "default")
            console().print(told)
    differing += [0 if one.is_equal else one.differing or 1 for one in found]


async def _with_all(where: Settings, told: str, work: Callable[[ReadableLog, Blobs, Database, Meter], Awaitable[T]]) -> T:
    from services.cli.reading import open_log

    database = Database(where)
    try:
        await database.check_schema()
        async with open_log(where) as log:
            with meter(told) as tell:
                return await work(log, FolderBlobs(where.data / "blobs"), database, tell)
    finally:
        await database.dispose()
