"""What did each node of a run do? One row a node run: node, path of rounds, attempt.

In come the events of nodes and the evidence of model calls; pieces of text and what was shown are ignored on purpose,
they are in the journal. A node that was skipped, or failed before it started, has a row without a start.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from events.acceptance import Accepted
from events.node import ModelCalled, ModelResponded, NodeCompleted, NodeEvent, NodeFailed, NodeSkipped, NodeStarted, NodeTimedOut
from projections.schema import Json, Row, Text, Whole, mappings, merge, metadata, store

Status = Literal["running", "completed", "failed", "timed_out", "skipped"]

node_runs = sa.Table(
    "node_runs",
    metadata,
    sa.Column("run", Text, primary_key=True),
    sa.Column("node", Text, primary_key=True),
    sa.Column("path", Text, primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", Text, nullable=False),
    sa.Column("alias", Text, nullable=False),
    sa.Column("status", Text, nullable=False),
    sa.Column("then", Text),
    sa.Column("reason", Text),
    sa.Column("recorded", Whole),
    sa.Column("started", Whole),
    sa.Column("finished", Whole),
    sa.Column("inputs", Json),
    sa.Column("outputs", Json),
    sa.Column("raw_output", Json),
    sa.Column("problem", Json),
    sa.Column("handle", Text),
    sa.Column("usage", Json),
    sa.Column("request", Json),
    sa.Column("response", Json),
    sa.Column("first_token_ms", Whole),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("first", Whole, nullable=False),
    sa.Column("position", Whole, nullable=False),
    sa.Index(None, "run", "first"),
)


@dataclass(frozen=True, slots=True)
class NodeRun:
    """One node run. Times are in milliseconds; `first` and `position` are the positions of its first and newest event.

    `inputs`, `outputs` and `raw_output` are Protected values as stored ({"subject", "words"}); `problem` is
    {"code", "message"}; `request` and `response` hold OpenTelemetry GenAI attributes of the newest model call.
    `then` says what followed a failure: retry, preset, branch, end. `path` is "0.3" for round 3 in round 0.
    """

    run: str
    node: str
    path: str
    attempt: int
    kind: str
    alias: str
    status: Status
    then: str | None
    reason: str | None
    recorded: int | None
    started: int | None
    finished: int | None
    inputs: dict[str, Any] | None
    outputs: dict[str, Any] | None
    raw_output: dict[str, Any] | None
    problem: dict[str, Any] | None
    handle: str | None
    usage: dict[str, int] | None
    request: dict[str, Any] | None
    response: dict[str, Any] | None
    first_token_ms: int | None
    partition: int
    first: int
    position: int


Told = NodeStarted | NodeCompleted | NodeFailed | NodeTimedOut | NodeSkipped | ModelCalled | ModelResponded


def apply(connection: sa.Connection, events: Sequence[Accepted]) -> None:
    """Rows of what nodes did."""
    changes: dict[tuple[str, ...], Row] = {}
    for event in events:
        data = event.envelope.data
        if isinstance(data, Told):
            key = _key(event, data)
            merge(changes, tuple(map(str, key.values())), {**key, **_change(event, data), "position": event.position})
    store(connection, node_runs, changes.values())


def _key(event: Accepted, data: NodeEvent) -> Row:
    run = event.meta.stream.removeprefix("run-")
    return {"run": run, "node": data.node, "path": ".".join(map(str, data.path)), "attempt": data.attempt}


def _change(event: Accepted, data: Told) -> Row:
    time = event.meta.time
    if isinstance(data, NodeStarted):
        said = data.model_dump(include={"kind", "alias", "reason", "recorded", "inputs"}, exclude_none=True)
        if data.history is not None and data.history.words and data.inputs is not None:
            said["inputs"]["words"] = data.shown_inputs
        return {**_born(event), **said, "status": "running", "started": time}
    if isinstance(data, NodeCompleted):
        said = data.model_dump(include={"inputs", "outputs", "raw_output", "usage", "handle", "problem"}, exclude_none=True)
        return {**said, "status": "completed", "finished": time}
    if isinstance(data, NodeFailed):
        said = data.model_dump(include={"inputs", "then", "problem", "usage"}, exclude_none=True)
        never_started = {**_born(event), "kind": data.kind, "alias": data.alias} if data.kind else {}
        return {**never_started, **said, "status": "failed", "finished": time}
    if isinstance(data, NodeTimedOut):
        return {"status": "timed_out", "finished": time}
    if isinstance(data, NodeSkipped):
        return {**_born(event), "kind": "", "alias": "", "status": "skipped", "finished": time}
    if isinstance(data, ModelCalled):
        return {"request": data.attributes}
    return {"response": data.attributes, "first_token_ms": data.first_token_ms}


def _born(event: Accepted) -> Row:
    return {"partition": event.partition, "first": event.position}


async def of_run(connection: AsyncConnection, run: str) -> list[NodeRun]:
    """The node runs of a run in the order of their first events."""
    wanted = sa.select(node_runs).where(node_runs.c.run == run).order_by(node_runs.c.first, node_runs.c.node)
    return [NodeRun(**row) for row in mappings(await connection.execute(wanted))]
