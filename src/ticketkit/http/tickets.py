"""Routes of tickets: live events, and the tickets that sellers list."""

from __future__ import annotations

import hashlib
from typing import Final

from starlette.responses import Response

from ticketkit.backends.storage import TicketQuery
from ticketkit.domain.entities import TicketStatus
from ticketkit.domain.errors import DomainError
from ticketkit.domain.money import Money
from ticketkit.domain.tickets import Listing
from ticketkit.http import shapes
from ticketkit.http.bodies import Json
from ticketkit.http.inputs import (
    LiveEventQuery,
    NewLiveEvent,
    NewTicket,
    NewTickets,
    OwnTicketsQuery,
    SaleQuery,
    TicketEdit,
    TicketsQuery,
)
from ticketkit.http.operation import MEBIBYTE, Answer, Call, Operation
from ticketkit.http.paging import LINK, page
from ticketkit.http.problems import Refusal
from ticketkit.services.catalogue import ServiceName

_TEXT: Final = ("text_empty", "text_too_long", "text_not_printable")
_MONEY: Final = (
    "too_many_digits",
    "amount_out_of_range",
    "price_not_positive",
    "unknown_currency",
    "invalid_money",
)
_PRICES: Final = ("too_many_digits", "amount_out_of_range", "unknown_currency", "invalid_money")


async def announce_live_event(call: Call[NewLiveEvent, None]) -> Response:
    """Announce a live event."""
    body = call.body
    event = await call.shop.tickets.announce(
        call.user_id,
        name=body.name,
        venue=body.venue,
        starts_at=body.starts_at,
        zone=body.zone,
        on_sale_at=body.on_sale_at,
        command_key=call.key,
    )
    return Json(shapes.live_event(event), status_code=201)


async def find_live_events(call: Call[None, LiveEventQuery]) -> Response:
    """Find live events."""
    query = call.query
    found = await call.shop.tickets.live_events(text=query.q, limit=query.limit, cursor=query.cursor)
    return page(call.request, [shapes.live_event(event) for event in found.items], found.next)


async def get_live_event(call: Call[None, None]) -> Response:
    """A live event."""
    return Json(shapes.live_event(await call.shop.tickets.live_event(call.id)))


async def pause_sales(call: Call[None, None]) -> Response:
    """Pause the sales of a live event."""
    event = await call.shop.tickets.pause(call.id, owner_id=call.owner_id, actor=call.user_id)
    return Json(shapes.live_event(event))


async def resume_sales(call: Call[None, None]) -> Response:
    """Resume the sales of a live event."""
    event = await call.shop.tickets.pause(call.id, owner_id=call.owner_id, paused=False, actor=call.user_id)
    return Json(shapes.live_event(event))


async def cancel_live_event(call: Call[None, None]) -> Response:
    """Cancel a live event."""
    return Json(shapes.live_event(await call.shop.tickets.call_off(call.id, owner_id=call.owner_id)))


async def find_live_event_tickets(call: Call[None, SaleQuery]) -> Response:
    """Tickets for sale of a live event."""
    await call.shop.tickets.live_event(call.id)
    return await _for_sale(call, call.id)


async def list_ticket(call: Call[NewTicket, None]) -> Response:
    """List a ticket."""
    try:
        listing = _listing(call.body, call.shop.config.currency)
        (ticket,) = await call.shop.tickets.list(call.user_id, [listing], command_key=call.key)
    except DomainError as error:
        error.field = error.field or ("event_id" if "live_event_id" in error.values else None)
        error.values.pop("row", None)
        raise
    return Json(shapes.ticket(ticket), status_code=201)


async def list_tickets(call: Call[NewTickets, None]) -> Response:
    """List tickets, all or none."""
    listings = []
    # A key is scoped to its route, and the service lists one ticket and many by the same command.
    key = None if call.key is None else hashlib.sha256(f"batch {call.key}".encode()).hexdigest()
    try:
        for row, ticket in enumerate(call.body.tickets):
            listings.append(_row(row, ticket, call.shop.config.currency))
        tickets = await call.shop.tickets.list(call.user_id, listings, command_key=key)
    except DomainError as error:
        if "row" in error.values:
            error.field = f"tickets[{error.values['row']}].{error.field or 'event_id'}"
        raise
    return Json([shapes.ticket(ticket) for ticket in tickets], status_code=201)


