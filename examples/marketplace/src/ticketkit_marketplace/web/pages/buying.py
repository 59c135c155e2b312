"""Buying: the chosen tickets are held, if they still cost what the buyer saw; else the page says what happened."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from ticketkit_marketplace.web.api import Refused
from ticketkit_marketplace.web.end import End
from ticketkit_marketplace.web.forms import Form
from ticketkit_marketplace.web.pages import ends
from ticketkit_marketplace.web.rendering import time
from ticketkit_marketplace.web.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response

MOST: Final = 50
"""Most tickets of one form; how many an order may have says the API."""
OTHERS: Final = 5
"""Tickets that are offered instead of what somebody else took."""
_CONFLICT: Final = 409
_TAKEN: Final = frozenset({"ticket_locked", "ticket_sold", "ticket_withdrawn"})
NOTHING: Final = End(
    status=422,
    title="No ticket is chosen",
    text="Nothing was ordered.",
    advice="Go back, and tick the tickets that you want.",
)
_TITLES: Final[Mapping[str, str]] = {
    "not_on_sale_yet": "Not on sale yet",
    "sales_paused": "Sales are paused",
    "live_event_started": "This event has started",
    "live_event_cancelled": "This event is cancelled",
    "own_ticket": "This ticket is yours",
    "too_many_on_hold": "You hold too many tickets",
    "too_many_tickets": "Too many tickets for one order",
    "mixed_currencies": "These tickets are in different currencies",
}
_ADVICE: Final[Mapping[str, str]] = {
    "sales_paused": "Try again later. What you have ordered already can be paid.",
    "own_ticket": "Choose a ticket of somebody else.",
    "too_many_on_hold": "Pay for what you hold, or cancel an order under My orders.",
    "too_many_tickets": "Choose fewer tickets.",
    "mixed_currencies": "Buy them in one order for each currency.",
}


async def order(visit: Visit) -> Response:
    """Hold the chosen tickets, and go on to pay."""
    form = await visit.form()
    ids = list(dict.fromkeys(form.lists.get("ticket", ())))[:MOST]
    if not ids:
        return ends.show(visit, NOTHING)
    if visit.user is None:  # the choice of one ticket is kept on its page; of several, there is nothing to keep it in
        return visit.go("/sign-in?" + urlencode({"next": f"/tickets/{ids[0]}" if len(ids) == 1 else "/"}))
    tickets = [await visit.api.get(f"/api/tickets/{id}") for id in ids]
    if changed := _changed(tickets, form.lists.get("seen", ())):
        again = Form()
        return visit.page("price_changed.html", status=_CONFLICT, tickets=tickets, changed=changed, form=again)
    try:
        placed = await visit.api.post("/api/orders", {"ticketIds": ids}, key=form.key)
    except Refused as refused:
        if refused.status not in (400, _CONFLICT):
            raise
        return await _refused(visit, refused, tickets)
    return visit.go(f"/orders/{placed['id']}")


def _changed(tickets: Sequence[Any], seen: Sequence[str]) -> dict[str, Decimal]:
    """The old price of each ticket that costs something else than what its buyer saw, by id."""
    shown = {parts[0]: parts[1:] for text in seen if len(parts := text.split()) == 3}  # noqa: PLR2004
    found = {}
    for ticket in tickets:
        price, currency = shown.get(ticket["id"], (str(ticket["price"]), ticket["currency"]))
        if not price.replace(".", "", 1).isdecimal():
            continue
        if (Decimal(price), currency) != (Decimal(str(ticket["price"])), ticket["currency"]):
            found[ticket["id"]] = Decimal(price)
    return found


async def _refused(visit: Visit, refused: Refused, tickets: Sequence[Any]) -> Response:
    event_id = next((ticket["eventId"] for ticket in tickets if ticket["eventId"]), None)
    if refused.code in _TAKEN:
        return await _taken(visit, refused, tickets, event_id)
    detail = refused.detail
    if refused.code == "not_on_sale_yet" and event_id is not None:
        event = await visit.api.get(f"/api/events/{event_id}")
        detail = f"Tickets can be bought from {time(event['onSaleAt'], event['zone']).striptags()} on."
    end = End(
        status=_CONFLICT,
        title=_TITLES.get(refused.code, "This can't be ordered"),
        text="Nothing was ordered, and nothing was charged.",
        advice=_ADVICE.get(refused.code, ""),
    )
    return ends.show(visit, end, detail=detail)


async def _taken(visit: Visit, refused: Refused, tickets: Sequence[Any], event_id: str | None) -> Response:
    """Somebody was faster: what is still there, the nearest in price first."""
    lost = next((ticket for ticket in tickets if ticket["id"] == refused.values.get("ticketId")), tickets[0])
    others: list[Any] = []
    event = None
    if event_id is not None:
        event = await visit.api.get(f"/api/events/{event_id}")
        part = await visit.api.part(f"/api/events/{event_id}/tickets", limit=100, sort="price")
        left = [ticket for ticket in part.items if ticket["currency"] == lost["currency"]]
        others = sorted(left, key=lambda ticket: abs(ticket["price"] - lost["price"]))[:OTHERS]
    page = {"lost": lost, "event": event, "others": others, "detail": refused.detail, "form": Form()}
    return visit.page("taken.html", status=_CONFLICT, **page)
