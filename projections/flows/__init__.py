"""Which flows are there, what do their releases run, and who may start them?

In come the events of flow streams; out go the draft and the release of each flow, its versions, the apps that are bound
to it, and the definitions by hash (those that runs brought along as well). The rules of the release bits are those of
the running original, except that a release for the API alone can be called.
"""

from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.flows.rows import (
    HIGHEST_FIRST,
    PUBLISHED,
    TAKEN_OFF,
    UNVERSIONED,
    apply,
    definitions,
    flow_bindings,
    flow_comparisons,
    flow_versions,
    flows,
)
from projections.schema import Row, Text, cursor_of, mappings, parts_of

__all__ = ["apply"]


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow as it stands. `definition` and `release` are hashes, None where there is no content; times are in milliseconds."""

    flow: str
    group_id: str
    app: str
    name: str
    description: str
    status: int
    source: int
    release_status: int
    version: str
    tag: int
    definition: str | None
    release: str | None
    created: int
    updated: int
    is_deleted: bool
    partition: int
    offset: int
    position: int


@dataclass(frozen=True, slots=True)
class Release:
    """What a start of the flow runs. `version` is empty for a release without one; `owner` is the app whose flow it is.

    `for_editors`: a draft or a version to compare with, which only those who may edit the flow may run.
    """

    flow: str
    version: str
    definition: str
    owner: str
    for_editors: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """A published version, for ever of this content. `published` in milliseconds."""

    version: str
    definition: str | None
    published: int


@dataclass(frozen=True, slots=True)
class NoStart:
    """Why a start is not possible (astron.md 1.5): 20201, 20004, 20005, 20204 in this order; `no_content` is a draft without one."""

    reason: Literal["no_flow", "not_bound", "binding_off", "not_released", "no_content"]


@dataclass(frozen=True, slots=True)
class FlowPage:
    """Some flows, newest first, and the cursor to the next ones."""

    flows: list[Flow]
    cursor: str | None


def is_callable(release_status: int) -> bool:
    """Whether the release bits let a flow be called (astron.md 6.3; an API-only release counts)."""
    return bool(release_status & PUBLISHED) and release_status & TAKEN_OFF != TAKEN_OFF


async def find(connection: AsyncConnection, flow: str) -> Flow | None:
    """The flow, None for an unknown or deleted one."""
    return await connection.run_sync(flow_of, flow)


def flow_of(connection: sa.Connection, flow: str) -> Flow | None:
    """The same, where the connection is at hand."""
    wanted = sa.select(flows).where(flows.c.flow == flow, flows.c.is_deleted.is_(False))
    row = connection.execute(wanted).mappings().one_or_none()
    return None if row is None else Flow(**row)


async def released(connection: AsyncConnection, flow: str, version: str = "") -> Release | None:
    """What a start runs: the version that is named, else the highest, else the release without a version (astron.md 1.5 step 4)."""
    row = await connection.run_sync(_row_of, flow, version, "")
    return None if row is None else _release(row, version)


async def bound(connection: AsyncConnection, flow: str, app: str) -> int | None:
    """The licence's status (1 on, 0 off), None where the app is not bound to the flow."""
    wanted = sa.select(flow_bindings.c.status).where(flow_bindings.c.flow == flow, flow_bindings.c.app == app)
    return (await connection.execute(wanted)).scalar_one_or_none()


async def definition(connection: AsyncConnection, hash_: str) -> dict[str, JsonValue] | None:
    """The document with this hash, secrets replaced by references."""
    return (await connection.execute(sa.select(definitions.c.document).where(definitions.c.hash == hash_))).scalar_one_or_none()


async def resolve_start(
    connection: AsyncConnection, flow: str, version: str, app: str, mode: Literal["open", "debug"]
) -> Release | NoStart:
    """Everything that a start asks of flows, in one round trip.

    A debug run without a version takes the draft, one that names a version to compare with takes that, both unasked for a licence.
    """
    return await connection.run_sync(start_of, flow, version, app, mode)


def start_of(connection: sa.Connection, flow: str, version: str, app: str, mode: Literal["open", "debug"]) -> Release | NoStart:
    """The same, where the connection is at hand."""
    row = _row_of(connection, flow, version, app)
    if row is None:
        return NoStart("no_flow")
    if mode == "debug" and not version:
        return NoStart("no_content") if row["definition"] is None else Release(flow, "", row["definition"], row["owner"], for_editors=True)
    if mode == "debug" and row["compared"] is not None:
        return Release(flow, version, row["compared"], row["owner"], for_editors=True)
    if row["licence"] is None:
        return NoStart("not_bound")
    if row["licence"] == 0:
        return NoStart("binding_off")
    return _release(row, version) or NoStart("not_released")


