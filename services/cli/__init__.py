"""`prozess`: the command line. It starts the programs and looks at the record.

Every command is a few lines that call the program or the port that does the work; every option has an environment
twin. Errors are one sentence: exit code 2 where something could not start or was asked wrongly, 1 where it broke.
Colours and progress are for terminals only.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cyclopts import App, CycloptsError

from services.cli import apps, house, programs, providers, record, rows, secrets
from services.kit.errors import Refused
from services.kit.program import runtime
from services.kit.program.exits import BROKE, REFUSED, say
from services.kit.telling import logs


def _version() -> str:
    try:
        return version("prozess")
    except PackageNotFoundError:
        return "0 (not installed)"


def build() -> App:
    """The whole command line."""
    app = App(
        name="prozess",
        help="Puts every AI chat and agent-workflow run on the record.",
        help_epilogue="Settings without an option are read from the environment; `prozess settings` lists them all.",
        version=_version,
        help_format="markdown",
    )
    for part in (programs, record, rows, house, apps, providers, secrets):
        part.register(app)
    return app


def main(tokens: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    logs.configure("prozess", "critical")
    try:
        with runtime.reading_modules():
            code: Any = build()(tokens, print_error=False, exit_on_error=False, result_action="return_value")
    except CycloptsError as wrong:
        wrong.verbose = False
        return say(Refused(f"{str(wrong).rstrip('.')}; try `prozess --help`."), REFUSED)
    except Refused as no:
        return say(no, REFUSED)
    except Exception as wrong:  # noqa: BLE001 (a sentence instead of a stack trace)
        return say(wrong, BROKE)
    return code if isinstance(code, int) else 0
