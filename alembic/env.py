"""How alembic reaches the database: over the connection it is given (see `services.kit.migrations`), never by itself."""

from typing import Any

import sqlalchemy as sa
from alembic import context

from projections.schema import Json, Text
from services.kit.migrations import METADATA

_LOCK = 7_268_394_021


def _migrate(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))  # two programs may migrate at once
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        compare_type=True,
        compare_server_default=True,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=_plain,
    )
    with context.begin_transaction():
        context.run_migrations()


def _plain(_kind: str, item: Any, _context: object) -> str | bool:
    return "sa.Text()" if isinstance(item, Text | Json) else False  # a migration must not change with our classes


given = context.config.attributes["connection"]
if isinstance(given, sa.Engine):  # as pytest-alembic hands it over
    with given.begin() as opened:
        _migrate(opened)
else:
    _migrate(given)
