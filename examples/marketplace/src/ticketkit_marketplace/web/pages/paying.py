"""Paying for an order: with a test card, or in Stripe's card form; while the bank decides, and when it has said no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.responses import JSONResponse

from ticketkit_marketplace.web.api import Refused
from ticketkit_marketplace.web.forms import Form
from ticketkit_marketplace.web.pages import orders
from ticketkit_marketplace.web.security import card_form_headers
from ticketkit_marketplace.web.visit import Page, Visit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

CHARGE: Final = "charge"
"""Parameter of an order's address that names the payment that is being decided."""
CARDS: Final[Mapping[str, str]] = {
    "tok_visa": "A card that pays",
    "tok_chargeDeclined": "A card that is declined",
    "tok_chargeDeclinedInsufficientFunds": "A card without enough money on it",
    "tok_chargeDeclinedExpiredCard": "A card that has expired",
    "tok_pending": "A card whose bank takes its time",
}
"""Test cards of the play-money provider, by token."""
DECLINES: Final[Mapping[str, tuple[str, str]]] = {
    "insufficient_funds": ("The card has insufficient funds.", "Use another card, or one with more money on it."),
    "expired_card": ("The card has expired.", "Use a card that is still valid."),
    "incorrect_cvc": ("The card's security code is incorrect.", "Check the three digits on the back of the card."),
    "payment_intent_authentication_failure": (
        "Your bank could not make sure that it was you.",
        "Try again and answer your bank's question, or use another card.",
    ),
}
"""Why a bank said no and what to do, by the provider's code."""
_OTHER: Final = ("The card was declined.", "Use another card, or ask your bank.")
_GIVEN_UP: Final = frozenset({"order_expired", "order_cancelled", "order_changed", "superseded"})
"""Codes of payments that no bank has refused."""
_OPEN: Final = frozenset({"created", "requires_action", "authorized"})
_CONFLICT: Final = 409
_DECLINED: Final = 402
_NONE: Final = frozenset({400, 404})


async def show(visit: Visit) -> Response:
    """One order, wherever it and its payment are."""
    order = await visit.api.get(f"/api/orders/{visit.id}")
    charge = await _charge(visit, order)
    if charge is None:
        return await _order(visit, order)
    if charge["status"] in _OPEN and order["status"] == "created":
        return await orders.page(visit, order, deciding=True, card_form=visit.site.options.card_form)
    over = order["status"] == "created" or order["reason"] == "payment_declined"
    if charge["status"] == "failed" and over and charge["code"] not in _GIVEN_UP:
        return _declined(visit, order, charge["code"] or "")
    return await _order(visit, order)


async def pay(visit: Visit) -> Response:
    """Pay for an order with a test card; where Stripe takes the card, begin, and tell the form how to go on."""
    form = await visit.form()
    if visit.site.options.card_form is not None:
        return await _begin(visit)
    token = form["card"]
    if token not in CARDS:
        form.errors["card"] = "Choose a card."
        return await _order(visit, await visit.api.get(f"/api/orders/{visit.id}"), form=form)
    try:
        charge = await visit.api.post("/api/payments", {"orderId": visit.id, "token": token}, key=form.key)
    except Refused as refused:
        return await _refused(visit, refused)
    return visit.go(_here(visit, None if charge["status"] == "completed" else charge["id"]), done=_done(charge))


async def _begin(visit: Visit) -> Response:
    """What Stripe's form confirms with, as JSON for the page's script.

    The key is made of the order: two windows, a second click and the back button have one payment between them. After
    a declined one it begins another.
    """
    try:
        charge = await visit.api.post("/api/payments", {"orderId": visit.id}, key=f"card-form-{visit.id}")
    except Refused as refused:
        if refused.status not in (_DECLINED, _CONFLICT):
            raise
        charge = {"id": refused.values.get("chargeId")}
    answer = {"next": _here(visit, charge["id"]), "clientSecret": charge.get("action", {}).get("client_secret")}
    return visit.with_cookies(JSONResponse(answer, headers={"cache-control": "no-store"}))


async def _refused(visit: Visit, refused: Refused) -> Response:
    if refused.status not in (_DECLINED, _CONFLICT):
        raise refused
    order = await visit.api.get(f"/api/orders/{visit.id}")
    if refused.status == _DECLINED:
        return _declined(visit, order, refused.code, status=_DECLINED)
    if refused.code == "payment_under_way" and order["status"] == "created":
        return visit.go(_here(visit, refused.values.get("chargeId")))
    return await _order(visit, order, status=_CONFLICT)  # it is over, or being paid: the page says so


async def _order(visit: Visit, order: Any, *, status: int = 200, form: Form | None = None) -> Response:
    """An order that can be paid, if it still can."""
    stripe = visit.site.options.card_form
    return await orders.page(
        visit,
        order,
        status=422 if form is not None and form.errors else status,
        headers=card_form_headers() if stripe is not None and order["status"] == "created" else None,
        form=form,
        cards=CARDS,
        card_form=stripe,
        deciding=False,
    )


def _declined(visit: Visit, order: Any, code: str, *, status: int = 200) -> Response:
    detail, advice = DECLINES.get(code, _OTHER)
    again = order["status"] == "created" and order["onDecline"] == "keep"  # else it is just being cancelled
    return visit.page("declined.html", status=status, order=order, detail=detail, advice=advice, again=again)


async def _charge(visit: Visit, order: Any) -> Any:
    """The payment that the address names, if it is one of this order."""
    if not (id := visit.query.get(CHARGE)):
        return None
    try:
        charge = await visit.api.get(f"/api/payments/{id}")
    except Refused as refused:
        if refused.status not in _NONE:
            raise
        return None
    return charge if charge["orderId"] == order["id"] else None


def _here(visit: Visit, charge_id: str | None) -> str:
    path = f"/orders/{visit.id}"
    return path if charge_id is None else f"{path}?{urlencode({CHARGE: charge_id})}"


def _done(charge: Any) -> str | None:
    return "paid" if charge["status"] == "completed" else None


PAGES: Final = (
    Page(path="/orders/{id}", show=show, signed_in=True),
    Page(path="/orders/{id}/pay", submit=pay, signed_in=True),
)
"""The pages of this subject."""
