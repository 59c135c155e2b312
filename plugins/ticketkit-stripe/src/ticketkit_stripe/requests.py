"""What Stripe is asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ticketkit_stripe.amounts import NotExpressible, to_stripe
from ticketkit_stripe.reading import CHARGE_ID, ORDER_ID, REFUND_ID, charge_id
from ticketkit_stripe.settings import HOLDING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stripe.params import PaymentIntentConfirmParams, PaymentIntentCreateParams, RefundCreateParams

    from ticketkit.domain.money import Money
    from ticketkit_stripe.settings import Settings

_TOKEN: Final = re.compile(r"(tok|pm|ctoken)_[A-Za-z0-9_]{1,250}")


def preparation(settings: Settings, *, charge_id: str, order_id: str, amount: Money) -> PaymentIntentCreateParams:
    """How a PaymentIntent is created.

    Raises:
        NotExpressible: Stripe has no such amount.
    """
    methods = list(settings.methods)
    params: PaymentIntentCreateParams = {
        "amount": to_stripe(amount),
        "currency": amount.currency.lower(),
        "capture_method": "manual",
        "allowed_payment_method_types": methods,
        "metadata": {CHARGE_ID: charge_id, ORDER_ID: order_id},
    }
    if not HOLDING.issuperset(methods):
        # One that is captured by hand leaves out methods that can't be: those that can are told so by themselves.
        options: Any = {method: {"capture_method": "manual"} for method in methods if method in HOLDING}
        params["capture_method"] = "automatic"
        if options:
            params["payment_method_options"] = options
    return params


def confirmation(settings: Settings, token: str) -> PaymentIntentConfirmParams | None:
    """How a PaymentIntent is confirmed with what the buyer's form gave; None where that is nothing of Stripe's."""
    found = _TOKEN.fullmatch(token)
    params: PaymentIntentConfirmParams
    match found and found[1]:
        case "tok":
            params = {"payment_method_data": {"type": "card", "card": {"token": token}}}  # type: ignore[typeddict-unknown-key]
        case "pm":
            params = {"payment_method": token}
        case "ctoken":
            params = {"confirmation_token": token}
        case _:
            return None
    if settings.return_url is not None:
        params["return_url"] = settings.return_url
    return params


def refund(intent: Mapping[str, Any], refund_id: str, amount: Money) -> RefundCreateParams:
    """How a refund is created.

    Raises:
        NotExpressible: Stripe has no such amount, or the payment was in another currency.
    """
    if amount.currency.lower() != intent["currency"]:
        raise NotExpressible("refund_exceeds_capture", f"It was not paid in {amount.currency}.")
    metadata = {REFUND_ID: refund_id, CHARGE_ID: charge_id(intent)}
    return {"payment_intent": intent["id"], "amount": to_stripe(amount), "metadata": metadata}
