"""Decisions of sellers about their tickets: list, edit, withdraw."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ticketkit.domain.decision import Changes, Command, Fact, Need, State
from ticketkit.domain.entities import LiveEvent, LiveEventStatus, Ticket, TicketStatus, key_of
from ticketkit.domain.errors import Conflict, Forbidden, InvalidInput, InvalidMoney, NotFound, TicketUnavailable
from ticketkit.domain.texts import SEAT, bounded, checked_extra

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ticketkit.domain.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a seller says about one ticket."""

    title: str
    price: Money
    event_id: str | None = None
    seat: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def list_tickets(state: State, command: Command, *, seller_id: str, listings: Sequence[Listing]) -> Changes | Need:
    """List tickets, all or none; ids are the command's fresh ones, in order.

    Raises:
        InvalidInput: A listing is out of bounds; `values["row"]` counts from 0.
        NotFound: A live event does not exist.
    """
    event_ids = {listing.event_id for listing in listings if listing.event_id is not None}
    if need := state.missing((), shared=(LiveEvent.key(id) for id in event_ids)):
        return need
    tickets = []
    for row, (id, listing) in enumerate(zip(command.fresh, listings, strict=True)):
        try:
            tickets.append(_listed(state, id, listing, seller_id))
        except (InvalidInput, NotFound) as error:
            error.values["row"] = row
            raise
    put = tuple(tickets)
    return Changes(put=put, facts=tuple(Fact("ticket.created", key_of(ticket)) for ticket in put), answer=put)


def _listed(state: State, id: str, listing: Listing, seller_id: str) -> Ticket:
    if listing.event_id is not None:
        event = state.require(LiveEvent, listing.event_id)
        if event.status is LiveEventStatus.CANCELLED:
            msg = "The live event is cancelled."
            raise InvalidInput(msg, code="live_event_cancelled", field="event_id", live_event_id=event.id)
    return Ticket(
        id=id,
        title=bounded(listing.title, "title"),
        price=_positive(listing.price),
        seller_id=seller_id,
        event_id=listing.event_id,
        seat=None if listing.seat is None else bounded(listing.seat, "seat", most=SEAT),
        created_at=state.now,
        extra=checked_extra(listing.extra),
    )


def edit(state: State, ticket_id: str, *, seller_id: str, title: str, price: Money) -> Changes:
    """Change title and price of a ticket that nobody has locked or bought; the currency stays.

    Raises:
        NotFound, Forbidden, TicketUnavailable: It does not exist, is another's, or is not `available`.
        InvalidInput: Title or price is out of bounds, or the price is in another currency.
    """
    ticket = _own(state, ticket_id, seller_id)
    if price.currency != ticket.price.currency:
        msg = f"The price of this ticket is in {ticket.price.currency}."
        raise InvalidMoney(msg, code="other_currency", field="price", currency=ticket.price.currency)
    ticket = replace(ticket, title=bounded(title, "title"), price=_positive(price))
    return Changes(put=(ticket,), facts=(Fact("ticket.updated", key_of(ticket)),), answer=(ticket,))


def withdraw(state: State, ticket_id: str, *, seller_id: str) -> Changes:
    """Take a ticket off the market, for good.

    Raises:
        NotFound, Forbidden, TicketUnavailable: It does not exist, is another's, or is not `available`.
    """
    ticket = replace(_own(state, ticket_id, seller_id), status=TicketStatus.WITHDRAWN)
    return Changes(put=(ticket,), facts=(Fact("ticket.withdrawn", key_of(ticket)),), answer=(ticket,))


def take_off(state: State, ticket_ids: Sequence[str]) -> Changes | Need:
    """Withdraw those of the tickets that are `available` for a cancelled live event.

    Args:
        state: Starts with the tickets; asks for their live events.
        ticket_ids: Which ones; any number of live events.
    """
    tickets = [ticket for id in ticket_ids if (ticket := state.get(Ticket, id)) is not None]
    event_ids = {ticket.event_id for ticket in tickets if ticket.event_id is not None}
    if need := state.missing((), shared=(LiveEvent.key(id) for id in event_ids)):
        return need
    events = (state.get(LiveEvent, id) for id in event_ids)
    off = {event.id for event in events if event is not None and event.status is LiveEventStatus.CANCELLED}
    put = tuple(
        replace(ticket, status=TicketStatus.WITHDRAWN)
        for ticket in tickets
        if ticket.status is TicketStatus.AVAILABLE and ticket.event_id in off
    )
    return Changes(put=put, facts=tuple(Fact("ticket.withdrawn", key_of(ticket)) for ticket in put), answer=put)


def admit(state: State, ticket_id: str, *, order_id: str, by: str | None) -> Changes | Need:
    """Let the holder of a sold ticket in at the door, once.

    Args:
        state: Starts with the ticket; asks for its live event.
        ticket_id: Of the pass.
        order_id: Of the pass: the order that bought the ticket.
        by: Who stands at the door: its seller, or who announced the live event; None for an operator.

    Raises:
        NotFound: There is no such ticket.
        Forbidden: They have no business at this door.
        Conflict: The pass is not good any more: the order was refunded, or the holder is in already.
    """
    ticket = state.require(Ticket, ticket_id)
    if ticket.event_id is not None and (need := state.missing((), shared=(LiveEvent.key(ticket.event_id),))):
        return need
    event = state.get(LiveEvent, ticket.event_id) if ticket.event_id is not None else None
    if by is not None and by not in {ticket.seller_id, event.owner_id if event else ticket.seller_id}:
        msg = "Only the seller of a ticket, or who announced the live event, admits its holder."
        raise Forbidden(msg, code="not_the_seller", ticket_id=ticket_id)
    if ticket.status is not TicketStatus.SOLD or ticket.order_id != order_id:
        msg = "This pass is not good any more: the ticket was given back."
        raise Conflict(msg, code="pass_void", ticket_id=ticket_id)
    if ticket.admitted_at is not None:
        msg = "The holder of this pass is in already."
        raise Conflict(msg, code="admitted_already", ticket_id=ticket_id, admitted_at=ticket.admitted_at.isoformat())
    ticket = replace(ticket, admitted_at=state.now)
    return Changes(put=(ticket,), facts=(Fact("ticket.admitted", key_of(ticket)),), answer=(ticket,))


def unavailable(ticket: Ticket) -> TicketUnavailable:
    """The refusal for a ticket that is not `available`."""
    sentence = {
        TicketStatus.LOCKED: "Somebody is buying this ticket.",
        TicketStatus.SOLD: "This ticket is sold.",
        TicketStatus.WITHDRAWN: "This ticket was withdrawn by its seller.",
    }[ticket.status]
    return TicketUnavailable(sentence, code=f"ticket_{ticket.status.value}", ticket_id=ticket.id)


def _own(state: State, ticket_id: str, seller_id: str) -> Ticket:
    ticket = state.require(Ticket, ticket_id)
    if ticket.seller_id != seller_id:
        msg = "Only its seller can change a ticket."
        raise Forbidden(msg, code="not_the_seller", ticket_id=ticket_id)
    if ticket.status is not TicketStatus.AVAILABLE:
        raise unavailable(ticket)
    return ticket


def _positive(price: Money) -> Money:
    if price.minor <= 0:
        msg = "The price must be greater than 0."
        raise InvalidMoney(msg, code="price_not_positive", field="price")
    return price
