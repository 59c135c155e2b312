"""Decisions of buyers about their orders: place, keep some tickets, cancel; and expiry.

A lock is `Ticket.order_id` of an open order. Whatever frees or sells a ticket names the order it acts for and is void
for a ticket that belongs to another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from ticketkit.domain.decision import Changes, Command, Fact, Need, State
from ticketkit.domain.drafting import Draft, ticket_lines
from ticketkit.domain.entities import (
    CancelReason,
    Holds,
    Key,
    Line,
    LineKind,
    LiveEvent,
    LiveEventStatus,
    Order,
    OrderStatus,
    Ticket,
    TicketStatus,
    holds_id,
    key_of,
)
from ticketkit.domain.errors import Conflict, InvalidInput, InvalidMoney, LimitReached, NotOnSale, OrderClosed
from ticketkit.domain.tickets import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from ticketkit.domain.policy import Policy

Pricing: TypeAlias = Callable[[State, Sequence[Ticket]], Sequence[Line]]
"""The fees and taxes of an order: from what its decision holds, and its tickets, in one currency. Pure."""


def stale(order: Order, now: datetime) -> bool:
    """Whether an order's lock is past its time: whoever asks for one of its tickets gets it."""
    return order.status is OrderStatus.CREATED and now >= order.expires_at


def order_keys(order: Order) -> tuple[Key, ...]:
    """All that a decision about this order may change."""
    holds = {holds_id(order.buyer_id, line.event_id) for line in order.lines if line.kind is LineKind.TICKET}
    return (key_of(order), *(Ticket.key(id) for id in order.ticket_ids), *(Holds.key(id) for id in sorted(holds)))


def place(
    state: State,
    command: Command,
    *,
    buyer_id: str,
    ticket_ids: Sequence[str],
    policy: Policy,
    lines: Sequence[Line] | Pricing = (),
) -> Changes | Need:
    """Lock tickets for a buyer, all or none; the order's id is the command's first fresh one.

    A ticket whose lock is past its time is taken over: its stale order is cancelled, and that order's other tickets
    are free, in the same commit. So are the buyer's own stale orders, where they would count for the limit: a late
    timer never blocks a sale.

    Args:
        state: Starts with the tickets; asks for the rest.
        command: Brings the order's id.
        buyer_id: For whom.
        ticket_ids: 1 to `policy.tickets_per_order`, each once.
        policy: As resolved for this order.
        lines: Fees and taxes, in the tickets' currency; or what computes them from the tickets as they are now.

    Raises:
        InvalidInput: No ticket, one twice, several currencies, or too many for one order.
        NotFound: A ticket does not exist.
        TicketUnavailable: A ticket is locked, sold or withdrawn.
        NotOnSale: Its live event is not on sale yet, has started or is cancelled.
        Conflict: It is the buyer's own.
        LimitReached: The buyer has too many on hold for the live event.
    """
    _check_count(ticket_ids, policy)
    if need := state.missing(Ticket.key(id) for id in ticket_ids):
        return need
    tickets = [state.require(Ticket, id) for id in ticket_ids]
    if need := _place_needs(state, tickets, buyer_id):
        return need
    in_the_way = _in_the_way(state, tickets, buyer_id, policy)
    if isinstance(in_the_way, Need):
        return in_the_way
    for ticket in tickets:
        _check_ticket(state, ticket, buyer_id, policy)
    priced = tuple(_line(ticket) for ticket in tickets)
    _check_currency(priced)
    order = Order(
        id=command.fresh[0],
        buyer_id=buyer_id,
        lines=(*priced, *(lines(state, tickets) if callable(lines) else lines)),
        policy=policy,
        expires_at=state.now + policy.hold,
        placed_until=state.now + policy.hold,
        created_at=state.now,
    )
    _check_currency(order.lines)
    draft = Draft(state)
    for old, reason in in_the_way:
        draft.cancel(old, reason)
    draft.lock(order)
    return draft.changes(answer=order, tickets=True)


