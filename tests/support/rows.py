"""Histories become rows, and rows become plain values that can be compared."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from events.acceptance import Accepted
from projections import checkpoints, run_journal
from projections.chat_messages import chat_parts, shown
from projections.schema import mappings, metadata
from services.kit.database import Database
from services.projector.handler import Folding, write
from services.projector.read_models import READ_MODELS
from tests.support.histories import TOPIC, History

PLACES = {"partition", "offset", "turn"}
"""Columns that say where in the log something was."""


async def project(database: Database, history: History, batch: int = 1000) -> None:
    """Write what of the history is not yet in the rows, as the projector does it."""
    async with database.connect() as connection:
        start = await checkpoints.load(connection, history.partition)
    folding = Folding(TOPIC, history.partition, start)
    while folding.offset < len(history.records):
        piece = folding.fold(history.records[folding.offset : folding.offset + batch])
        async with database.begin() as connection:
            await connection.run_sync(write, piece)


def apply_all(connection: sa.Connection, events: Sequence[Accepted], batch: int = 1000) -> None:
    """Hand the events to every read model, without a checkpoint."""
    for first in range(0, len(events), batch):
        for model in READ_MODELS:
            model.apply(connection, events[first : first + batch])


def contents(connection: sa.Connection, without: frozenset[str] = frozenset()) -> dict[str, list[Any]]:
    """All rows of all tables in a fixed order. How pieces of text share rows is not compared, only what they say."""
    found: dict[str, list[Any]] = {}
    for table in metadata.sorted_tables:
        rows = mappings(connection.execute(sa.select(table)))
        if table is run_journal.run_journal:
            rows = sorted(rows, key=lambda row: (row["run"], row["position"]))
            found[table.name] = [_plain(event, without) for event in run_journal.events_of(rows)]
        elif table is chat_parts:
            rows = sorted(rows, key=lambda row: (row["run"], row["position"]))
            runs = groupby(rows, key=lambda row: row["run"])
            found[table.name] = [(run, shown([said for part in parts for said in part["said"]])) for run, parts in runs]
        else:
            found[table.name] = sorted(repr({k: v for k, v in row.items() if k not in without}) for row in rows)
    return found


def _plain(event: Accepted, without: frozenset[str]) -> tuple[Any, ...]:
    place = () if "offset" in without else (event.partition, event.offset)
    return (*place, event.position, event.envelope)


async def all_rows(database: Database) -> dict[str, list[Any]]:
    """See `contents`."""
    async with database.connect() as connection:
        return await connection.run_sync(contents)
