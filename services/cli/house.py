"""Commands that keep the house: migrations, a look at everything that is needed, the list of all settings."""

from typing import Annotated

from cyclopts import App, Group, Parameter
from rich.markup import escape
from rich.text import Text

from services.cli.options import Everything, OfRows, settings
from services.cli.printing import console, show, table, waiting
from services.kit.program.exits import BROKE, FINE, guarded
from services.kit.settings import Settings
from services.kit.settings_table import rows

_MARKS = {"good": Text("✓", "green"), "note": Text("·", "yellow"), "bad": Text("✗", "red")}


def register(app: App) -> None:
    """Add the commands."""
    group = Group("The house", sort_key=4)
    for command in (migrate, doctor):
        app.command(command, group=group)
    app.command(list_settings, name="settings", group=group)


def migrate(*, options: OfRows | None = None) -> int:
    """Brings the rows' tables to the form this program needs. `prozess dev` does it itself."""
    return guarded(lambda: _migrate(settings(options)))


def doctor(
    *,
    options: Everything | None = None,
    patience: Annotated[float, Parameter(help="How long each check may take, in seconds.", env_var="PROZESS_PATIENCE")] = 15.0,
) -> int:
    """Looks at the broker, the rows, the migrations and the model endpoint, and says what to do. Exits 1 if something is wrong."""
    states: list[str] = []
    code = guarded(lambda: _doctor(settings(options), patience, states))
    return code or (BROKE if "bad" in states else FINE)


def list_settings() -> int:
    """Lists every setting with its environment variable, meaning, default and range."""
    lines = table("variable", "meaning", "default", "may be")
    for row in rows():
        lines.add_row(row.variable, escape(row.meaning), escape(row.default), escape(row.may_be.replace("`", "")))
    show(lines)
    return FINE


async def _migrate(where: Settings) -> None:
    from services.kit.assemble import make_folder
    from services.kit.database import Database

    make_folder(where)
    database = Database(where)
    try:
        with waiting("Migrating the rows"):
            await database.migrate()
    finally:
        await database.dispose()
    console().print("The rows have the form this program needs.")


async def _doctor(where: Settings, patience: float, states: list[str]) -> None:
    from services.kit.doctor import examine

    lines = table("", "part", "finding", header=False)
    with waiting("Looking"):
        findings = [finding async for finding in examine(where, patience)]
    for finding in findings:
        lines.add_row(_MARKS[finding.state], finding.part, Text(finding.said))
        states.append(finding.state)
    show(lines)
