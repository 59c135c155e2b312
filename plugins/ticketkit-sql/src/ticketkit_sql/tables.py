"""The tables, on any `MetaData`: also that of an app which keeps ticketkit's tables in its own database.

Times are integers: microseconds since 1970 UTC. Money is integer minor units and a currency. What is never queried is
JSON text. Constraints repeat the invariants of the domain, so that not even a wrong release can break them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    false,
    text,
)

from ticketkit.domain.entities import (
    CancelReason,
    ChargeStatus,
    Extension,
    LiveEventStatus,
    OrderStatus,
    RefundStatus,
    TicketStatus,
)
from ticketkit.domain.policy import OnDecline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import MetaData

PREFIX: Final = "ticketkit_"
"""Every table begins with it: an app's own `users` and `orders` may be in the same database."""
SHORT: Final = 255
"""Characters of references that webhooks are found by with an index: PostgreSQL takes 2,704 bytes in a row of one."""
SHORT_REFERENCE: Final = f"length(reference) <= {SHORT}"
"""The condition of that index."""

_SMALL: Final = {"sqlite_with_rowid": False}
"""Of tables with small rows: kept in the order of their key, one page less to write for each row."""

_SERIAL: Final = BigInteger().with_variant(Integer, "sqlite")


def tables(metadata: MetaData) -> dict[str, Table]:
    """Add all tables to a `MetaData`.

    Returns:
        The tables by their short names: `tickets` for `ticketkit_tickets`.
    """
    for define in (_accounts, _inventory, _payments, _ledger, _timers, _bus):
        define(metadata)
    return {
        name.removeprefix(PREFIX): table
        for name, table in metadata.tables.items()
        if name.startswith(PREFIX) and "short" in table.info
    }


def _table(name: str, metadata: MetaData, *items: Any, **options: Any) -> Table:
    return Table(f"{PREFIX}{name}", metadata, *items, info={"short": name}, **options)


def _id() -> Column[str]:
    return Column("id", Text, primary_key=True, nullable=False)


