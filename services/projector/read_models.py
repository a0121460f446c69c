"""The register of read models: each file of `projections/` that folds events into tables of its own.

In comes a module with `apply` and tables; out goes its name, its fold and its tables. Two rows may say the same thing in
another cut (pieces of text share rows as they happen to arrive): such a module says in `PLAIN` what its rows mean.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, cast

import sqlalchemy as sa

from events.acceptance import Accepted
from projections import apps, audit_events, bots, chat_messages, flows, node_runs, providers, questions, run_journal, runs, tools, variables
from projections.schema import Plain

Apply = Callable[[sa.Connection, Sequence[Accepted]], None]


@dataclass(frozen=True, slots=True)
class ReadModel:
    """One question's rows. `plain` is by table name."""

    name: str
    apply: Apply
    tables: tuple[sa.Table, ...]
    plain: Mapping[str, Plain] = field(default_factory=dict[str, Plain])


def read_model(module: ModuleType) -> ReadModel:
    """What a module of `projections/` offers."""
    inside: dict[str, Any] = vars(module)
    tables = [cast("sa.Table", value) for value in inside.values() if isinstance(value, sa.Table)]
    return ReadModel(module.__name__.rpartition(".")[2], inside["apply"], tuple(tables), inside.get("PLAIN", {}))


READ_MODELS: tuple[ReadModel, ...] = tuple(
    read_model(module)
    for module in (
        apps,
        bots,
        tools,
        providers,
        flows,
        runs,
        run_journal,
        node_runs,
        questions,
        chat_messages,
        audit_events,
        variables,
    )
)


def tables_of(models: Iterable[ReadModel]) -> list[sa.Table]:
    """All their tables."""
    return [table for model in models for table in model.tables]
