"""The queries of a storage, in SQLAlchemy Core. Each is a function of a connection that sees one state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from sqlalchemy import MetaData, func, literal_column, or_, select, text, tuple_

from ticketkit.backends.codec import decode_answer
from ticketkit.backends.storage import Answer, Page, TicketQuery, TicketSort, Totals
from ticketkit.domain.entities import (
    Charge,
    Entity,
    Key,
    Kind,
    LiveEvent,
    Order,
    OrderStatus,
    Refund,
    Session,
    Ticket,
    TicketStatus,
    Webhook,
)
from ticketkit_sql import cursors
from ticketkit_sql.batch import fetch
from ticketkit_sql.rows import ROWS, micros, time_of
from ticketkit_sql.tables import SHORT, SHORT_REFERENCE, tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Column, ColumnElement, Connection, Select, Table


E = TypeVar("E", bound=Entity)


class ById(Protocol):
    """How a database finds rows by their ids."""

    def select_ids(self, table: str, columns: Iterable[str]) -> str:
        """Rows by id; parameters: see `ids`."""

    def ids(self, ids: Sequence[str]) -> tuple[Any, ...]:
        """The parameters of `select_ids`."""


TABLES: Final = tables(MetaData())
"""The tables by their short names."""


def by_keys(connection: Connection, dialect: ById, keys: Iterable[Key]) -> dict[Key, Entity]:
    """Those of the keys that exist."""
    wanted: dict[Kind, list[str]] = {}
    for key in keys:
        wanted.setdefault(key.kind, []).append(key.id)
    found: dict[Key, Entity] = {}
    for kind, ids in wanted.items():
        rows = ROWS[kind]
        sql = dialect.select_ids(rows.table, rows.columns)
        for row in fetch(connection, sql, dialect.ids(ids)):
            found[Key(kind, row[0])] = rows.from_row(row)
    return found


def outcome(connection: Connection, command_id: str) -> Answer | None:
    """The answer on record for a command."""
    commands = TABLES["commands"].c
    answer = connection.scalar(select(commands.answer).where(commands.id == command_id))
    return None if answer is None else Answer(decode_answer(answer))


def tickets(connection: Connection, query: TicketQuery) -> Page[Ticket]:
    """A page of tickets by (what it is sorted by, id)."""
    table = _table("ticket")
    by = table.c.price if query.sort in (TicketSort.PRICE, TicketSort.PRICE_DESC) else table.c.created_at
    return _page(
        connection,
        "ticket",
        _select("ticket").where(*_ticket_conditions(table, query)),
        name=f"tickets:{query.sort.value}",
        by=by,
        down=query.sort in (TicketSort.NEWEST, TicketSort.PRICE_DESC),
        limit=query.limit,
        cursor=query.cursor,
    )


def live_events(
    connection: Connection, text: str, status: str | None, limit: int, cursor: str | None
) -> Page[LiveEvent]:
    """A page of live events by id."""
    table = _table("live_event")
    wanted = _select("live_event").where(*_words(text, table.c.name, table.c.venue))
    if status is not None:
        wanted = wanted.where(table.c.status == status)
    return _page(connection, "live_event", wanted, name="live_events", limit=limit, cursor=cursor)


def orders(connection: Connection, buyer_id: str, limit: int, cursor: str | None) -> Page[Order]:
    """A page of a buyer's orders, newest first."""
    table = _table("order")
    wanted = _select("order").where(table.c.buyer_id == buyer_id)
    by = table.c.created_at
    return _page(connection, "order", wanted, name="orders", by=by, down=True, limit=limit, cursor=cursor)


def open_orders(connection: Connection, limit: int, cursor: str | None) -> Page[Order]:
    """A page of orders that hold tickets, by the end of their lock; each status has an index of its own."""
    table = _table("order")
    after = None if cursor is None else tuple_(*cursors.decode(cursor, "open_orders", int, str))
    found: list[Order] = []
    for status in (OrderStatus.CREATED, OrderStatus.AWAITING_PAYMENT):
        wanted = _select("order").where(table.c.status == _literal(status))
        if after is not None:
            wanted = wanted.where(tuple_(table.c.expires_at, table.c.id) > after)
        wanted = wanted.order_by(table.c.expires_at, table.c.id).limit(limit + 1)
        found += _entities(connection, Order, wanted)
    found.sort(key=lambda order: (order.expires_at, order.id))
    more, found = len(found) > limit, found[:limit]
    last = (micros(found[-1].expires_at), found[-1].id) if more else ()
    return Page(tuple(found), cursors.encode("open_orders", *last) if more else None)


def scan(connection: Connection, kind: Kind, limit: int, cursor: str | None) -> Page[Entity]:
    """A page of all entities of a kind, by id."""
    return _page(connection, kind, _select(kind), name=f"scan:{kind}", limit=limit, cursor=cursor)


def due_orders(connection: Connection, now: datetime, limit: int) -> list[str]:
    """Ids of orders `created` past their time, the longest overdue first."""
    table = _table("order")
    due = select(table.c.id).where(table.c.status == _literal(OrderStatus.CREATED), table.c.expires_at <= micros(now))
    return list(connection.scalars(due.order_by(table.c.expires_at, table.c.id).limit(limit)))


def due_charges(connection: Connection, now: datetime, limit: int) -> list[Charge]:
    """Charges whose `due_at` is past."""
    return _due(connection, Charge, now, limit)