async def page(connection: AsyncConnection, app: str | None = None, cursor: str | None = None, limit: int = 50) -> FlowPage:
    """Flows that are not deleted, newest first. Raises `BadCursor`."""
    wanted = sa.select(flows).where(flows.c.is_deleted.is_(False))
    if app is not None:
        wanted = wanted.where(flows.c.app == app)
    if cursor is not None:
        created, flow = parts_of(cursor, int, str)
        wanted = wanted.where(sa.tuple_(flows.c.created, flows.c.flow) < sa.tuple_(sa.literal(created), sa.literal(flow, Text)))
    rows = mappings(await connection.execute(wanted.order_by(flows.c.created.desc(), flows.c.flow.desc()).limit(limit + 1)))
    found = [Flow(**row) for row in rows[:limit]]
    return FlowPage(found, cursor_of(found[-1].created, found[-1].flow) if len(rows) > limit else None)


async def runnable(connection: AsyncConnection, app: str, limit: int = 1000) -> list[Flow]:
    """The flows that an app may start: bound, published, with content; newest first."""
    bound_to = sa.select(flow_bindings.c.flow).where(flow_bindings.c.app == app, flow_bindings.c.status == 1)
    wanted = sa.select(flows).where(flows.c.flow.in_(bound_to), flows.c.is_deleted.is_(False), flows.c.release.is_not(None))
    rows = mappings(await connection.execute(wanted.order_by(flows.c.created.desc(), flows.c.flow.desc()).limit(limit)))
    return [Flow(**row) for row in rows if is_callable(row["release_status"])]


async def versions(connection: AsyncConnection, flow: str) -> list[Version]:
    """The published versions, the one that a start takes first."""
    wanted = sa.select(flow_versions.c.version, flow_versions.c.definition, flow_versions.c.published)
    rows = (await connection.execute(wanted.where(flow_versions.c.flow == flow).order_by(*HIGHEST_FIRST))).mappings()
    return [Version(**row) for row in rows]


async def bindings(connection: AsyncConnection, flow: str) -> list[str]:
    """The apps that may run the flow, by name."""
    wanted = sa.select(flow_bindings.c.app).where(flow_bindings.c.flow == flow, flow_bindings.c.status == 1)
    return list((await connection.execute(wanted.order_by(flow_bindings.c.app))).scalars())


async def compared(connection: AsyncConnection, flow: str) -> dict[str, str]:
    """The versions to compare with, and their definitions."""
    wanted = sa.select(flow_comparisons.c.version, flow_comparisons.c.definition).where(flow_comparisons.c.flow == flow)
    wanted = wanted.where(flow_comparisons.c.definition.is_not(None)).order_by(flow_comparisons.c.version)
    return {row["version"]: row["definition"] for row in (await connection.execute(wanted)).mappings()}


def _starting(*, named: bool) -> sa.Select[*tuple[Any, ...]]:
    """The row of a start, with the parameters `_flow`, `_app` and `_version`: made once, since making it costs more than asking."""
    flow, app, version = (sa.bindparam(name, type_=Text) for name in ("_flow", "_app", "_version"))
    highest = sa.select(flow_versions.c.version).where(flow_versions.c.flow == flow).order_by(*HIGHEST_FIRST).limit(1).scalar_subquery()
    chosen = flow_versions.c.version == (version if named else highest)
    return (
        sa.select(
            flows.c.flow,
            flows.c.definition,
            flows.c.release,
            flows.c.release_status,
            flows.c.app.label("owner"),
            flow_bindings.c.status.label("licence"),
            flow_versions.c.version.label("version"),
            flow_versions.c.definition.label("version_definition"),
            flow_comparisons.c.definition.label("compared"),
        )
        .join_from(flows, flow_bindings, sa.and_(flow_bindings.c.flow == flows.c.flow, flow_bindings.c.app == app), isouter=True)
        .join(flow_versions, sa.and_(flow_versions.c.flow == flows.c.flow, chosen), isouter=True)
        .join(flow_comparisons, sa.and_(flow_comparisons.c.flow == flows.c.flow, flow_comparisons.c.version == version), isouter=True)
        .where(flows.c.flow == flow, flows.c.is_deleted.is_(False))
    )


_START_NAMED, _START_HIGHEST = _starting(named=True), _starting(named=False)


def _row_of(connection: sa.Connection, flow: str, version: str, app: str) -> Row | None:
    asked = connection.execute(_START_NAMED if version else _START_HIGHEST, {"_flow": flow, "_version": version, "_app": app})
    row = asked.mappings().one_or_none()
    return None if row is None else dict(row)


def _pinned(row: Row, version: str, definition: str) -> Release:
    return Release(row["flow"], version, definition, row["owner"])


def _release(row: Row, version: str) -> Release | None:
    if not is_callable(row["release_status"]):
        return None
    if row["version"] is not None:
        return _pinned(row, row["version"], row["version_definition"]) if row["version_definition"] else None
    if version in {"", UNVERSIONED} and row["release"] is not None:
        return _pinned(row, "", row["release"])
    return None