def _time(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _texts(*names: str, nullable: bool = False) -> list[Column[str]]:
    return [Column(name, Text, nullable=nullable) for name in names]


def _version() -> list[Any]:
    return [Column("version", Integer, nullable=False)]


def _since_3(name: str, type: Any, default: Any) -> Column[Any]:
    """A column that the third revision added: rows that were there before have the default."""
    return Column(name, type, nullable=False, server_default=default)


def _check(table: str, name: str, sql: str) -> CheckConstraint:
    return CheckConstraint(sql, name=f"ck_{PREFIX}{table}_{name}")


def _versioned(table: str) -> CheckConstraint:
    return _check(table, "version", "version >= 1")


def _one_of(table: str, column: str, values: Iterable[str], *, nullable: bool = False) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    null = f"{column} IS NULL OR " if nullable else ""
    return _check(table, column, f"{null}{column} IN ({listed})")


def _index(table: Table, name: str, *columns: str, where: str | None = None, unique: bool = False) -> None:
    condition: dict[str, Any] = {} if where is None else {"sqlite_where": text(where), "postgresql_where": text(where)}
    prefix = "uq" if unique else "ix"
    Index(f"{prefix}_{table.name}_{name}", *(table.c[column] for column in columns), unique=unique, **condition)


def _refers(column: str, table: str, *, nullable: bool = False) -> Column[str]:
    # Checked at the end of the commit: a batch writes in the order that suits it.
    key = ForeignKey(f"{PREFIX}{table}.id", deferrable=True, initially="DEFERRED")
    return Column(column, Text, key, nullable=nullable)


def _accounts(metadata: MetaData) -> None:
    _table(
        "users",
        metadata,
        _id(),
        *_texts("email", "password_hash", "roles"),
        _time("created_at"),
        *_texts("extra"),
        *_version(),
        _versioned("users"),
    )
    _table("emails", metadata, _id(), _refers("user_id", "users"), *_version(), _versioned("emails"), **_SMALL)
    sessions = _table(
        "sessions",
        metadata,
        _id(),
        _refers("user_id", "users"),
        _time("expires_at"),
        _time("revoked_at", nullable=True),
        _time("created_at"),
        *_version(),
        _versioned("sessions"),
    )
    _index(sessions, "revoked", "revoked_at", where="revoked_at IS NOT NULL")


def _inventory(metadata: MetaData) -> None:
    _table(
        "live_events",
        metadata,
        _id(),
        *_texts("name", "venue"),
        _time("starts_at"),
        *_texts("zone"),
        _time("on_sale_at", nullable=True),
        *_texts("owner_id", "status"),
        _time("created_at"),
        *_texts("extra"),
        *_version(),
        _since_3("paused", Boolean, false()),
        _one_of("live_events", "status", LiveEventStatus),
        _versioned("live_events"),
    )
    orders = _table(
        "orders",
        metadata,
        _id(),
        *_texts("buyer_id", "status"),
        *_texts("reason", nullable=True),
        *_texts("lines", "policy"),
        _time("expires_at"),
        _time("placed_until"),
        *_texts("extension"),
        *_texts("charge_id", nullable=True),
        *_texts("seen"),
        _time("created_at"),
        *_texts("extra"),
        *_version(),
        _since_3("prolonged", Integer, "0"),
        _since_3("released", Boolean, false()),
        _one_of("orders", "status", OrderStatus),
        _one_of("orders", "reason", CancelReason, nullable=True),
        _one_of("orders", "extension", Extension),
        _versioned("orders"),
    )
    _index(orders, "due", "expires_at", where="status = 'created'")
    _index(orders, "paying", "expires_at", where="status = 'awaiting_payment'")
    _index(orders, "buyer", "buyer_id", "created_at", "id")
    _tickets(metadata)
    lines = _table(
        "order_lines",
        metadata,
        _refers("order_id", "orders"),
        _refers("ticket_id", "tickets"),
        Column("live", Boolean, nullable=False),
        PrimaryKeyConstraint("order_id", "ticket_id"),
        **_SMALL,
    )
    # No ticket is ever sold twice: at most one order that is open or completed has it.
    _index(lines, "live", "ticket_id", where="live", unique=True)
    _table("holds", metadata, _id(), *_texts("orders"), *_version(), _versioned("holds"), **_SMALL)


def _tickets(metadata: MetaData) -> None:
    tickets = _table(
        "tickets",
        metadata,
        _id(),
        *_texts("title"),
        Column("price", BigInteger, nullable=False),
        *_texts("currency", "seller_id"),
        _refers("event_id", "live_events", nullable=True),
        *_texts("seat", nullable=True),
        *_texts("status"),
        *_texts("order_id", nullable=True),
        _time("created_at"),
        *_texts("extra"),
        *_version(),
        _time("admitted_at", nullable=True),
        _one_of("tickets", "status", TicketStatus),
        _check("tickets", "price", "price > 0"),
        _check("tickets", "order", "(status IN ('locked', 'sold')) = (order_id IS NOT NULL)"),
        _versioned("tickets"),
    )
    for_sale = "status = 'available'"
    _index(tickets, "cheapest", "price", "id", where=for_sale)
    _index(tickets, "cheapest_of_event", "event_id", "price", "id", where=for_sale)
    _index(tickets, "newest", "created_at", "id")
    _index(tickets, "newest_of_event", "event_id", "created_at", "id")
    _index(tickets, "newest_of_seller", "seller_id", "created_at", "id")


def _payments(metadata: MetaData) -> None:
    _table(
        "order_copies",
        metadata,
        _id(),
        *_texts("buyer_id", "status"),
        *_texts("reason", nullable=True),
        Column("total", BigInteger, nullable=False),
        *_texts("currency"),
        _time("expires_at"),
        *_texts("charge_id", nullable=True),
        Column("order_version", Integer, nullable=False),
        *_texts("charges"),
        *_texts("open_charge_id", nullable=True),
        *_version(),
        _since_3("sellers", Text, "[]"),
        _since_3("on_decline", Text, OnDecline.CANCEL.value),
        _one_of("order_copies", "status", OrderStatus),
        _versioned("order_copies"),
    )
    _charges(metadata)
    refunds = _table(
        "refunds",
        metadata,
        _id(),
        _refers("charge_id", "charges"),
        *_texts("order_id"),
        Column("amount", BigInteger, nullable=False),
        *_texts("currency", "reason", "status"),
        *_texts("code", "reference", nullable=True),
        _time("due_at", nullable=True),
        _time("created_at"),
        *_version(),
        _one_of("refunds", "status", RefundStatus),
        _check("refunds", "amount", "amount > 0"),
        _versioned("refunds"),
    )
    _index(refunds, "due", "due_at", where="due_at IS NOT NULL")
    webhooks = _table(
        "webhooks",
        metadata,
        _id(),
        *_texts("provider"),
        *_texts("reference", nullable=True),
        *_texts("what", "body"),
        _time("received_at"),
        *_texts("outcome", nullable=True),
        *_version(),
        *_texts("charge_id", nullable=True),
        _versioned("webhooks"),
    )
    _index(webhooks, "unapplied", "received_at", "id", where="outcome IS NULL")
    _index(webhooks, "about", "reference", "received_at", "id", where=SHORT_REFERENCE)


def _charges(metadata: MetaData) -> None:
    charges = _table(
        "charges",
        metadata,
        _id(),
        _refers("order_id", "order_copies"),
        *_texts("buyer_id"),
        Column("amount", BigInteger, nullable=False),
        *_texts("currency", "status"),
        *_texts("code", nullable=True),
        Column("declined", Boolean, nullable=False),
        *_texts("provider"),
        *_texts("reference", "token", "action", nullable=True),
        Column("owes_void", Boolean, nullable=False),
        _time("due_at", nullable=True),
        Column("refunded", BigInteger, nullable=False),
        *_texts("refund_ids"),
        _time("created_at"),
        *_texts("extra"),
        *_version(),
        _since_3("taken", Boolean, false()),
        _since_3("given_back", BigInteger, "0"),
        _one_of("charges", "status", ChargeStatus),
        _check("charges", "refunded", "refunded >= 0 AND refunded <= amount"),
        _check("charges", "given_back", "given_back >= 0 AND given_back <= refunded"),
        _versioned("charges"),
    )
    _index(charges, "due", "due_at", where="due_at IS NOT NULL")
    _index(charges, "reference", "provider", "reference", where="reference IS NOT NULL", unique=True)
    open_charge = "status IN ('created', 'requires_action', 'authorized')"
    _index(charges, "open", "order_id", where=open_charge, unique=True)


def _ledger(metadata: MetaData) -> None:
    commands = _table(
        "commands",
        metadata,
        _id(),
        *_texts("fingerprint", "answer"),
        *_texts("consumer", "event_id", nullable=True),
        _time("at"),
        _check("commands", "mark", "(consumer IS NULL) = (event_id IS NULL)"),
    )
    _index(commands, "callers", "at", where="consumer IS NULL")
    _index(commands, "marks", "at", where="consumer IS NOT NULL")
    outbox = _table(
        "outbox",
        metadata,
        Column("seq", _SERIAL, primary_key=True, autoincrement=True),
        *_texts("id", "type", "source", "subject"),
        _time("time"),
        Column("aggregateversion", Integer, nullable=False),
        *_texts("correlationid"),
        *_texts("causationid", "traceparent", nullable=True),
        *_texts("data"),
        Column("attempts", Integer, nullable=False),
        _time("free_at", nullable=True),
        *_texts("token", nullable=True),
        _time("published_at", nullable=True),
        _time("dead_at", nullable=True),
        *_texts("error", nullable=True),
        *_texts("actor", nullable=True),
        # Waiting (free from a time on), published or dead: one of the three.
        _check("outbox", "state", "(free_at IS NULL) = (published_at IS NOT NULL OR dead_at IS NOT NULL)"),
        _check("outbox", "lease", "token IS NULL OR free_at IS NOT NULL"),
    )
    _index(outbox, "id", "id", unique=True)
    _index(outbox, "waiting", "free_at", "seq", where="free_at IS NOT NULL")
    _index(outbox, "published", "published_at", where="published_at IS NOT NULL")
    _index(outbox, "dead", "seq", where="dead_at IS NOT NULL")
    # Not of all events: it is the relay that pays for it, once an event, and no decision.
    _index(outbox, "about", "subject", "seq", where="published_at IS NOT NULL")


def _timers(metadata: MetaData) -> None:
    timers = _table(
        "timers",
        metadata,
        Column("key", Text, primary_key=True, nullable=False),
        _time("due"),
        _time("free_at"),
        *_texts("token", nullable=True),
        # Nobody can have it before it is due.
        _check("timers", "lease", "token IS NOT NULL OR free_at = due"),
        **_SMALL,
    )
    _index(timers, "free", "free_at")


def _bus(metadata: MetaData) -> None:
    _table(
        "bus_groups",
        metadata,
        *_texts("group", "name"),
        PrimaryKeyConstraint("group", "name"),
        **_SMALL,
    )
    messages = _table(
        "bus_messages",
        metadata,
        Column("seq", _SERIAL, primary_key=True, autoincrement=True),
        *_texts("id", "name", "envelope"),
        _time("published_at"),
        sqlite_autoincrement=True,  # listeners remember the last number they saw: none is ever used again
    )
    _index(messages, "published", "published_at")
    deliveries = _table(
        "bus_deliveries",
        metadata,
        *_texts("group"),
        Column("message", _SERIAL, ForeignKey(messages.c.seq), nullable=False),
        Column("attempt", Integer, nullable=False),
        _time("free_at", nullable=True),
        *_texts("token", nullable=True),
        _time("dead_at", nullable=True),
        *_texts("error", nullable=True),
        PrimaryKeyConstraint("group", "message"),
        _check("bus_deliveries", "state", "(free_at IS NULL) = (dead_at IS NOT NULL)"),
        _check("bus_deliveries", "attempt", "attempt >= 1"),
        **_SMALL,
    )
    _index(deliveries, "waiting", "group", "free_at", "message", where="free_at IS NOT NULL")
    _index(deliveries, "dead", "dead_at", "message", where="dead_at IS NOT NULL")
    _index(deliveries, "message", "message")
