"""Money taken at once and given back, released and admitted tickets, prolonged locks, paused sales."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ticketkit_sql.postgresql import functions

revision = "0003"
down_revision = "0002"

_BACK = "CONSTRAINT ck_ticketkit_charges_given_back CHECK (given_back >= 0 AND given_back <= refunded)"


def upgrade() -> None:
    no, zero, none = sa.false(), "0", "[]"
    _add("live_events", sa.Column("paused", sa.Boolean(), nullable=False, server_default=no))
    _add("orders", sa.Column("prolonged", sa.Integer(), nullable=False, server_default=zero))
    _add("orders", sa.Column("released", sa.Boolean(), nullable=False, server_default=no))
    _add("tickets", sa.Column("admitted_at", sa.BigInteger(), nullable=True))
    _add("order_copies", sa.Column("sellers", sa.Text(), nullable=False, server_default=none))
    _add("order_copies", sa.Column("on_decline", sa.Text(), nullable=False, server_default="cancel"))
    _add("webhooks", sa.Column("charge_id", sa.Text(), nullable=True))
    _add("charges", sa.Column("taken", sa.Boolean(), nullable=False, server_default=no))
    # By hand: Alembic adds a column without its constraint, and SQLite can't add one later.
    op.execute(f"ALTER TABLE ticketkit_charges ADD COLUMN given_back BIGINT DEFAULT '0' NOT NULL {_BACK}")
    op.execute(
        "UPDATE ticketkit_charges SET given_back = (SELECT coalesce(sum(r.amount), 0) FROM ticketkit_refunds r "
        "WHERE r.charge_id = ticketkit_charges.id AND r.status = 'completed')"
    )
    if op.get_bind().dialect.name == "postgresql":
        for statement in (*functions.drop(), *functions.create()):
            op.execute(statement)


def _add(table: str, column: sa.Column[object]) -> None:
    op.add_column(f"ticketkit_{table}", column)
