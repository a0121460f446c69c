"""The rows of flows, and how events change them: see `projections.flows` for the question they answer.

In come the events of flow streams; rows of flows, versions, bindings, comparisons and definitions are written.
"""

import re
from collections.abc import Sequence

import sqlalchemy as sa

from events.acceptance import Accepted
from events.flow import (
    FlowBound,
    FlowCompared,
    FlowComparisonEnded,
    FlowDeleted,
    FlowDrafted,
    FlowPublished,
    FlowRevised,
    FlowTakenOff,
    FlowUnbound,
)
from events.run import RunStarted
from projections.schema import Json, Row, Text, Whole, insert_new, mappings, metadata, store, upsert

UNVERSIONED = "-1"
PUBLISHED = 1 | 4 | 8
TAKEN_OFF = 2 | 16 | 64
_LARGEST = 2**63 - 1

flows = sa.Table(
    "flows",
    metadata,
    sa.Column("flow", Text, primary_key=True),
    sa.Column("group_id", Text, nullable=False),
    sa.Column("app", Text, nullable=False, index=True),
    sa.Column("name", Text, nullable=False),
    sa.Column("description", Text, nullable=False),
    sa.Column("status", Whole, nullable=False),
    sa.Column("source", Whole, nullable=False),
    sa.Column("release_status", Whole, nullable=False),
    sa.Column("version", Text, nullable=False),
    sa.Column("tag", Whole, nullable=False),
    sa.Column("definition", Text),
    sa.Column("release", Text),
    sa.Column("created", Whole, nullable=False),
    sa.Column("updated", Whole, nullable=False),
    sa.Column("is_deleted", sa.Boolean, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", Whole, nullable=False),
    sa.Column("position", Whole, nullable=False),
)
flow_versions = sa.Table(
    "flow_versions",
    metadata,
    sa.Column("flow", Text, primary_key=True),
    sa.Column("version", Text, primary_key=True),
    sa.Column("first_number", Whole, nullable=False),
    sa.Column("last_number", Whole, nullable=False),
    sa.Column("definition", Text),
    sa.Column("published", Whole, nullable=False),
    sa.Column("position", Whole, nullable=False),
)
HIGHEST_FIRST = (flow_versions.c.first_number.desc(), flow_versions.c.last_number.desc(), flow_versions.c.position.desc())
flow_bindings = sa.Table(
    "flow_bindings",
    metadata,
    sa.Column("flow", Text, primary_key=True),
    sa.Column("app", Text, primary_key=True),
    sa.Column("status", Whole, nullable=False),
    sa.Column("position", Whole, nullable=False),
)
flow_comparisons = sa.Table(
    "flow_comparisons",
    metadata,
    sa.Column("flow", Text, primary_key=True),
    sa.Column("version", Text, primary_key=True),
    sa.Column("definition", Text),
    sa.Column("position", Whole, nullable=False),
)
definitions = sa.Table(
    "definitions",
    metadata,
    sa.Column("hash", Text, primary_key=True),
    sa.Column("document", Json, nullable=False),
)


FlowEvent = (
    FlowDrafted | FlowRevised | FlowPublished | FlowTakenOff | FlowBound | FlowUnbound | FlowCompared | FlowComparisonEnded | FlowDeleted
)


def apply(connection: sa.Connection, events: Sequence[Accepted]) -> None:
    """Rows of what happened to flows."""
    insert_new(connection, definitions, _documents(events))
    told = [(event, event.envelope.data) for event in events if isinstance(event.envelope.data, FlowEvent)]
    if not told:
        return
    names = {_flow_of(event) for event, _ in told}
    rows = {row["flow"]: dict(row) for row in mappings(connection.execute(sa.select(flows).where(flows.c.flow.in_(names))))}
    versions: dict[tuple[str, str], Row] = {}
    bindings: dict[tuple[str, str], Row] = {}
    comparisons: dict[tuple[str, str], Row] = {}
    changed: dict[str, Row] = {}
    for event, data in told:
        flow = _flow_of(event)
        if isinstance(data, FlowBound | FlowUnbound):
            status = int(isinstance(data, FlowBound))
            bindings[flow, data.app] = {"flow": flow, "app": data.app, "status": status, "position": event.position}
        if isinstance(data, FlowCompared | FlowComparisonEnded):
            kept = data.definition if isinstance(data, FlowCompared) else None
            key = {"flow": flow, "version": data.flow_version}
            comparisons[flow, data.flow_version] = {**key, "definition": kept, "position": event.position}
        if isinstance(data, FlowPublished) and data.flow_version:
            versions[flow, data.flow_version] = _version(flow, data, event)
        row = rows.get(flow, {})
        if event.position > row.get("position", 0) and (row or isinstance(data, FlowDrafted)):
            rows[flow] = changed[flow] = _evolve(row, data, event)
    store(connection, flows, changed.values())
    upsert(connection, flow_versions, [versions[key] for key in sorted(versions)])
    upsert(connection, flow_bindings, [bindings[key] for key in sorted(bindings)])
    upsert(connection, flow_comparisons, [comparisons[key] for key in sorted(comparisons)])


def _documents(events: Sequence[Accepted]) -> list[Row]:
    found: dict[str, Row] = {}
    for event in events:
        data = event.envelope.data
        if (
            isinstance(data, FlowDrafted | FlowRevised | FlowPublished | FlowCompared | RunStarted)
            and data.definition
            and data.document is not None
        ):
            found[data.definition] = {"hash": data.definition, "document": data.document}
    return [found[hash_] for hash_ in sorted(found)]


def _flow_of(event: Accepted) -> str:
    return event.meta.stream.removeprefix("flow-")


def _evolve(row: Row, data: FlowEvent, event: Accepted) -> Row:
    place = {"partition": event.partition, "offset": event.offset, "position": event.position, "updated": event.meta.time}
    if isinstance(data, FlowDrafted):
        said = data.model_dump(exclude={"document"})
        born = {"group_id": data.flow, "release_status": 0, "version": UNVERSIONED, "tag": 0, "release": None, "is_deleted": False}
        return {**said, **born, "created": event.meta.time, **place}
    change: Row = {}
    if isinstance(data, FlowRevised):
        change = data.model_dump(exclude={"document", "released"}, exclude_none=True)
        if data.released:
            change["release"] = data.definition or row.get("definition")
    elif isinstance(data, FlowPublished):
        change = {"release_status": data.release_status, "release": data.definition}
    elif isinstance(data, FlowTakenOff):
        change = {"release_status": data.release_status}
    elif isinstance(data, FlowDeleted):
        change = {"is_deleted": True}
    else:
        del place["updated"]  # a binding or a comparison is no change of the flow
    return {**row, **change, **place}


def _version(flow: str, data: FlowPublished, event: Accepted) -> Row:
    numbers = [min(int(part), _LARGEST) for part in re.findall(r"[0-9]{1,4000}", data.flow_version)] or [-1]
    order = {"first_number": numbers[0], "last_number": numbers[-1]}
    row = {"flow": flow, "version": data.flow_version, "definition": data.definition, "published": event.meta.time}
    return {**row, **order, "position": event.position}
