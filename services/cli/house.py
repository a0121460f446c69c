"""Commands that keep the house: migrations, a look at everything that is needed, the list of all settings."""

from typing import Annotated

from cyclopts import App, Parameter
from pydantic_core import PydanticUndefined
from rich.console import Console
from rich.table import Table

from services.cli.options import Running, Where, settings
from services.kit.assemble import make_folder
from services.kit.database import Database
from services.kit.doctor import Finding, examine
from services.kit.program import BROKE, FINE, guarded
from services.kit.settings import Settings, variable

_MARKS = {"good": "[green]✓[/]", "note": "[yellow]·[/]", "bad": "[red]✗[/]"}


def register(app: App) -> None:
    """Add the commands."""
    for command in (migrate, doctor):
        app.command(command, group="The house")
    app.command(list_settings, name="settings", group="The house")


def migrate(options: Where | None = None, /) -> int:
    """Brings the rows' tables to the form this program needs. `prozess dev` does it itself."""
    return guarded(lambda: _migrate(settings(options)))


def doctor(
    options: Running | None = None,
    /,
    *,
    patience: Annotated[float, Parameter(help="How long each check may take, in seconds.", env_var="PROZESS_PATIENCE")] = 10.0,
) -> int:
    """Looks at the broker, the rows, the migrations and the model endpoint, and says what to do. Exits 1 if something is wrong."""
    findings: list[Finding] = []
    code = guarded(lambda: _doctor(settings(options), patience, findings))
    return code or (BROKE if any(finding.state == "bad" for finding in findings) else FINE)


def list_settings() -> int:
    """Lists every setting with its environment variable, meaning and default."""
    table = Table("variable", "meaning", "default", box=None, pad_edge=False)
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = "" if default in (None, "", (), {}, PydanticUndefined) else str(default)
        table.add_row(variable(name), field.description, shown)
    Console().print(table, markup=False)
    return FINE


async def _migrate(where: Settings) -> None:
    make_folder(where)
    database = Database(where)
    console = Console(stderr=True)
    try:
        with console.status("Migrating the rows") if console.is_terminal else _Quiet():
            await database.migrate()
    finally:
        await database.dispose()
    Console().print("The rows have the form this program needs.")


async def _doctor(where: Settings, patience: float, findings: list[Finding]) -> None:
    table = Table("", "part", "finding", box=None, pad_edge=False, show_header=False)
    console = Console()
    with Console(stderr=True).status("Looking") if console.is_terminal else _Quiet():
        findings.extend([finding async for finding in examine(where, patience)])
    for finding in findings:
        table.add_row(_MARKS[finding.state], finding.part, finding.said)
    console.print(table)


class _Quiet:
    """Where nobody watches."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...
