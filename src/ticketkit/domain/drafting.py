"""What decisions about orders write: orders, their tickets and the holds of their buyers, always fitting together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ticketkit.domain.decision import Changes, Fact, State
from ticketkit.domain.entities import (
    CancelReason,
    Holds,
    Key,
    Line,
    LineKind,
    Order,
    OrderStatus,
    Ticket,
    TicketStatus,
    holds_id,
    key_of,
)
from ticketkit.domain.errors import LimitReached

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence


class Draft:
    """Collects changes of several orders that may touch the same tickets and holds.

    Args:
        state: Holds them.
        off: Cancelled live events: what would be free of their tickets is withdrawn.
    """

    def __init__(self, state: State, off: frozenset[str] = frozenset()) -> None:
        self._state, self._off = state, off
        self._tickets: dict[str, Ticket] = {}
        self._orders: dict[str, Order] = {}
        self._holds: dict[str, Holds] = {}
        self._facts: dict[Key, Fact] = {}

    def order(self, id: str) -> Order:
        """An order as the draft has it."""
        return self._orders[id]

    def cancel(self, order: Order, reason: CancelReason) -> None:
        """Cancel an order; what it holds is free."""
        self._put_order(replace(order, status=OrderStatus.CANCELLED, reason=reason), "order.cancelled")
        self._free(order, order.ticket_ids)

    def drop(self, order: Order, ticket_ids: Sequence[str]) -> None:
        """Take tickets out of an open order."""
        lines = tuple(line for line in order.lines if line.ticket_id not in ticket_ids)
        self._put_order(replace(order, lines=lines), "order.updated")
        self._free(order, ticket_ids)

    def lock(self, order: Order) -> None:
        """Lock the tickets of a new order for it.

        Raises:
            LimitReached: Its buyer has too many on hold.
        """
        self._put_order(order, "order.created")
        for id in order.ticket_ids:
            self._put_ticket(replace(self._ticket(id), status=TicketStatus.LOCKED, order_id=order.id), "ticket.locked")
        for event_id, number in per_event(order).items():
            holds = self._hold(order, event_id)
            if holds.count + number > order.policy.tickets_on_hold:
                most = order.policy.tickets_on_hold
                msg = f"You can have at most {most} tickets on hold for one live event."
                raise LimitReached(msg, code="too_many_on_hold", most=most, on_hold=holds.count, live_event_id=event_id)
            self._holds[holds.id] = replace(holds, orders=(*holds.orders, (order.id, number)))

    def sell(self, order: Order) -> None:
        """Complete an order: its tickets are sold."""
        self._put_order(replace(order, status=OrderStatus.COMPLETED), "order.completed")
        for id in order.ticket_ids:
            ticket = self._ticket(id)
            if ticket.order_id == order.id:
                self._put_ticket(replace(ticket, status=TicketStatus.SOLD), "ticket.sold")
        self._lift(order, order.ticket_ids)

    def release(self, order: Order) -> None:
        """Take all tickets of a completed order back."""
        self._put_order(replace(order, released=True), self._fact(order))
        self._take_back(order, order.ticket_ids)

    def void(self, order: Order) -> None:
        """Take back those of a completed order whose live event is `off`."""
        gone = [line.ticket_id for line in ticket_lines(order) if line.event_id in self._off and line.ticket_id]
        if not gone:
            return
        left = without(order, self._off)
        changed = replace(order, lines=left or order.lines, released=not left, reason=CancelReason.EVENT_CANCELLED)
        self._put_order(changed, self._fact(order))
        self._take_back(order, gone)

    def changes(self, *, answer: Order, tickets: bool = False) -> Changes:
        """All that was collected; the answer is the order, with its tickets if they are asked for."""
        of_order = tuple(self._ticket(id) for id in answer.ticket_ids) if tickets else ()
        return Changes(
            put=(*self._orders.values(), *self._tickets.values(), *self._holds.values()),
            facts=tuple(self._facts.values()),
            answer=(answer, *of_order),
        )

    def _free(self, order: Order, ticket_ids: Iterable[str]) -> None:
        for id in ticket_ids:
            ticket = self._ticket(id)
            if ticket.status is TicketStatus.LOCKED and ticket.order_id == order.id:
                self._open_up(ticket, "ticket.unlocked")
        self._lift(order, ticket_ids)

    def _take_back(self, order: Order, ticket_ids: Iterable[str]) -> None:
        for id in ticket_ids:
            ticket = self._ticket(id)
            if ticket.status is TicketStatus.SOLD and ticket.order_id == order.id:
                self._open_up(ticket, "ticket.released")

    def _open_up(self, ticket: Ticket, fact: str) -> None:
        if ticket.event_id in self._off:
            self._put_ticket(replace(ticket, status=TicketStatus.WITHDRAWN, order_id=None), "ticket.withdrawn")
        else:
            free = replace(ticket, status=TicketStatus.AVAILABLE, order_id=None, admitted_at=None)
            self._put_ticket(free, fact)

    def _lift(self, order: Order, ticket_ids: Iterable[str]) -> None:
        gone = set(ticket_ids)
        left = per_event(replace(order, lines=tuple(line for line in order.lines if line.ticket_id not in gone)))
        for event_id in per_event(order):
            holds = self._hold(order, event_id)
            others = tuple(pair for pair in holds.orders if pair[0] != order.id)
            mine = ((order.id, left[event_id]),) if event_id in left else ()
            self._holds[holds.id] = replace(holds, orders=(*others, *mine))

    def _ticket(self, id: str) -> Ticket:
        return self._tickets.get(id) or self._state.require(Ticket, id)

    def _hold(self, order: Order, event_id: str | None) -> Holds:
        id = holds_id(order.buyer_id, event_id)
        return self._holds.get(id) or self._state.get(Holds, id) or Holds(id=id)

    def _fact(self, order: Order) -> str:
        """What is told of an order whose tickets are taken back: what this draft tells already, or that it changed."""
        told = self._facts.get(key_of(order))
        return "order.updated" if told is None else told.name

    def _put_order(self, order: Order, name: str) -> None:
        self._orders[order.id] = order
        self._facts[key_of(order)] = Fact(name, key_of(order))

    def _put_ticket(self, ticket: Ticket, name: str) -> None:
        self._tickets[ticket.id] = ticket
        self._facts[key_of(ticket)] = Fact(name, key_of(ticket))


def ticket_lines(order: Order) -> list[Line]:
    """The lines of an order that are tickets."""
    return [line for line in order.lines if line.kind is LineKind.TICKET]


def per_event(order: Order) -> dict[str | None, int]:
    """Number of tickets of an order, by live event."""
    counts: dict[str | None, int] = {}
    for line in ticket_lines(order):
        counts[line.event_id] = counts.get(line.event_id, 0) + 1
    return counts


def without(order: Order, event_ids: Collection[str]) -> tuple[Line, ...]:
    """The lines of an order that stay when live events are cancelled: none when no ticket is left."""
    gone = {line.ticket_id for line in ticket_lines(order) if line.event_id in event_ids}
    left = tuple(line for line in order.lines if line.ticket_id is None or line.ticket_id not in gone)
    return left if any(line.kind is LineKind.TICKET for line in left) else ()
