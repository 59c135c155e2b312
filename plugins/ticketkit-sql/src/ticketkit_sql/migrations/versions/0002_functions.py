"""Functions on PostgreSQL; nothing elsewhere."""

from __future__ import annotations

from alembic import op

from ticketkit_sql.postgresql import functions

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for statement in functions.create():
            op.execute(statement)