def due_refunds(connection: Connection, now: datetime, limit: int) -> list[Refund]:
    """Refunds whose `due_at` is past."""
    return _due(connection, Refund, now, limit)


def charge_by_reference(connection: Connection, provider: str, reference: str) -> Charge | None:
    """The charge with this reference of a payment provider."""
    table = _table("charge")
    wanted = _select("charge").where(table.c.provider == provider, table.c.reference == reference)
    found = _entities(connection, Charge, wanted)
    return found[0] if found else None


def unapplied_webhooks(connection: Connection, limit: int) -> list[Webhook]:
    """Webhooks without an outcome, oldest first."""
    table = _table("webhook")
    wanted = _select("webhook").where(table.c.outcome.is_(None)).order_by(table.c.received_at, table.c.id)
    return _entities(connection, Webhook, wanted.limit(limit))


def webhooks_about(connection: Connection, *, references: Sequence[str], limit: int) -> list[Webhook]:
    """Webhooks about these objects of a payment provider, oldest first."""
    table = _table("webhook")
    wanted = _select("webhook").where(table.c.reference.in_(references)).order_by(table.c.received_at, table.c.id)
    if all(len(reference) <= SHORT for reference in references):
        wanted = wanted.where(text(SHORT_REFERENCE))
    return _entities(connection, Webhook, wanted.limit(limit))


def revoked_sessions(connection: Connection, now: datetime, limit: int) -> list[Session]:
    """Revoked sessions that have not expired yet, newest first."""
    table = _table("session")
    wanted = _select("session").where(table.c.revoked_at.is_not(None), table.c.expires_at > micros(now))
    return _entities(connection, Session, wanted.order_by(table.c.revoked_at.desc(), table.c.id).limit(limit))


def totals(connection: Connection, now: datetime) -> Totals:
    """Counts of everything that has a status, and of the outbox."""
    by_status: dict[tuple[str, str], int] = {}
    for kind, rows in ROWS.items():
        if "status" in rows.columns:
            status = _table(kind).c.status
            counted = connection.execute(select(status, func.count()).group_by(status))
            by_status |= {(kind, found): number for found, number in counted}
    box, order = TABLES["outbox"].c, _table("order").c
    waiting = connection.execute(select(func.count(), func.min(box.time)).where(box.free_at.is_not(None))).one()
    overdue = select(func.count()).where(order.status == _literal(OrderStatus.CREATED), order.expires_at <= micros(now))
    return Totals(
        by_status=by_status,
        unpublished=waiting[0],
        dead=connection.scalar(select(func.count()).where(box.dead_at.is_not(None))) or 0,
        oldest=None if waiting[1] is None else time_of(waiting[1]),
        overdue_locks=connection.scalar(overdue) or 0,
    )


def _table(kind: Kind) -> Table:
    return TABLES[ROWS[kind].table]


def _select(kind: Kind) -> Select[Any]:
    return select(*(_table(kind).c[name] for name in ROWS[kind].columns))


def _entities(connection: Connection, cls: type[E], wanted: Select[Any]) -> list[E]:
    from_row: Any = ROWS[cls.KIND].from_row
    return [from_row(tuple(row)) for row in connection.execute(wanted)]


def _due(connection: Connection, cls: type[E], now: datetime, limit: int) -> list[E]:
    table = _table(cls.KIND)
    wanted = _select(cls.KIND).where(table.c.due_at <= micros(now)).order_by(table.c.due_at, table.c.id)
    return _entities(connection, cls, wanted.limit(limit))


def _page(
    connection: Connection,
    kind: Kind,
    wanted: Select[Any],
    *,
    name: str,
    limit: int,
    cursor: str | None,
    by: Column[Any] | None = None,
    down: bool = False,
) -> Page[Any]:
    rows, id = ROWS[kind], _table(kind).c.id
    columns: list[Column[Any]] = [id] if by is None else [by, id]
    if cursor is not None:
        after = cursors.decode(cursor, name, *([str] if by is None else [int, str]))
        here = tuple_(*columns)
        wanted = wanted.where(here < after if down else here > after)
    wanted = wanted.order_by(*(column.desc() if down else column for column in columns))
    found = [tuple(row) for row in connection.execute(wanted.limit(limit + 1))]
    more, found = len(found) > limit, found[:limit]
    places = [rows.columns.index(column.name) for column in columns]
    return Page(
        tuple(rows.from_row(row) for row in found),
        cursors.encode(name, *(found[-1][place] for place in places)) if more else None,
    )


def _ticket_conditions(table: Table, query: TicketQuery) -> list[ColumnElement[bool]]:
    found = [
        table.c[name] == value
        for name in ("event_id", "seller_id", "currency")
        if (value := getattr(query, name)) is not None
    ]
    if query.status is not None:
        # As a literal: only so the indexes of tickets for sale are used.
        known = query.status in list(TicketStatus)
        found.append(table.c.status == (_literal(TicketStatus(query.status)) if known else query.status))
    if query.min_price is not None:
        found.append(table.c.price >= query.min_price)
    if query.max_price is not None:
        found.append(table.c.price <= query.max_price)
    return found + _words(query.text, table.c.title, table.c.seat)


def _words(text: str, *columns: Column[Any]) -> list[ColumnElement[bool]]:
    return [or_(*(column.icontains(word, autoescape=True) for column in columns)) for word in text.split()]


def _literal(status: TicketStatus | OrderStatus) -> ColumnElement[str]:
    return literal_column(f"'{status.value}'")