async def find_tickets(call: Call[None, TicketsQuery]) -> Response:
    """Tickets for sale."""
    return await _for_sale(call, call.query.event_id)


async def find_own_tickets(call: Call[None, OwnTicketsQuery]) -> Response:
    """The caller's tickets."""
    query = call.query
    found = await call.shop.tickets.find(
        TicketQuery(seller_id=call.user_id, status=query.status, limit=query.limit, cursor=query.cursor)
    )
    until = await call.shop.tickets.locked_until(found.items)
    return page(call.request, [shapes.own_ticket(one, until.get(one.id)) for one in found.items], found.next)


async def get_ticket(call: Call[None, None]) -> Response:
    """A ticket."""
    return Json(shapes.ticket(await call.shop.tickets.get(call.id)))


async def edit_ticket(call: Call[TicketEdit, None]) -> Response:
    """Change title and price."""
    body = call.body
    currency = (await call.shop.tickets.get(call.id)).price.currency  # it never changes
    if body.currency not in (None, currency):
        raise Refusal(
            400, "currency_fixed", f"The price of this ticket is in {currency}.", field="currency", currency=currency
        )
    ticket = await call.shop.tickets.edit(
        call.user_id, call.id, title=body.title, price=Money.parse(body.price, currency)
    )
    return Json(shapes.ticket(ticket))


async def withdraw_ticket(call: Call[None, None]) -> Response:
    """Take a ticket off the market."""
    await call.shop.tickets.withdraw(call.user_id, call.id)
    return Response(status_code=204)


async def _for_sale(call: Call[None, SaleQuery] | Call[None, TicketsQuery], event_id: str | None) -> Response:
    query = call.query
    currency = query.currency
    if currency is None and (query.min_price is not None or query.max_price is not None):
        currency = call.shop.config.currency
    bounds: dict[str, int | None] = {}
    for name in ("min_price", "max_price"):
        amount = getattr(query, name)
        try:
            bounds[name] = None if amount is None else Money.parse(amount, currency or "").minor
        except DomainError as error:
            error.field = name if error.field == "price" else error.field
            raise
    found = await call.shop.tickets.find(
        TicketQuery(
            event_id=event_id,
            status=TicketStatus.AVAILABLE,
            text=query.q,
            currency=currency,
            min_price=bounds["min_price"],
            max_price=bounds["max_price"],
            sort=query.sort,
            limit=query.limit,
            cursor=query.cursor,
        )
    )
    return page(call.request, [shapes.ticket(ticket) for ticket in found.items], found.next)


def _listing(ticket: NewTicket, currency: str) -> Listing:
    price = Money.parse(ticket.price, ticket.currency or currency)
    return Listing(title=ticket.title, price=price, event_id=ticket.event_id, seat=ticket.seat)


