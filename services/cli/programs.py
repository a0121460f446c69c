"""Commands that run until they are stopped: the programs one by one, and all of them together.

Ctrl-C (or SIGTERM) drains and exits 0; a second one quits at once.
"""

from cyclopts import App, Group

from services.cli.options import AllInOne, Inner, Outer, settings


def register(app: App) -> None:
    """Add the commands."""
    group = Group("Programs", sort_key=1)
    for command in (dev, api, processor, projector):
        app.command(command, group=group)


def dev(*, options: AllInOne | None = None) -> int:
    """Everything with one command, on the embedded log, with a demo app and a demo flow.

    Migrates the rows itself, keeps one copy of everything (`--durability single`), believes loopback's
    `x-consumer-username`, and lets any browser origin call. With `--kafka` and `--database` it runs on the real ones.
    """
    from services.dev.app import main, settings_for_dev

    return main(settings_for_dev(settings(options)))


def api(*, options: Outer | None = None) -> int:
    """Serves the HTTP surfaces: says what is wished, shows what happens."""
    from services.api.app import run
    from services.kit.program.frame import main

    return main("api", run, settings(options))


def processor(*, options: Inner | None = None) -> int:
    """Owns partitions: decides, does, and writes every event."""
    from services.kit.program.frame import main
    from services.processor.app import run

    return main("processor", run, settings(options))


def projector(*, options: Inner | None = None) -> int:
    """Remembers: folds the events into rows."""
    from services.kit.program.frame import main
    from services.projector.app import run

    return main("projector", run, settings(options))
