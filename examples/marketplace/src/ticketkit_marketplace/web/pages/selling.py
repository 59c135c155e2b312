"""Sell one ticket: for a live event that there is, or for one that is announced along with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from ticketkit.domain.errors import InvalidInput
from ticketkit.domain.money import EXPONENTS
from ticketkit.domain.texts import SEAT, TITLE, checked_zone
from ticketkit.http.shapes import time as written
from ticketkit.services import listing_cells
from ticketkit_marketplace.web.api import Refused
from ticketkit_marketplace.web.forms import Form
from ticketkit_marketplace.web.visit import Page, Visit

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.responses import Response

    from ticketkit.http.shapes import LiveEvent

FOUND: Final = 12
"""Live events that are offered to choose from."""
_SUGGESTED: Final = """
America/Chicago America/Denver America/Los_Angeles America/Mexico_City America/New_York America/Sao_Paulo
America/Toronto Asia/Dubai Asia/Hong_Kong Asia/Kolkata Asia/Seoul Asia/Shanghai Asia/Singapore Asia/Tokyo
Australia/Melbourne Australia/Sydney Europe/Amsterdam Europe/Berlin Europe/Dublin Europe/Istanbul Europe/Lisbon
Europe/London Europe/Madrid Europe/Paris Europe/Rome Europe/Stockholm Europe/Vienna Europe/Warsaw Europe/Zurich
Pacific/Auckland UTC
"""
ZONES: Final = tuple(_SUGGESTED.split())
"""Time zones that are suggested; every other one may be typed."""
_TICKET: Final = {"title": "title", "price": "price", "currency": "currency", "seat": "seat", "eventId": ""}
_EVENT: Final = {"name": "name", "venue": "venue", "startsAt": "starts_at", "zone": "zone", "onSaleAt": "on_sale_at"}


async def choose(visit: Visit) -> Response:
    """What to sell: a ticket of which live event, or many from a file."""
    text = visit.query.get("q", "")[:100]
    found = await visit.site.billboard.events(text)
    return visit.page("sell.html", text=text, events=found[:FOUND], more=max(0, len(found) - FOUND))


async def show_ticket(visit: Visit) -> Response:
    """The form for one ticket."""
    event = await _event(visit)
    form = Form(values={"currency": visit.site.options.currency, "zone": "" if event else "America/New_York"})
    return _form(visit, form, event)


async def list_ticket(visit: Visit) -> Response:
    """List a ticket; announces its live event first if that is new."""
    form = await visit.form()
    event = await _event(visit)
    ticket = _ticket(form, event)
    announcement = None if event is not None else _announcement(form)
    if form.errors:
        return _form(visit, form, event)
    fields = _TICKET
    try:
        if announcement is not None:
            fields = _EVENT
            ticket["eventId"] = await _announced(visit, announcement, f"{form.key}-event")
            fields = _TICKET
        made = await visit.api.post("/api/tickets", ticket, key=form.key)
    except Refused as refused:
        if refused.status not in (400, 409, 422):
            raise
        form.refuse(refused, fields)
        return _form(visit, form, event)
    visit.site.billboard.changed(made["eventId"])
    return visit.go(f"/listings/{made['id']}", done="listed")


@dataclass(frozen=True, slots=True)
class _Announcement:
    name: str
    venue: str
    starts_at: datetime
    zone: str
    on_sale_at: datetime | None


def _ticket(form: Form, event: LiveEvent | None) -> dict[str, Any]:
    """The ticket as it was typed; what is wrong is noted in the form."""
    price = form.text("price", "Enter a price, such as 49.50.")
    currency = form["currency"].upper()
    if currency not in EXPONENTS:
        form.errors["currency"] = "Enter a currency of three letters, such as USD or EUR."
    elif price:
        _try(form, "price", lambda: listing_cells.price(price, currency))
    for name, most in (("seat", SEAT), ("title", TITLE)):
        if len(form[name]) > most:
            form.errors[name] = f"Use {most} characters at most; these are {len(form[name])}."
    title = form["title"] or (form["name"] if event is None else event["name"])
    return {
        "title": title,
        "price": price,
        "currency": currency,
        "seat": form["seat"] or None,
        "eventId": None if event is None else event["id"],
    }


def _announcement(form: Form) -> _Announcement | None:
    name = form.text("name", "Enter the name of the event.", most=TITLE)
    venue = form.text("venue", "Enter where it takes place.", most=TITLE)
    zone = form.text("zone", "Enter the time zone of the venue, such as Europe/Berlin.")
    if zone and _try(form, "zone", lambda: checked_zone(zone)) is None:
        return None
    start = form.text("starts_at", "Enter when it starts.")
    starts_at = _try(form, "starts_at", lambda: listing_cells.time(start, zone)) if start and zone else None
    opens = form["on_sale_at"]
    on_sale_at = _try(form, "on_sale_at", lambda: listing_cells.time(opens, zone)) if opens and zone else None
    return None if starts_at is None else _Announcement(name, venue, starts_at, zone, on_sale_at)


def _try(form: Form, name: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except InvalidInput as error:
        form.errors[name] = error.message
        return None


async def _announced(visit: Visit, wanted: _Announcement, key: str) -> str:
    """The id of the live event: two sellers who name the same one mean the same one."""
    for event in await visit.site.billboard.events(wanted.name):
        if (event["name"], event["venue"], event["startsAt"]) == (wanted.name, wanted.venue, written(wanted.starts_at)):
            return event["id"]
    body = {
        "name": wanted.name,
        "venue": wanted.venue,
        "startsAt": written(wanted.starts_at),
        "zone": wanted.zone,
        "onSaleAt": None if wanted.on_sale_at is None else written(wanted.on_sale_at),
    }
    return str((await visit.api.post("/api/events", body, key=key))["id"])


async def _event(visit: Visit) -> LiveEvent | None:
    id = visit.query.get("event")
    if not id:
        return None
    event: LiveEvent = await visit.api.get(f"/api/events/{id}")
    return event


def _form(visit: Visit, form: Form, event: LiveEvent | None) -> Response:
    action = "/sell/ticket" + ("" if event is None else "?" + urlencode({"event": event["id"]}))
    status = 422 if form.errors else 200
    return visit.page("sell_ticket.html", status=status, form=form, event=event, action=action, zones=ZONES)


PAGES: Final = (
    Page(path="/sell", show=choose),
    Page(path="/sell/ticket", show=show_ticket, submit=list_ticket, signed_in=True),
)
"""The pages of this subject."""
