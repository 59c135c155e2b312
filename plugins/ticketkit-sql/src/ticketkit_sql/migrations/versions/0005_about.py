"""Who asked for what an event tells; events and webhooks found by what they are about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ticketkit_sql.postgresql import functions

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("ticketkit_outbox", sa.Column("actor", sa.Text(), nullable=True))
    _index("outbox", "about", ["subject", "seq"], "published_at IS NOT NULL")
    _index("webhooks", "about", ["reference", "received_at", "id"], "length(reference) <= 255")
    if op.get_bind().dialect.name == "postgresql":
        for statement in (*functions.drop(), *functions.create()):
            op.execute(statement)


def _index(table: str, name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(
        f"ix_ticketkit_{table}_{name}",
        f"ticketkit_{table}",
        columns,
        sqlite_where=condition,
        postgresql_where=condition,
    )
