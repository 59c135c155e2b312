"""What is for sale: the front page, a live event with its tickets, a ticket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from ticketkit_marketplace.web.api import Refused
from ticketkit_marketplace.web.forms import Form
from ticketkit_marketplace.web.rendering import moment_of
from ticketkit_marketplace.web.site import ON_A_PAGE
from ticketkit_marketplace.web.topics import Kind, Topic
from ticketkit_marketplace.web.visit import Page, Visit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from starlette.responses import Response

    from ticketkit.http.shapes import LiveEvent

TICKETS: Final = 25
"""Tickets on one page."""
SORTS: Final[Mapping[str, str]] = {
    "price": "Cheapest first",
    "-price": "Most expensive first",
    "newest": "Newest first",
    "oldest": "Oldest first",
}
"""Orders of tickets, as the API calls them, for people."""
_FILTERS: Final = ("q", "minPrice", "maxPrice", "currency", "sort")


async def home(visit: Visit) -> Response:
    """What is on, the next one first."""
    text = visit.query.get("q", "")[:100]
    found = await visit.site.billboard.events(text)
    number = _number(visit.query.get("page", ""))
    start = (number - 1) * ON_A_PAGE
    shown = found[start : start + ON_A_PAGE]
    offers = await visit.site.billboard.offers(shown)
    links = {
        "previous": _home(text, number - 1) if number > 1 else None,
        "next": _home(text, number + 1) if start + ON_A_PAGE < len(found) else None,
    }
    return visit.page("home.html", events=shown, offers=offers, text=text, found=len(found), links=links, page=number)


async def live_event(visit: Visit) -> Response:
    """A live event with the tickets that are for sale."""
    event = await visit.api.get(f"/api/events/{visit.id}")
    wanted = {name: visit.query[name] for name in _FILTERS if visit.query.get(name)}
    wanted.setdefault("sort", "price")
    form = Form(values=dict(wanted))
    tickets: list[Any] = []
    cursor = visit.query.get("cursor", "")
    following = None
    try:
        part = await visit.api.part(f"/api/events/{visit.id}/tickets", limit=TICKETS, cursor=cursor, **wanted)
        tickets = part.items
        following = part.next and f"/events/{visit.id}?{urlencode({**wanted, 'cursor': part.next})}#tickets"
    except Refused as refused:
        if refused.status != 400:  # noqa: PLR2004
            raise
        form.refuse(refused, _FIELDS)
    return visit.page(
        "event.html",
        status=422 if form.errors else 200,
        event=event,
        sale=sale_of(event, visit.site.now()),
        offer=await visit.site.billboard.offer(visit.id),
        tickets=tickets,
        form=form,
        filtered=any(name in wanted for name in ("q", "minPrice", "maxPrice")),
        first=f"/events/{visit.id}?{urlencode(wanted)}#tickets" if cursor else None,
        next=following,
        sorts=SORTS,
        shows=() if form.errors else (Topic(Kind.EVENT, event["id"]), Topic(Kind.TICKETS, event["id"])),
    )


async def ticket(visit: Visit) -> Response:
    """One ticket."""
    found = await visit.api.get(f"/api/tickets/{visit.id}")
    event = None if found["eventId"] is None else await visit.api.get(f"/api/events/{found['eventId']}")
    mine = visit.user is not None and visit.user["id"] == found["userId"]
    return visit.page(
        "ticket.html",
        ticket=found,
        event=event,
        sale=None if event is None else sale_of(event, visit.site.now()),
        mine=mine,
        form=Form(),
        shows=[Topic(Kind.TICKET, found["id"]), *([] if event is None else [Topic(Kind.EVENT, event["id"])])],
    )


@dataclass(frozen=True, slots=True)
class Sale:
    """Whether a live event sells now.

    Attributes:
        state: `open`, `not_yet`, `paused`, `started` or `cancelled`.
    """

    state: str

    @property
    def open(self) -> bool:
        """Whether tickets can be ordered."""
        return self.state == "open"


def sale_of(event: LiveEvent, now: datetime) -> Sale:
    """Whether a live event sells now."""
    if event["status"] == "cancelled":
        return Sale("cancelled")
    if moment_of(event["startsAt"]) <= now:
        return Sale("started")
    if event["paused"]:
        return Sale("paused")
    opens = event["onSaleAt"]
    return Sale("not_yet" if opens is not None and moment_of(opens) > now else "open")


_FIELDS: Final = {"minPrice": "minPrice", "maxPrice": "maxPrice", "q": "q", "currency": "maxPrice"}


def _home(text: str, page: int) -> str:
    given = {name: value for name, value in (("q", text), ("page", page)) if value and (name, value) != ("page", 1)}
    return "/?" + urlencode(given) if given else "/"


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) <= 10_000 else 1  # noqa: PLR2004


PAGES: Final = (
    Page(path="/", show=home),
    Page(path="/events/{id}", show=live_event),
    Page(path="/tickets/{id}", show=ticket),
)
"""The pages of this subject."""
