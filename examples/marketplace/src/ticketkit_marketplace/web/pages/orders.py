"""A buyer's orders: ask for more time, cancel, see how each ended, and show the passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import segno
from markupsafe import Markup

from ticketkit_marketplace.web.api import Refused
from ticketkit_marketplace.web.forms import Form
from ticketkit_marketplace.web.pages import buying
from ticketkit_marketplace.web.topics import Kind, Topic
from ticketkit_marketplace.web.visit import Page, Visit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.responses import Response

    from ticketkit.http.shapes import LiveEvent

ON_A_PAGE: Final = 25
_CONFLICT: Final = 409
STATES: Final[Mapping[str, tuple[str, str]]] = {
    "created": ("Waiting for payment", "warn"),
    "awaiting_payment": ("Being paid", "warn"),
    "completed": ("Paid", "good"),
    "cancelled": ("Over", "off"),
}
"""States of orders for people, with the kind of their badge."""
OPEN: Final = ("created", "awaiting_payment")
"""States of orders that go on by themselves."""
REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "buyer": ("You cancelled this order", "The tickets are for sale again."),
    "expired": ("This order has expired", "Its time ran out before it was paid. You were not charged."),
    "taken_over": ("This order has expired", "Its time ran out before it was paid. You were not charged."),
    "payment_declined": ("Your payment was declined", "You were not charged, and the tickets are for sale again."),
    "payment_failed": ("Your payment did not work", "You were not charged: what was held is let go."),
    "event_cancelled": ("The event is cancelled", "You were not charged."),
}
"""How an order ended without tickets, by the API's reason: heading and what it means."""


async def orders(visit: Visit) -> Response:
    """One's own orders, newest first."""
    part = await visit.api.part("/api/orders", cursor=visit.query.get("cursor", ""), limit=ON_A_PAGE)
    return visit.page(
        "orders.html",
        orders=part.items,
        events=await _events(visit, (ticket for order in part.items for ticket in order["tickets"])),
        states=STATES,
        first="/orders" if visit.query.get("cursor") else None,
        next=None if part.next is None else f"/orders?{urlencode({'cursor': part.next})}",
    )


async def extend(visit: Visit) -> Response:
    """Have the tickets held for longer."""
    form = await visit.form()
    try:
        await visit.api.post(f"/api/orders/{visit.id}/extend", {}, key=form.key)
    except Refused as refused:
        if refused.status != _CONFLICT:
            raise
        return visit.go(f"/orders/{visit.id}", done="not-extended" if refused.code == "extended_already" else None)
    return visit.go(f"/orders/{visit.id}", done="extended")


async def cancel(visit: Visit) -> Response:
    """Give the tickets back before paying."""
    await visit.form()
    try:
        await visit.api.delete(f"/api/orders/{visit.id}")
    except Refused as refused:
        if refused.status != _CONFLICT:
            raise
    return visit.go(f"/orders/{visit.id}")


async def passes(visit: Visit) -> Response:
    """What is shown at the door: a QR code for each ticket of a paid order."""
    order = await visit.api.get(f"/api/orders/{visit.id}")
    try:
        found = await visit.api.get(f"/api/orders/{visit.id}/passes")
    except Refused as refused:
        if refused.status != _CONFLICT:
            raise
        return visit.go(f"/orders/{visit.id}")
    tickets = {ticket["id"]: ticket for ticket in order["tickets"]}
    shown = [(tickets[one["ticketId"]], one["pass"], _code(one["pass"])) for one in found]
    return visit.page("passes.html", order=order, passes=shown, events=await _events(visit, order["tickets"]))


async def page(visit: Visit, order: Any, *, status: int = 200, form: Form | None = None, **values: Any) -> Response:
    """One order, wherever it is.

    Args:
        visit: Of its buyer.
        order: As the API has it.
        status: Of the response.
        form: To pay with, as it was sent.
        **values: For the template: how it can be paid.
    """
    released = order["status"] == "completed" and any(one["orderId"] != order["id"] for one in order["tickets"])
    return visit.page(
        "order.html",
        status=status,
        order=order,
        events=await _events(visit, order["tickets"]),
        form=form or Form(),
        more=Form(),
        end=REASONS.get(order["reason"] or ""),
        released=released,
        now=visit.site.now(),
        shows=[Topic(Kind.ORDER, order["id"])] if order["status"] in OPEN else (),
        **values,
    )


async def _events(visit: Visit, tickets: Iterable[Any]) -> dict[str, LiveEvent]:
    return await visit.site.billboard.named({ticket["eventId"] for ticket in tickets if ticket["eventId"]})


def _code(text: str) -> Markup:
    """A QR code as an inline drawing, dark on light in every colour scheme, so that scanners read it."""
    drawing = segno.make_qr(text, error="L").svg_inline(border=4, dark="#000", light="#fff", omitsize=True)
    return Markup(drawing)  # noqa: S704 - made of dark and light squares


PAGES: Final = (
    Page(path="/orders", show=orders, submit=buying.order),
    Page(path="/orders/{id}/extend", submit=extend, signed_in=True),
    Page(path="/orders/{id}/cancel", submit=cancel, signed_in=True),
    Page(path="/orders/{id}/passes", show=passes, signed_in=True),
)
"""The pages of this subject."""
