"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "ticketkit_bus_groups",
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("group", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ticketkit_bus_messages",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_ticketkit_bus_messages_published", "ticketkit_bus_messages", ["published_at"], unique=False)
    op.create_table(
        "ticketkit_commands",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("consumer", sa.Text(), nullable=True),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(consumer IS NULL) = (event_id IS NULL)", name="ck_ticketkit_commands_mark"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_ticketkit_commands_callers",
        "ticketkit_commands",
        ["at"],
        unique=False,
        sqlite_where=sa.text("consumer IS NULL"),
        postgresql_where=sa.text("consumer IS NULL"),
    )
    op.create_index(
        "ix_ticketkit_commands_marks",
        "ticketkit_commands",
        ["at"],
        unique=False,
        sqlite_where=sa.text("consumer IS NOT NULL"),
        postgresql_where=sa.text("consumer IS NOT NULL"),
    )
    op.create_table(
        "ticketkit_holds",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("orders", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("version >= 1", name="ck_ticketkit_holds_version"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ticketkit_live_events",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("on_sale_at", sa.BigInteger(), nullable=True),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("extra", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("status IN ('scheduled', 'cancelled')", name="ck_ticketkit_live_events_status"),
        sa.CheckConstraint("version >= 1", name="ck_ticketkit_live_events_version"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "ticketkit_order_copies",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("buyer_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("charge_id", sa.Text(), nullable=True),
        sa.Column("order_version", sa.Integer(), nullable=False),
        sa.Column("charges", sa.Text(), nullable=False),
        sa.Column("open_charge_id", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "status IN ('created', 'awaiting_payment', 'completed', 'cancelled')",
            name="ck_ticketkit_order_copies_status",
        ),
        sa.CheckConstraint("version >= 1", name="ck_ticketkit_order_copies_version"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "ticketkit_orders",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("buyer_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("placed_until", sa.BigInteger(), nullable=False),
        sa.Column("extension", sa.Text(), nullable=False),
        sa.Column("charge_id", sa.Text(), nullable=True),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("extra", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("extension IN ('none', 'grace', 'window')", name="ck_ticketkit_orders_extension"),
        sa.CheckConstraint(
            "reason IS NULL OR reason IN ('buyer', 'expired', 'taken_over', 'payment_declined', 'payment_failed', 'event_cancelled')",  # noqa: E501
            name="ck_ticketkit_orders_reason",
        ),
        sa.CheckConstraint(
            "status IN ('created', 'awaiting_payment', 'completed', 'cancelled')", name="ck_ticketkit_orders_status"
        ),
        sa.CheckConstraint("version >= 1", name="ck_ticketkit_orders_version"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_ticketkit_orders_buyer", "ticketkit_orders", ["buyer_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_ticketkit_orders_due",
        "ticketkit_orders",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("status = 'created'"),
        postgresql_where=sa.text("status = 'created'"),
    )
    op.create_table(
        "ticketkit_outbox",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("aggregateversion", sa.Integer(), nullable=False),
        sa.Column("correlationid", sa.Text(), nullable=False),
        sa.Column("causationid", sa.Text(), nullable=True),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("free_at", sa.BigInteger(), nullable=True),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("published_at", sa.BigInteger(), nullable=True),
        sa.Column("dead_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(free_at IS NULL) = (published_at IS NOT NULL OR dead_at IS NOT NULL)", name="ck_ticketkit_outbox_state"
        ),
        sa.CheckConstraint("token IS NULL OR free_at IS NOT NULL", name="ck_ticketkit_outbox_lease"),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index(
        "ix_ticketkit_outbox_dead",
        "ticketkit_outbox",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("dead_at IS NOT NULL"),
        postgresql_where=sa.text("dead_at IS NOT NULL"),
    )
    op.create_index(
        "ix_ticketkit_outbox_published",
        "ticketkit_outbox",
        ["published_at"],
        unique=False,
        sqlite_where=sa.text("published_at IS NOT NULL"),
        postgresql_where=sa.text("published_at IS NOT NULL"),
    )
    op.create_index(
        "ix_ticketkit_outbox_waiting",
        "ticketkit_outbox",
        ["free_at", "seq"],
        unique=False,
        sqlite_where=sa.text("free_at IS NOT NULL"),
        postgresql_where=sa.text("free_at IS NOT NULL"),
    )
    op.create_index("uq_ticketkit_outbox_id", "ticketkit_outbox", ["id"], unique=True)
    op.create_table(
        "ticketkit_timers",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("free_at", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.Text(), nullable=True),
        sa.CheckConstraint("token IS NOT NULL OR free_at = due", name="ck_ticketkit_timers_lease"),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_ticketkit_timers_free", "ticketkit_timers", ["free_at"], unique=False)
    op.create_table(
        "ticketkit_users",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("extra", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("version >= 1", name="ck_ticketkit_users_version"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "ticketkit_webhooks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("version >= 1", name="ck_ticketkit_webhooks_version"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_ticketkit_webhooks_unapplied",
        "ticketkit_webhooks",
        ["received_at", "id"],
        unique=False,
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.create_table(
        "ticketkit_bus_deliveries",
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("message", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("free_at", sa.BigInteger(), nullable=True),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("dead_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("(free_at IS NULL) = (dead_at IS NOT NULL)", name="ck_ticketkit_bus_deliveries_state"),
        sa.CheckConstraint("attempt >= 1", name="ck_ticketkit_bus_deliveries_attempt"),
        sa.ForeignKeyConstraint(
            ["message"],
            ["ticketkit_bus_messages.seq"],
        ),
        sa.PrimaryKeyConstraint("group", "message"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_ticketkit_bus_deliveries_dead",
        "ticketkit_bus_deliveries",
        ["dead_at", "message"],
        unique=False,
        sqlite_where=sa.text("dead_at IS NOT NULL"),
        postgresql_where=sa.text("dead_at IS NOT NULL"),
    )
    op.create_index("ix_ticketkit_bus_deliveries_message", "ticketkit_bus_deliveries", ["message"], unique=False)
    op.create_index(
        "ix_ticketkit_bus_deliveries_waiting",
        "ticketkit_bus_deliveries",
        ["group", "free_at", "message"],
        unique=False,
        sqlite_where=sa.text("free_at IS NOT NULL"),
        postgresql_where=sa.text("free_at IS NOT NULL"),
    )
    op.create_table(
        "ticketkit_charges",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("buyer_id", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("declined", sa.Boolean(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=True),
        sa.Column("owes_void", sa.Boolean(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("refunded", sa.BigInteger(), nullable=False),
        sa.Column("refund_ids", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("extra", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "status IN ('created', 'requires_action', 'authorized', 'completed', 'failed')",
            name="ck_ticketkit_charges_status",
        ),
        sa.CheckConstraint("refunded >= 0 AND refunded <= amount", name="ck_ticketkit_charges_refunded"),
        sa.CheckConstraint("version >= 1", name="ck_ticketkit_charges_version"),
        sa.ForeignKeyConstraint(["order_id"], ["ticketkit_order_copies.id"], initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_ticketkit_charges_due",
        "ticketkit_charges",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "uq_ticketkit_charges_open",
        "ticketkit_charges",
        ["order_id"],
        unique=True,
        sqlite_where=sa.text("status IN ('created', 'requires_action', 'authorized')"),
        postgresql_where=sa.text("status IN ('created', 'requires_action', 'authorized')"),
    )
    op.create_index(
        "uq_ticketkit_charges_reference",
        "ticketkit_charges",
        ["provider", "reference"],
        unique=True,
        sqlite_where=sa.text("reference IS NOT NULL"),
        postgresql_where=sa.text("reference IS NOT NULL"),
    )
    op.create_table(
        "ticketkit_emails",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("version >= 1", name="ck_ticketkit_emails_version"),
        sa.ForeignKeyConstraint(["user_id"], ["ticketkit_users.id"], initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ticketkit_sessions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("version >= 1", name="ck_ticketkit_sessions_version"),
        sa.ForeignKeyConstraint(["user_id"], ["ticketkit_users.id"], initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_ticketkit_sessions_revoked",
        "ticketkit_sessions",
        ["revoked_at"],
        unique=False,
        sqlite_where=sa.text("revoked_at IS NOT NULL"),
        postgresql_where=sa.text("revoked_at IS NOT NULL"),
    )
    op.create_table(
        "ticketkit_tickets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("seller_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("seat", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("extra", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "(status IN ('locked', 'sold')) = (order_id IS NOT NULL)", name="ck_ticketkit_tickets_order"
        ),
        sa.CheckConstraint(
            "status IN ('available', 'locked', 'sold', 'withdrawn')", name="ck_ticketkit_tickets_status"
        ),
        sa.CheckConstraint("price > 0", name="ck_ticketkit_tickets_price"),
        sa.CheckConstraint("version >= 1", name="ck_ticketkit_tickets_version"),
        sa.ForeignKeyConstraint(["event_id"], ["ticketkit_live_events.id"], initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_ticketkit_tickets_cheapest",
        "ticketkit_tickets",
        ["price", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'available'"),
        postgresql_where=sa.text("status = 'available'"),
    )
    op.create_index(
        "ix_ticketkit_tickets_cheapest_of_event",
        "ticketkit_tickets",
        ["event_id", "price", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'available'"),
        postgresql_where=sa.text("status = 'available'"),
    )
    op.create_index("ix_ticketkit_tickets_newest", "ticketkit_tickets", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_ticketkit_tickets_newest_of_event", "ticketkit_tickets", ["event_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_ticketkit_tickets_newest_of_seller", "ticketkit_tickets", ["seller_id", "created_at", "id"], unique=False
    )
    op.create_table(
        "ticketkit_order_lines",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["ticketkit_orders.id"], initially="DEFERRED", deferrable=True),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticketkit_tickets.id"], initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("order_id", "ticket_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "uq_ticketkit_order_lines_live",
        "ticketkit_order_lines",
        ["ticket_id"],
        unique=True,
        sqlite_where=sa.text("live"),
        postgresql_where=sa.text("live"),
    )
    op.create_table(
        "ticketkit_refunds",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("charge_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("status IN ('created', 'completed', 'failed')", name="ck_ticketkit_refunds_status"),
        sa.CheckConstraint("amount > 0", name="ck_ticketkit_refunds_amount"),
        sa.CheckConstraint("version >= 1", name="ck_ticketkit_refunds_version"),
        sa.ForeignKeyConstraint(["charge_id"], ["ticketkit_charges.id"], initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_ticketkit_refunds_due",
        "ticketkit_refunds",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_ticketkit_refunds_due",
        table_name="ticketkit_refunds",
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.drop_table("ticketkit_refunds")
    op.drop_index(
        "uq_ticketkit_order_lines_live",
        table_name="ticketkit_order_lines",
        sqlite_where=sa.text("live"),
        postgresql_where=sa.text("live"),
    )
    op.drop_table("ticketkit_order_lines")
    op.drop_index("ix_ticketkit_tickets_newest_of_seller", table_name="ticketkit_tickets")
    op.drop_index("ix_ticketkit_tickets_newest_of_event", table_name="ticketkit_tickets")
    op.drop_index("ix_ticketkit_tickets_newest", table_name="ticketkit_tickets")
    op.drop_index(
        "ix_ticketkit_tickets_cheapest_of_event",
        table_name="ticketkit_tickets",
        sqlite_where=sa.text("status = 'available'"),
        postgresql_where=sa.text("status = 'available'"),
    )
    op.drop_index(
        "ix_ticketkit_tickets_cheapest",
        table_name="ticketkit_tickets",
        sqlite_where=sa.text("status = 'available'"),
        postgresql_where=sa.text("status = 'available'"),
    )
    op.drop_table("ticketkit_tickets")
    op.drop_index(
        "ix_ticketkit_sessions_revoked",
        table_name="ticketkit_sessions",
        sqlite_where=sa.text("revoked_at IS NOT NULL"),
        postgresql_where=sa.text("revoked_at IS NOT NULL"),
    )
    op.drop_table("ticketkit_sessions")
    op.drop_table("ticketkit_emails")
    op.drop_index(
        "uq_ticketkit_charges_reference",
        table_name="ticketkit_charges",
        sqlite_where=sa.text("reference IS NOT NULL"),
        postgresql_where=sa.text("reference IS NOT NULL"),
    )
    op.drop_index(
        "uq_ticketkit_charges_open",
        table_name="ticketkit_charges",
        sqlite_where=sa.text("status IN ('created', 'requires_action', 'authorized')"),
        postgresql_where=sa.text("status IN ('created', 'requires_action', 'authorized')"),
    )
    op.drop_index(
        "ix_ticketkit_charges_due",
        table_name="ticketkit_charges",
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.drop_table("ticketkit_charges")
    op.drop_index(
        "ix_ticketkit_bus_deliveries_waiting",
        table_name="ticketkit_bus_deliveries",
        sqlite_where=sa.text("free_at IS NOT NULL"),
        postgresql_where=sa.text("free_at IS NOT NULL"),
    )
    op.drop_index("ix_ticketkit_bus_deliveries_message", table_name="ticketkit_bus_deliveries")
    op.drop_index(
        "ix_ticketkit_bus_deliveries_dead",
        table_name="ticketkit_bus_deliveries",
        sqlite_where=sa.text("dead_at IS NOT NULL"),
        postgresql_where=sa.text("dead_at IS NOT NULL"),
    )
    op.drop_table("ticketkit_bus_deliveries")
    op.drop_index(
        "ix_ticketkit_webhooks_unapplied",
        table_name="ticketkit_webhooks",
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.drop_table("ticketkit_webhooks")
    op.drop_table("ticketkit_users")
    op.drop_index("ix_ticketkit_timers_free", table_name="ticketkit_timers")
    op.drop_table("ticketkit_timers")
    op.drop_index("uq_ticketkit_outbox_id", table_name="ticketkit_outbox")
    op.drop_index(
        "ix_ticketkit_outbox_waiting",
        table_name="ticketkit_outbox",
        sqlite_where=sa.text("free_at IS NOT NULL"),
        postgresql_where=sa.text("free_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_ticketkit_outbox_published",
        table_name="ticketkit_outbox",
        sqlite_where=sa.text("published_at IS NOT NULL"),
        postgresql_where=sa.text("published_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_ticketkit_outbox_dead",
        table_name="ticketkit_outbox",
        sqlite_where=sa.text("dead_at IS NOT NULL"),
        postgresql_where=sa.text("dead_at IS NOT NULL"),
    )
    op.drop_table("ticketkit_outbox")
    op.drop_index(
        "ix_ticketkit_orders_due",
        table_name="ticketkit_orders",
        sqlite_where=sa.text("status = 'created'"),
        postgresql_where=sa.text("status = 'created'"),
    )
    op.drop_index("ix_ticketkit_orders_buyer", table_name="ticketkit_orders")
    op.drop_table("ticketkit_orders")
    op.drop_table("ticketkit_order_copies")
    op.drop_table("ticketkit_live_events")
    op.drop_table("ticketkit_holds")
    op.drop_index(
        "ix_ticketkit_commands_marks",
        table_name="ticketkit_commands",
        sqlite_where=sa.text("consumer IS NOT NULL"),
        postgresql_where=sa.text("consumer IS NOT NULL"),
    )
    op.drop_index(
        "ix_ticketkit_commands_callers",
        table_name="ticketkit_commands",
        sqlite_where=sa.text("consumer IS NULL"),
        postgresql_where=sa.text("consumer IS NULL"),
    )
    op.drop_table("ticketkit_commands")
    op.drop_index("ix_ticketkit_bus_messages_published", table_name="ticketkit_bus_messages")
    op.drop_table("ticketkit_bus_messages")
    op.drop_table("ticketkit_bus_groups")