def keep(state: State, order_id: str, *, buyer_id: str, ticket_ids: Sequence[str]) -> Changes | Need:
    """Drop all tickets of an order but these; the others are free in the same commit.

    Raises:
        NotFound: There is no such order of this buyer.
        InvalidInput: None is kept (cancel instead), or one is not of this order.
        OrderClosed: The order is not `created` any more, or past its time.
    """
    order = own(state, order_id, buyer_id)
    if need := state.missing(order_keys(order)):
        return need
    _check_open(state, order)
    if not ticket_ids:
        msg = "An order keeps at least one ticket; to drop all, cancel it."
        raise InvalidInput(msg, code="no_tickets", field="ticket_ids")
    if strange := [id for id in ticket_ids if id not in order.ticket_ids]:
        msg = "The order has no such ticket."
        raise InvalidInput(msg, code="ticket_not_in_order", field="ticket_ids", ticket_ids=strange)
    dropped = [id for id in order.ticket_ids if id not in ticket_ids]
    if not dropped:
        return Changes(answer=(order, *(state.require(Ticket, id) for id in order.ticket_ids)))
    draft = Draft(state)
    draft.drop(order, dropped)
    return draft.changes(answer=draft.order(order.id), tickets=True)


def cancel(state: State, order_id: str, *, buyer_id: str) -> Changes | Need:
    """Cancel an order as its buyer; its tickets are free in the same commit.

    Raises:
        NotFound: There is no such order of this buyer.
        OrderClosed: It is `awaiting_payment` or `completed`. (Cancelling a cancelled order changes nothing.)
    """
    order = own(state, order_id, buyer_id)
    if order.status is OrderStatus.CANCELLED:
        return Changes(answer=(order,))
    if order.status is not OrderStatus.CREATED:
        raise closed(order)
    return cancelled(state, order, CancelReason.BUYER)


def prolong(state: State, order_id: str, *, buyer_id: str) -> Changes | Need:
    """Give a buyer who asks for it more time, as often and as long as the policy allows.

    Raises:
        NotFound: There is no such order of this buyer.
        OrderClosed: The order is not `created` any more, or past its time.
        LimitReached: They have had it already, or the lock would get longer than the policy's longest.
    """
    order = own(state, order_id, buyer_id)
    _check_open(state, order)
    longer = replace(order, prolonged=order.prolonged + 1)
    more = longer.asked_until - order.asked_until
    if longer.prolonged > order.policy.extensions or more <= timedelta(0):
        msg = "This order's time was extended already; it can't be extended again."
        raise LimitReached(msg, code="extended_already", order_id=order_id, expires_at=order.expires_at.isoformat())
    longer = replace(longer, expires_at=order.expires_at + more)
    return Changes(put=(longer,), facts=(Fact("order.extended", key_of(longer)),), answer=(longer,))


def call_off(
    state: State, order_id: str, *, reason: CancelReason, extra: Mapping[str, Any] | None = None
) -> Changes | Need:
    """Cancel an order that nobody pays yet, as an operator; its tickets are free in the same commit.

    Args:
        state: Starts with the order.
        order_id: Which one.
        reason: Kept with it.
        extra: Added to that of the order: who did it, and why.

    Raises:
        NotFound: There is no such order.
        OrderClosed: It is `awaiting_payment` or `completed`. (Cancelling a cancelled order changes nothing.)
    """
    order = state.require(Order, order_id)
    if order.status is OrderStatus.CANCELLED:
        return Changes(answer=(order,))
    if order.status is not OrderStatus.CREATED:
        raise closed(order)
    return cancelled(state, replace(order, extra={**order.extra, **(extra or {})}), reason)


def expire(state: State, order_id: str) -> Changes | Need:
    """Cancel an order whose lock is past its time; void for every other one."""
    order = state.get(Order, order_id)
    if order is None or not stale(order, state.now):
        return Changes()
    return cancelled(state, order, CancelReason.EXPIRED)


def own(state: State, order_id: str, buyer_id: str) -> Order:
    """A buyer's own order; another's does not exist for them.

    Raises:
        NotFound: There is no such order of this buyer.
    """
    order = state.get(Order, order_id)
    if order is None or order.buyer_id != buyer_id:
        return State(state.now, {Order.key(order_id): None}).require(Order, order_id)
    return order


def closed(order: Order) -> OrderClosed:
    """The refusal for an order that can't be changed any more."""
    sentence = {
        OrderStatus.CREATED: "The order's time is over.",
        OrderStatus.AWAITING_PAYMENT: "The order is being paid.",
        OrderStatus.COMPLETED: "The order is paid.",
        OrderStatus.CANCELLED: "The order is cancelled.",
    }[order.status]
    code = "order_expired" if order.status is OrderStatus.CREATED else f"order_{order.status.value}"
    if order.reason is CancelReason.EXPIRED:
        sentence, code = "The order has expired.", "order_expired"
    return OrderClosed(sentence, code=code, order_id=order.id, status=order.status.value)


