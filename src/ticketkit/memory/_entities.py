"""Entities by kind and id, and the few subsets that are asked for again and again."""

from __future__ import annotations

import heapq
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar, cast

from ticketkit.backends.cursor import (
    DESCENDING,
    decode_cursor,
    encode_cursor,
    ticket_cursor,
    ticket_cursor_position,
    ticket_position,
    words,
)
from ticketkit.backends.storage import Page
from ticketkit.domain.entities import (
    ENTITIES,
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
    Webhook,
    key_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from ticketkit.backends.storage import TicketQuery

E = TypeVar("E", bound=Entity)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_OPEN: dict[Kind, Callable[[Entity], bool]] = {
    "order": lambda entity: isinstance(entity, Order) and not entity.status.final,
    "charge": lambda entity: isinstance(entity, Charge) and entity.due_at is not None,
    "refund": lambda entity: isinstance(entity, Refund) and entity.due_at is not None,
    "webhook": lambda entity: isinstance(entity, Webhook) and entity.outcome is None,
    "session": lambda entity: isinstance(entity, Session) and entity.revoked_at is not None,
}
"""What of a kind somebody still has to look after."""


class Entities:
    """All entities of a storage, as last committed."""

    def __init__(self) -> None:
        self._all: dict[Kind, dict[str, Entity]] = {kind: {} for kind in ENTITIES}
        self._open: dict[Kind, dict[str, Entity]] = {kind: {} for kind in _OPEN}
        self._references: dict[tuple[str, str], str] = {}

    def get(self, key: Key) -> Entity | None:
        """The entity of a key, or None."""
        return self._all[key.kind].get(key.id)

    def put(self, entity: Entity) -> None:
        """Keep a new state."""
        kind, id = key_of(entity)
        self._all[kind][id] = entity
        if kind in _OPEN:
            if _OPEN[kind](entity):
                self._open[kind][id] = entity
            else:
                self._open[kind].pop(id, None)
        if isinstance(entity, Charge) and entity.reference is not None:
            self._references[entity.provider, entity.reference] = id

    def counts(self) -> Counter[tuple[str, str]]:
        """Number of entities by (kind, status); the status of what has none is empty."""
        return Counter(
            (kind, str(getattr(entity, "status", "")))
            for kind, entities in self._all.items()
            for entity in entities.values()
        )

    def due_orders(self, now: datetime) -> list[Order]:
        """Orders `created` past their time, the longest overdue first."""
        found = (order for order in self._still_open(Order) if order.status is OrderStatus.CREATED)
        due = [order for order in found if order.expires_at <= now]
        return sorted(due, key=lambda order: (order.expires_at, order.id))

    def due(self, cls: type[Charge | Refund], now: datetime, limit: int) -> list[Charge | Refund]:
        """Charges or refunds whose `due_at` is past, the longest overdue first."""
        due = ((item.due_at, item.id, item) for item in self._still_open(cls) if item.due_at and item.due_at <= now)
        return [item for _, _, item in heapq.nsmallest(limit, due)]

    def charge_by_reference(self, provider: str, reference: str) -> Charge | None:
        """The charge with this reference of a payment provider."""
        id = self._references.get((provider, reference))
        return None if id is None else cast("Charge", self._all["charge"][id])

    def unapplied_webhooks(self, limit: int) -> list[Webhook]:
        """Webhooks without an outcome, oldest first."""
        return heapq.nsmallest(limit, self._still_open(Webhook), key=lambda hook: (hook.received_at, hook.id))

    def webhooks_about(self, references: Collection[str], limit: int) -> list[Webhook]:
        """Webhooks about these objects of a payment provider, oldest first."""
        found = (hook for hook in self._of(Webhook) if hook.reference in references)
        return heapq.nsmallest(limit, found, key=lambda hook: (hook.received_at, hook.id))

    def revoked_sessions(self, now: datetime, limit: int) -> list[Session]:
        """Revoked sessions that have not expired, newest first."""
        found = (session for session in self._still_open(Session) if session.expires_at > now)
        return heapq.nlargest(limit, found, key=lambda session: (session.revoked_at, session.id))

    def tickets(self, query: TicketQuery) -> Page[Ticket]:
        """A page of tickets."""
        after = None if query.cursor is None else ticket_cursor_position(query.cursor, query.sort)
        found, more = first_after(
            (ticket for ticket in self._of(Ticket) if _fits(ticket, query)),
            limit=query.limit,
            position=lambda ticket: ticket_position(ticket, query.sort),
            after=after,
            descending=query.sort in DESCENDING,
        )
        return Page(found, ticket_cursor(found[-1], query.sort) if more else None)

    def live_events(self, text: str, status: str | None, *, limit: int, cursor: str | None) -> Page[LiveEvent]:
        """A page of live events, oldest first."""
        found = (event for event in self._of(LiveEvent) if status is None or event.status.value == status)
        found = (event for event in found if _has_words(text, event.name, event.venue))
        return _page(found, "live events", limit=limit, cursor=cursor)

    def orders(self, buyer_id: str, *, limit: int, cursor: str | None) -> Page[Order]:
        """A page of a buyer's orders, newest first."""
        found = (order for order in self._of(Order) if order.buyer_id == buyer_id)
        return _page(found, "orders", limit=limit, cursor=cursor, descending=True)

    def open_orders(self, *, limit: int, cursor: str | None) -> Page[Order]:
        """A page of orders that hold tickets, those first whose lock ends first."""
        after = None if cursor is None else decode_cursor(cursor, "open orders", int, str)
        found, more = first_after(self._still_open(Order), limit=limit, position=_end, after=after, descending=False)
        return Page(found, encode_cursor("open orders", *_end(found[-1])) if more else None)

    def scan(self, kind: Kind, *, limit: int, cursor: str | None) -> Page[Entity]:
        """A page of all entities of a kind, by id."""
        return _page(self._all[kind].values(), f"scan {kind}", limit=limit, cursor=cursor)

    def _of(self, cls: type[E]) -> Iterable[E]:
        return cast("Iterable[E]", self._all[cls.KIND].values())

    def _still_open(self, cls: type[E]) -> Iterable[E]:
        return cast("Iterable[E]", self._open[cls.KIND].values())


def _end(order: Order) -> tuple[int, str]:
    """When its lock ends, in microseconds since 1970 UTC, and its id."""
    return (order.expires_at - _EPOCH) // _MICROSECOND, order.id


def first_after(
    items: Iterable[E],
    *,
    limit: int,
    position: Callable[[E], tuple[object, ...]],
    after: tuple[object, ...] | None,
    descending: bool,
) -> tuple[tuple[E, ...], bool]:
    """The first items behind a position, and whether there are more.

    Raises:
        ValueError: The limit is not positive.
    """
    if limit < 1:
        msg = "A page has at least one item."
        raise ValueError(msg)
    pick: Callable[..., list[E]] = heapq.nlargest if descending else heapq.nsmallest
    if after is not None:
        beyond = after.__gt__ if descending else after.__lt__
        items = (item for item in items if beyond(position(item)))
    found = pick(limit + 1, items, key=position)
    return tuple(found[:limit]), len(found) > limit


def _page(items: Iterable[E], of: str, *, limit: int, cursor: str | None, descending: bool = False) -> Page[E]:
    after = None if cursor is None else decode_cursor(cursor, of, str)
    found, more = first_after(items, limit=limit, position=lambda item: (item.id,), after=after, descending=descending)
    return Page(found, encode_cursor(of, found[-1].id) if more else None)


def _fits(ticket: Ticket, query: TicketQuery) -> bool:
    return (
        (query.event_id is None or ticket.event_id == query.event_id)
        and (query.seller_id is None or ticket.seller_id == query.seller_id)
        and (query.status is None or ticket.status.value == query.status)
        and (query.currency is None or ticket.price.currency == query.currency)
        and (query.min_price is None or ticket.price.minor >= query.min_price)
        and (query.max_price is None or ticket.price.minor <= query.max_price)
        and _has_words(query.text, ticket.title, ticket.seat or "")
    )


def _has_words(text: str, *places: str) -> bool:
    if not text:
        return True
    folded = [place.casefold() for place in places]
    return all(any(word in place for place in folded) for word in words(text))
