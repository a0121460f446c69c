"""Which tools does an app have, and what is in each version?

In come the events of tool streams; out go a row for each version. A removed tool leaves one empty row in the place of each
version, so that an older event cannot bring it back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from events.acceptance import Accepted
from events.tool import ToolRemoved, ToolStored
from projections.schema import Json, Row, Text, Whole, mappings, metadata, store

tools = sa.Table(
    "tools",
    metadata,
    sa.Column("app", Text, primary_key=True),
    sa.Column("tool", Text, primary_key=True),
    sa.Column("version", Text, primary_key=True),
    sa.Column("kind", Text, nullable=False),
    sa.Column("name", Text, nullable=False),
    sa.Column("description", Text, nullable=False),
    sa.Column("definition", Text, nullable=False),
    sa.Column("content", Json, nullable=False),
    sa.Column("updated", Whole, nullable=False),
    sa.Column("is_removed", sa.Boolean, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", Whole, nullable=False),
    sa.Column("position", Whole, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Tool:
    """One version of a tool. `content` as its app sent it, keys as references; `updated` in milliseconds."""

    app: str
    tool: str
    version: str
    kind: str
    name: str
    description: str
    definition: str
    content: dict[str, Any]
    updated: int
    is_removed: bool
    partition: int
    offset: int
    position: int


def apply(connection: sa.Connection, events: Sequence[Accepted]) -> None:
    """Rows of what happened to tools."""
    rows: dict[tuple[str, str, str], Row] = {}
    for event in events:
        if isinstance(event.envelope.data, ToolStored):
            data = event.envelope.data
            rows[data.app, data.tool, data.tool_version] = {**_row(data), "is_removed": False, **_place(event)}
        elif isinstance(event.envelope.data, ToolRemoved):
            app, _, tool = event.meta.stream.removeprefix("tool-").rpartition("/")
            known = sa.select(tools.c.version).where(tools.c.app == app, tools.c.tool == tool, tools.c.position < event.position)
            versions = {row.version for row in connection.execute(known)} | {key[2] for key in rows if key[:2] == (app, tool)}
            for version in versions:
                rows[app, tool, version] = {"app": app, "tool": tool, "version": version, **_EMPTY, **_place(event)}
    store(connection, tools, rows.values())


_EMPTY: Row = {"kind": "", "name": "", "description": "", "definition": "", "content": {}, "is_removed": True}


def _row(data: ToolStored) -> Row:
    return {**data.model_dump(exclude={"tool_version"}), "version": data.tool_version}


def _place(event: Accepted) -> Row:
    return {"partition": event.partition, "offset": event.offset, "position": event.position, "updated": event.meta.time}


async def find(connection: AsyncConnection, app: str, tool: str, version: str = "") -> Tool | None:
    """A version of the app's tool; without `version` the newest."""
    wanted = sa.select(tools).where(tools.c.app == app, tools.c.tool == tool, tools.c.is_removed.is_(False))
    if version:
        wanted = wanted.where(tools.c.version == version)
    row = (await connection.execute(wanted.order_by(tools.c.position.desc()).limit(1))).mappings().one_or_none()
    return None if row is None else Tool(**row)


async def of_app(connection: AsyncConnection, app: str, tool: str = "", limit: int = 1000) -> list[Tool]:
    """The app's tools (or the versions of one), newest version first."""
    wanted = sa.select(tools).where(tools.c.app == app, tools.c.is_removed.is_(False))
    if tool:
        wanted = wanted.where(tools.c.tool == tool)
    found = await connection.execute(wanted.order_by(tools.c.tool, tools.c.position.desc()).limit(limit))
    return [Tool(**row) for row in mappings(found)]