def void(state: State, order_id: str) -> Changes | Need:
    """Take from an order the tickets whose live event is cancelled; they are withdrawn in the same commit.

    An order that nobody pays yet is cancelled. A paid one stays completed, and its reason tells payments to give back
    all of it when no ticket is left (it is `released`), else the difference to the total of the lines that stay.
    Void for an order that is being paid, since its payment decides (see `completed`), and for one that has none.
    """
    order = state.get(Order, order_id)
    if order is None:
        return Changes()
    if need := state.missing(order_keys(order), shared=event_keys(order)):
        return need
    off = called_off(state, order)
    if not off or order.released or order.status in (OrderStatus.CANCELLED, OrderStatus.AWAITING_PAYMENT):
        return Changes(answer=(order,))
    draft = Draft(state, off)
    if order.status is OrderStatus.CREATED:
        draft.cancel(order, CancelReason.EVENT_CANCELLED)
    else:
        draft.void(order)
    return draft.changes(answer=draft.order(order.id))


def event_keys(order: Order) -> tuple[Key, ...]:
    """The live events of an order's tickets."""
    return tuple(LiveEvent.key(id) for id in sorted({line.event_id for line in ticket_lines(order) if line.event_id}))


def called_off(state: State, order: Order) -> frozenset[str]:
    """Those live events of an order that are cancelled; their keys are held."""
    found = (state.get(LiveEvent, key.id) for key in event_keys(order))
    return frozenset(event.id for event in found if event is not None and event.status is LiveEventStatus.CANCELLED)


def cancelled(state: State, order: Order, reason: CancelReason, *, off: frozenset[str] = frozenset()) -> Changes | Need:
    """The changes that cancel an order for a reason: tickets free, or withdrawn if their live event is `off`."""
    if need := state.missing(order_keys(order)):
        return need
    draft = Draft(state, off)
    draft.cancel(order, reason)
    return draft.changes(answer=draft.order(order.id))


def completed(state: State, order: Order, *, released: bool = False) -> Changes | Need:
    """The changes that complete an order: tickets sold (or `released`, when it is refunded already), holds lifted.

    Tickets of a live event that was cancelled while they were paid are void in the same commit, see `void`.
    """
    if need := state.missing(order_keys(order), shared=event_keys(order)):
        return need
    draft = Draft(state, called_off(state, order))
    draft.sell(order)
    draft.void(draft.order(order.id))
    if released and not draft.order(order.id).released:
        draft.release(draft.order(order.id))
    return draft.changes(answer=draft.order(order.id))


def refunded(state: State, order: Order) -> Changes | Need:
    """The changes for a completed order whose money was given back: its tickets are for sale again, once.

    The order stays completed: it was paid. It only has no tickets any more.
    """
    if order.released:
        return Changes()
    if need := state.missing(order_keys(order)):
        return need
    draft = Draft(state)
    draft.release(order)
    return draft.changes(answer=draft.order(order.id))


def holds_all(state: State, order: Order) -> bool:
    """Whether every ticket of the order is still locked by it."""
    for id in order.ticket_ids:
        ticket = state.require(Ticket, id)
        if ticket.status is not TicketStatus.LOCKED or ticket.order_id != order.id:
            return False
    return True


def _check_open(state: State, order: Order) -> None:
    if order.status is not OrderStatus.CREATED or stale(order, state.now):
        raise closed(order)


def _check_count(ticket_ids: Sequence[str], policy: Policy) -> None:
    if not ticket_ids:
        msg = "An order has at least one ticket."
        raise InvalidInput(msg, code="no_tickets", field="ticket_ids")
    if len(set(ticket_ids)) < len(ticket_ids):
        msg = "A ticket can be in an order only once."
        raise InvalidInput(msg, code="ticket_twice", field="ticket_ids")
    if len(ticket_ids) > policy.tickets_per_order:
        msg = f"An order has at most {policy.tickets_per_order} tickets."
        raise InvalidInput(msg, code="too_many_tickets", field="ticket_ids", most=policy.tickets_per_order)


def _check_currency(lines: Sequence[Line]) -> None:
    if len({line.amount.currency for line in lines}) > 1:
        msg = "The tickets of one order have one currency."
        raise InvalidMoney(msg, code="mixed_currencies", field="ticket_ids")


