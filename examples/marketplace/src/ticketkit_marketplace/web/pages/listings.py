"""A seller's own tickets: what is for sale, being bought, sold or withdrawn; change the price, withdraw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException

from ticketkit.domain.errors import InvalidInput
from ticketkit.domain.texts import TITLE
from ticketkit.services import listing_cells
from ticketkit_marketplace.web.api import Refused
from ticketkit_marketplace.web.forms import Form
from ticketkit_marketplace.web.rendering import typed
from ticketkit_marketplace.web.visit import Page, Visit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.responses import Response

    from ticketkit.http.shapes import LiveEvent

ON_A_PAGE: Final = 25
"""Tickets on one page."""
STATES: Final[Mapping[str, str]] = {
    "": "All",
    "available": "For sale",
    "locked": "Being bought",
    "sold": "Sold",
    "withdrawn": "Withdrawn",
}
"""States of tickets, as the API calls them, for people."""
_FIELDS: Final = {"title": "title", "price": "price"}
_CONFLICT: Final = 409


async def listings(visit: Visit) -> Response:
    """One's own tickets, newest first."""
    wanted = visit.query.get("status", "")
    status = wanted if wanted in STATES else ""
    cursor = visit.query.get("cursor", "")
    part = await visit.api.part("/api/tickets/mine", status=status, cursor=cursor, limit=ON_A_PAGE)
    kept = {"status": status} if status else {}
    return visit.page(
        "listings.html",
        tickets=part.items,
        events=await _events(visit, part.items),
        chosen=status,
        states=STATES,
        first=_address(kept) if cursor else None,
        next=None if part.next is None else _address({**kept, "cursor": part.next}),
    )


async def show(visit: Visit) -> Response:
    """One of one's own tickets, with a form to change it."""
    ticket = await _own(visit)
    form = Form(values={"title": ticket["title"], "price": typed(ticket["price"], ticket["currency"])})
    return await _page(visit, ticket, form)


async def edit(visit: Visit) -> Response:
    """Change title and price."""
    form = await visit.form()
    ticket = await _own(visit)
    title = form.text("title", "Enter what the ticket is called.", most=TITLE)
    price = form.text("price", "Enter a price, such as 49.50.")
    try:
        if price:
            listing_cells.price(price, ticket["currency"])
    except InvalidInput as error:
        form.errors["price"] = error.message
    if form.errors:
        return await _page(visit, ticket, form)
    try:
        await visit.api.put(f"/api/tickets/{visit.id}", {"title": title, "price": price})
    except Refused as refused:
        if refused.status not in (400, _CONFLICT):
            raise
        if refused.status == _CONFLICT:  # locked or sold since the page was shown, which the page says
            return await _page(visit, await _own(visit), form, late=True)
        form.refuse(refused, _FIELDS)
        return await _page(visit, ticket, form)
    visit.site.billboard.changed(ticket["eventId"])
    return visit.go(f"/listings/{visit.id}", done="edited")


async def ask_withdraw(visit: Visit) -> Response:
    """Ask before a ticket is withdrawn for good."""
    ticket = await _own(visit)
    if ticket["status"] != "available":
        return visit.go(f"/listings/{visit.id}")
    return visit.page("withdraw.html", ticket=ticket, event=(await _events(visit, [ticket])).get(ticket["eventId"]))


async def withdraw(visit: Visit) -> Response:
    """Take a ticket off the market; does nothing if it is off already."""
    form = await visit.form()
    ticket = await _own(visit)
    if ticket["status"] != "withdrawn":
        try:
            await visit.api.delete(f"/api/tickets/{visit.id}")
        except Refused as refused:
            if refused.status != _CONFLICT:
                raise
            return await _page(visit, await _own(visit), form, late=True)
        visit.site.billboard.changed(ticket["eventId"])
    return visit.go(f"/listings/{visit.id}", done="withdrawn")


async def _own(visit: Visit) -> Any:
    """A ticket of the visitor, with the end of its lock.

    Raises:
        HTTPException: It is somebody else's, which is told like one that does not exist.
    """
    ticket = await visit.api.get(f"/api/tickets/{visit.id}")
    if ticket["userId"] != visit.me["id"]:
        raise HTTPException(404)
    return ticket


async def _events(visit: Visit, tickets: Iterable[Any]) -> dict[str, LiveEvent]:
    """The live events of some tickets, by id."""
    return await visit.site.billboard.named(ticket["eventId"] for ticket in tickets if ticket["eventId"])


async def _page(visit: Visit, ticket: Any, form: Form, *, late: bool = False) -> Response:
    status = _CONFLICT if late else 422 if form.errors else 200
    event = (await _events(visit, [ticket])).get(ticket["eventId"])
    return visit.page("listing.html", status=status, ticket=ticket, event=event, form=form, late=late, states=STATES)


def _address(query: Mapping[str, str]) -> str:
    return "/listings" + (f"?{urlencode(query)}" if query else "")


PAGES: Final = (
    Page(path="/listings", show=listings, signed_in=True),
    Page(path="/listings/{id}", show=show, submit=edit, signed_in=True),
    Page(path="/listings/{id}/withdraw", show=ask_withdraw, submit=withdraw, signed_in=True),
)
"""The pages of this subject."""