def _row(row: int, ticket: NewTicket, currency: str) -> Listing:
    try:
        return _listing(ticket, currency)
    except DomainError as error:
        error.values["row"] = row
        raise


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/events",
        tag=ServiceName.TICKETS,
        summary="Announce a live event",
        handler=announce_live_event,
        body=NewLiveEvent,
        signed_in=True,
        keyed=True,
        answers={201: Answer(what="The live event.", shape=shapes.LiveEvent)},
        errors={400: ("unknown_zone", "on_sale_after_start", *_TEXT)},
    ),
    Operation(
        method="GET",
        path="/api/events",
        tag=ServiceName.TICKETS,
        summary="Find live events",
        handler=find_live_events,
        query=LiveEventQuery,
        answers={200: Answer(what="Live events, oldest first.", shape=list[shapes.LiveEvent], headers=LINK)},
    ),
    Operation(
        method="GET",
        path="/api/events/{id}",
        tag=ServiceName.TICKETS,
        summary="A live event",
        handler=get_live_event,
        answers={200: Answer(what="The live event.", shape=shapes.LiveEvent)},
        errors={404: ("live_event_not_found",)},
    ),
    *(
        Operation(
            method="POST",
            path=f"/api/events/{{id}}/{word}",
            tag=ServiceName.TICKETS,
            summary=f"{word.capitalize()} the sales of a live event",
            description="By who announced it, or an operator. What was ordered before can be paid.",
            handler=handler,
            signed_in=True,
            answers={200: Answer(what="The live event.", shape=shapes.LiveEvent)},
            errors={403: ("not_the_owner",), 404: ("live_event_not_found",), 409: ("live_event_cancelled",)},
        )
        for word, handler in (("pause", pause_sales), ("resume", resume_sales))
    ),
    Operation(
        method="POST",
        path="/api/events/{id}/cancel",
        tag=ServiceName.TICKETS,
        summary="Cancel a live event",
        description="For good, by who announced it, or an operator. After the answer, the services withdraw its "
        "tickets, cancel its open orders, and give everybody who has paid the money back.",
        handler=cancel_live_event,
        signed_in=True,
        answers={200: Answer(what="The live event.", shape=shapes.LiveEvent)},
        errors={403: ("not_the_owner",), 404: ("live_event_not_found",), 409: ("already_cancelled",)},
    ),
    Operation(
        method="GET",
        path="/api/events/{id}/tickets",
        tag=ServiceName.TICKETS,
        summary="Tickets for sale of a live event",
        handler=find_live_event_tickets,
        query=SaleQuery,
        answers={200: Answer(what="Tickets for sale.", shape=list[shapes.Ticket], headers=LINK)},
        errors={400: _PRICES, 404: ("live_event_not_found",)},
    ),
    Operation(
        method="POST",
        path="/api/tickets",
        tag=ServiceName.TICKETS,
        summary="List a ticket",
        handler=list_ticket,
        body=NewTicket,
        signed_in=True,
        keyed=True,
        answers={201: Answer(what="The ticket.", shape=shapes.Ticket)},
        errors={400: ("live_event_cancelled", *_MONEY, *_TEXT), 404: ("live_event_not_found",)},
    ),
    Operation(
        method="GET",
        path="/api/tickets",
        tag=ServiceName.TICKETS,
        summary="Tickets for sale",
        handler=find_tickets,
        query=TicketsQuery,
        answers={200: Answer(what="Tickets for sale.", shape=list[shapes.Ticket], headers=LINK)},
        errors={400: _PRICES},
    ),
    Operation(
        method="POST",
        path="/api/tickets/batch",
        tag=ServiceName.TICKETS,
        summary="List tickets, all or none",
        description="A refusal names the row: `tickets[17].price`, counted from 0.",
        handler=list_tickets,
        body=NewTickets,
        signed_in=True,
        keyed=True,
        limit=2 * MEBIBYTE,
        answers={201: Answer(what="The tickets, in the order given.", shape=list[shapes.Ticket])},
        errors={400: ("live_event_cancelled", *_MONEY, *_TEXT), 404: ("live_event_not_found",)},
    ),
    Operation(
        method="GET",
        path="/api/tickets/mine",
        tag=ServiceName.TICKETS,
        summary="One's own tickets",
        description="Newest first, with their locks.",
        handler=find_own_tickets,
        query=OwnTicketsQuery,
        signed_in=True,
        answers={200: Answer(what="The caller's tickets.", shape=list[shapes.OwnTicket], headers=LINK)},
    ),
    Operation(
        method="GET",
        path="/api/tickets/{id}",
        tag=ServiceName.TICKETS,
        summary="A ticket",
        handler=get_ticket,
        answers={200: Answer(what="The ticket.", shape=shapes.Ticket)},
        errors={404: ("ticket_not_found",)},
    ),
    Operation(
        method="PUT",
        path="/api/tickets/{id}",
        tag=ServiceName.TICKETS,
        summary="Change title and price",
        handler=edit_ticket,
        body=TicketEdit,
        signed_in=True,
        answers={200: Answer(what="The ticket.", shape=shapes.Ticket)},
        errors={
            400: ("currency_fixed", *_MONEY, *_TEXT),
            403: ("not_the_seller",),
            404: ("ticket_not_found",),
            409: ("ticket_locked", "ticket_sold", "ticket_withdrawn"),
        },
    ),
    Operation(
        method="DELETE",
        path="/api/tickets/{id}",
        tag=ServiceName.TICKETS,
        summary="Take a ticket off the market",
        description="For good.",
        handler=withdraw_ticket,
        signed_in=True,
        answers={204: Answer(what="Withdrawn.")},
        errors={
            403: ("not_the_seller",),
            404: ("ticket_not_found",),
            409: ("ticket_locked", "ticket_sold", "ticket_withdrawn"),
        },
    ),
)
"""The table of these routes."""
