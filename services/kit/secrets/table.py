"""The table of sealed secrets. It is not a read model: it cannot be rebuilt from the log, and is written durably."""

import sqlalchemy as sa

from projections.schema import Text, Whole, metadata

secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("reference", Text, primary_key=True),
    sa.Column("app", Text, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("key_id", Text, nullable=False, server_default=""),
    sa.Column("created", Whole, nullable=False, server_default="0"),
)
