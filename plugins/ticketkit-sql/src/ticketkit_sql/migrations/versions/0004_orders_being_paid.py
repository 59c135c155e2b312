"""An index of orders that are being paid."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_PAYING = sa.text("status = 'awaiting_payment'")


def upgrade() -> None:
    op.create_index(
        "ix_ticketkit_orders_paying",
        "ticketkit_orders",
        ["expires_at"],
        sqlite_where=_PAYING,
        postgresql_where=_PAYING,
    )
