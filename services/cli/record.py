"""Commands that look at the record: the topics, the newest runs, one run as it goes on, one run as it went.

`tail` and `replay` read the log itself and believe only what `events.acceptance` accepts; `runs` asks the rows.
"""

import asyncio
import json
from datetime import UTC, datetime
from typing import Annotated, Literal

from cyclopts import App, Group, Parameter
from cyclopts.validators import Number
from rich.text import Text

from events.acceptance import ENDS_A_RUN, Accepted
from events.topics import COMMANDS, EVENTS, SNAPSHOTS
from services.cli.options import OfLog, OfRows, settings
from services.cli.printing import console, show, table
from services.kit.program.exits import guarded
from services.kit.settings import Settings

Run = Annotated[str, Parameter(help="The run's id, as in the header X-Event-Id.")]
Speed = Literal["1", "10", "max"]
_LONGEST_PAUSE_S = 60.0
_FEW = 20


def register(app: App) -> None:
    """Add the commands."""
    group = Group("The record", sort_key=2)
    for command in (topics, runs, tail, replay):
        app.command(command, group=group)


def topics(*, options: OfLog | None = None) -> int:
    """Lists the topics with their partitions, bounds and identity."""
    return guarded(lambda: _topics(settings(options)))


def runs(
    *,
    options: OfRows | None = None,
    app: Annotated[str, Parameter(help="Only runs of this app.", env_var="PROZESS_APP", show_default=False)] = "",
    limit: Annotated[int, Parameter(help="How many, newest first.", env_var="PROZESS_LIMIT", validator=Number(gte=1, lte=1000))] = _FEW,
) -> int:
    """Lists the newest runs from the rows."""
    return guarded(lambda: _runs(settings(options), app, limit))


def tail(
    run: Run,
    /,
    *,
    options: OfLog | None = None,
    start: Annotated[
        int, Parameter(name="--from", help="The first position to show.", env_var="PROZESS_FROM", validator=Number(gte=1))
    ] = 1,
    as_json: Annotated[
        bool, Parameter(name="--json", help="One JSON object a line.", env_var="PROZESS_JSON", negative=(), show_default=False)
    ] = False,
) -> int:
    """Shows the events of a run as they are written, until the run ends."""
    return guarded(lambda: _tail(settings(options), run, start, as_json))


def replay(
    run: Run,
    /,
    *,
    options: OfLog | None = None,
    speed: Annotated[Speed, Parameter(help="How fast: as it was, ten times that, or at once.", env_var="PROZESS_SPEED")] = "1",
) -> int:
    """Shows what the person saw, in the time it took."""
    return guarded(lambda: _replay(settings(options), run, speed))


async def _topics(where: Settings) -> None:
    from services.cli.reading import open_log

    lines = table("topic", "identity", "partition", "first", "next", "records")
    async with open_log(where) as log:
        for topic in (COMMANDS, EVENTS, SNAPSHOTS):
            identity = await log.identity(topic)
            for partition in range(log.partitions(topic)):
                first, end = await log.bounds(topic, partition)
                lines.add_row(topic, identity, str(partition), str(first), str(end), str(end - first))
    show(lines)


async def _runs(where: Settings, app: str, limit: int) -> None:
    from projections import runs as read_model
    from services.kit.database import Database

    lines = table("run", "app", "flow", "chat", "status", "started", "seconds")
    database = Database(where)
    try:
        await database.check_schema()
        async with database.connect() as connection:
            page = await read_model.page(connection, read_model.RunFilter(app=app or None), limit=limit)
    finally:
        await database.dispose()
    for run in page.runs:
        took = "" if run.finished is None else f"{(run.finished - run.started) / 1000:.1f}"
        lines.add_row(run.run, run.app, run.flow, run.chat, run.status, _when(run.started), took)
    show(lines)


async def _tail(where: Settings, run: str, start: int, as_json: bool) -> None:
    from services.cli.reading import follow, open_log

    out = console()
    async with open_log(where) as log:
        async for event in follow(log, where, run):
            if event.position >= start:
                out.print(_json(event) if as_json else _line(event), markup=False)
            if event.meta.type in ENDS_A_RUN:
                return


async def _replay(where: Settings, run: str, speed: Speed) -> None:
    from services.api.following.shown import Screen
    from services.cli.reading import follow, open_log

    out, screen, before, stage = console(), Screen(), 0, ""
    async with open_log(where) as log:
        async for event in follow(log, where, run):
            if speed != "max" and before:
                await pause(min(max(0, event.meta.time - before) / 1000, _LONGEST_PAUSE_S) / int(speed))
            before = event.meta.time
            for piece in screen.show(event.envelope.data):
                if piece.text:
                    turned = "\n" if stage not in {"", piece.stage} else ""
                    out.print(Text(turned + piece.text, style="dim" if piece.stage == "reasoning" else ""), end="")
                    stage = piece.stage
            if event.meta.type in ENDS_A_RUN:
                out.print()
                return


async def pause(seconds: float) -> None:
    """What makes a replay take its time."""
    await asyncio.sleep(seconds)


def _line(event: Accepted) -> Text:
    told = event.envelope.data.model_dump(mode="json", exclude_none=True, exclude={"run", "app", "type"})
    text = Text(f"{event.position:>6}  ", style="dim")
    text.append(_when(event.meta.time, "milliseconds"), style="dim")
    text.append(f"  {event.meta.type:<16}  ", style="bold")
    return text.append(json.dumps(told, ensure_ascii=False, separators=(", ", ": ")))


def _json(event: Accepted) -> str:
    meta, data = event.meta, event.envelope.data.model_dump(mode="json")
    head = {"position": event.position, "partition": event.partition, "offset": event.offset, "id": meta.id, "type": meta.type}
    return json.dumps({**head, "time": meta.time, "stream": meta.stream, "data": data}, ensure_ascii=False, separators=(",", ":"))


def _when(milliseconds: int, precision: str = "seconds") -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(sep=" ", timespec=precision).removesuffix("+00:00")