def _place_needs(state: State, tickets: Sequence[Ticket], buyer_id: str) -> Need | None:
    event_ids = {ticket.event_id for ticket in tickets}
    orders = (
        Order.key(ticket.order_id) for ticket in tickets if ticket.status is TicketStatus.LOCKED and ticket.order_id
    )
    return state.missing(
        (*(Holds.key(holds_id(buyer_id, id)) for id in event_ids), *orders),
        shared=(LiveEvent.key(id) for id in event_ids if id is not None),
    )


def _stale_orders(state: State, tickets: Iterable[Ticket]) -> list[Order]:
    found: dict[str, Order] = {}
    for ticket in tickets:
        if ticket.status is TicketStatus.LOCKED and ticket.order_id is not None:
            order = state.get(Order, ticket.order_id)
            if order is not None and stale(order, state.now):
                found[order.id] = order
    return list(found.values())


def _in_the_way(
    state: State, tickets: Sequence[Ticket], buyer_id: str, policy: Policy
) -> list[tuple[Order, CancelReason]] | Need:
    """Stale orders to be cancelled in the same commit, each with the reason."""
    blocking = _stale_orders(state, tickets)
    crowding = _crowding(state, tickets, buyer_id, policy)
    if isinstance(crowding, Need):
        return crowding
    if need := state.missing(key for order in (*blocking, *crowding) for key in order_keys(order)):
        return need
    return [
        *((order, CancelReason.TAKEN_OVER) for order in blocking),
        *((order, CancelReason.EXPIRED) for order in crowding if order not in blocking),
    ]


def _crowding(state: State, tickets: Sequence[Ticket], buyer_id: str, policy: Policy) -> list[Order] | Need:
    """The buyer's own stale orders, where with them the limit of tickets on hold would be passed."""
    wanted: dict[str, int] = {}
    for ticket in tickets:
        id = holds_id(buyer_id, ticket.event_id)
        wanted[id] = wanted.get(id, 0) + 1
    crowded = [
        holds
        for id, number in wanted.items()
        if (holds := state.get(Holds, id)) is not None and holds.count + number > policy.tickets_on_hold
    ]
    order_ids = [order_id for holds in crowded for order_id, _ in holds.orders]
    if need := state.missing(Order.key(id) for id in order_ids):
        return need
    found = (state.require(Order, id) for id in order_ids)
    return list({order.id: order for order in found if stale(order, state.now)}.values())


def _check_ticket(state: State, ticket: Ticket, buyer_id: str, policy: Policy) -> None:
    if ticket.seller_id == buyer_id and not policy.own_tickets:
        msg = "You can't buy your own ticket."
        raise Conflict(msg, code="own_ticket", ticket_id=ticket.id)
    if ticket.status is TicketStatus.LOCKED and ticket.order_id is not None:
        blocking = state.get(Order, ticket.order_id)
        if blocking is None or not stale(blocking, state.now):
            raise unavailable(ticket)
    elif ticket.status is not TicketStatus.AVAILABLE:
        raise unavailable(ticket)
    if ticket.event_id is not None:
        _check_on_sale(state, state.require(LiveEvent, ticket.event_id), ticket)


def _check_on_sale(state: State, event: LiveEvent, ticket: Ticket) -> None:
    values = {"ticket_id": ticket.id, "live_event_id": event.id}
    if event.status is LiveEventStatus.CANCELLED:
        msg = "The live event is cancelled."
        raise NotOnSale(msg, code="live_event_cancelled", **values)
    if event.paused:
        msg = "Sales for this live event are paused."
        raise NotOnSale(msg, code="sales_paused", **values)
    if event.on_sale_at is not None and state.now < event.on_sale_at:
        msg = f"Tickets for this live event are on sale from {event.on_sale_at.isoformat()}."
        raise NotOnSale(msg, code="not_on_sale_yet", on_sale_at=event.on_sale_at.isoformat(), **values)
    if state.now >= event.starts_at:
        msg = "The live event has started."
        raise NotOnSale(msg, code="live_event_started", **values)


def _line(ticket: Ticket) -> Line:
    return Line(
        title=ticket.title,
        amount=ticket.price,
        ticket_id=ticket.id,
        event_id=ticket.event_id,
        seat=ticket.seat,
        seller_id=ticket.seller_id,
    )
