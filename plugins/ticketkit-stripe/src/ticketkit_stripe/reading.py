"""What Stripe's objects say, in the words of the port.

PaymentIntents are read as plain dicts, as an answer or the body of a webhook has them. Their states:
docs.stripe.com/payments/paymentintents/lifecycle. `client` is what the buyer's client starts Stripe.js with.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ticketkit.backends.payments import (
    ActionRequired,
    Declined,
    Done,
    Outcome,
    Pending,
    ProviderCharge,
    ProviderStatus,
)
from ticketkit_stripe.amounts import money

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ticketkit.domain.money import Money
    from ticketkit_stripe.calls import Rejected

CHARGE_ID: Final = "ticketkit_charge_id"
ORDER_ID: Final = "ticketkit_order_id"
REFUND_ID: Final = "ticketkit_refund_id"
"""Keys of metadata, by which Stripe's objects are found again."""

FORM: Final = "stripe_payment_element"
"""Type of the action: show the Payment Element with the client secret, and let it confirm."""
NEXT_ACTION: Final = "stripe_next_action"
"""Type of the action: `stripe.handleNextAction` with the client secret, or go to `redirect_url`."""

VOIDED: Final = Declined("voided", "The payment was cancelled.")

_SECRET_REASONS: Final = frozenset({"fraudulent", "lost_card", "stolen_card", "merchant_blacklist"})
"""Reasons that the buyer is not to be told (docs.stripe.com/declines/codes): whoever has the card may be a thief."""
_MESSAGE: Final = "The card was declined."

_STATUS: Final = {
    "requires_payment_method": ProviderStatus.PREPARED,
    "requires_confirmation": ProviderStatus.PREPARED,
    "requires_action": ProviderStatus.REQUIRES_ACTION,
    "processing": ProviderStatus.PENDING,
    "requires_capture": ProviderStatus.AUTHORIZED,
    "succeeded": ProviderStatus.CAPTURED,
    "canceled": ProviderStatus.VOID,
}


def status(intent: Mapping[str, Any]) -> ProviderStatus:
    """Where a PaymentIntent is. One whose last confirmation failed waits for another method: for us it is declined."""
    found = _STATUS.get(intent["status"], ProviderStatus.PENDING)
    if found is ProviderStatus.PREPARED and intent.get("last_payment_error"):
        return ProviderStatus.DECLINED
    return found


def standing(intent: Mapping[str, Any], client: Mapping[str, str]) -> Outcome | None:
    """The answer to an authorization, as the PaymentIntent is now; None when nobody has confirmed it yet."""
    outcome: Outcome | None = None
    match status(intent):
        case ProviderStatus.AUTHORIZED:
            outcome = Done(intent["id"])
        case ProviderStatus.CAPTURED:
            outcome = Done(intent["id"], taken=True)
        case ProviderStatus.REQUIRES_ACTION:
            outcome = ActionRequired(action(intent, client))
        case ProviderStatus.PENDING:
            outcome = Pending()
        case ProviderStatus.VOID:
            outcome = VOIDED
        case ProviderStatus.DECLINED:
            outcome = failed(intent["last_payment_error"])
    return outcome


def form(intent: Mapping[str, Any], client: Mapping[str, str]) -> ActionRequired:
    """The buyer's form confirms by itself: what it needs."""
    return ActionRequired(_action(FORM, intent, client))


def action(intent: Mapping[str, Any], client: Mapping[str, str]) -> dict[str, Any]:
    """What the buyer's client needs to answer the bank's question."""
    found = _action(NEXT_ACTION, intent, client)
    if url := ((intent.get("next_action") or {}).get("redirect_to_url") or {}).get("url"):
        found["redirect_url"] = url
    return found


def failed(error: Mapping[str, Any]) -> Declined:
    """A decline, from an error object of Stripe: of an answer, or of the last confirmation."""
    return _declined(error.get("code") or error.get("type"), error.get("decline_code"), error.get("message"))


def declined(error: Rejected) -> Declined:
    """A decline, from a refused call."""
    return _declined(error.code, error.decline_code, error.message)


def _declined(code: str | None, reason: str | None, message: str | None) -> Declined:
    """The bank's reason where `code` says nothing but that the card was declined, unless it is to be kept secret."""
    if reason in _SECRET_REASONS:
        return Declined("card_declined", _MESSAGE)
    if code in (None, "card_declined") and reason not in (None, "generic_decline"):
        code = reason
    return Declined(code or "card_declined", message or _MESSAGE)


def charge_id(intent: Mapping[str, Any]) -> str:
    """The charge that a PaymentIntent was prepared for; empty for one that is not ours."""
    return str(_metadata(intent).get(CHARGE_ID, ""))


def refund_id(refund: Mapping[str, Any]) -> str | None:
    """Which of our refunds a refund of Stripe's is; None for one that somebody else made."""
    found = _metadata(refund).get(REFUND_ID)
    return found if isinstance(found, str) else None


def captured(intent: Mapping[str, Any]) -> Money:
    """What was taken."""
    return money(intent.get("amount_received") or _latest(intent).get("amount_captured") or 0, intent["currency"])


def charge(intent: Mapping[str, Any], client: Mapping[str, str]) -> ProviderCharge:
    """A line of the books, from a PaymentIntent with its `latest_charge` expanded.

    Of what was captured in part, Stripe's `amount_refunded` may have what was let go, too: see `with_refunds`.
    """
    found, answer = status(intent), standing(intent, client)
    taken = captured(intent).minor if found is ProviderStatus.CAPTURED else 0
    back = money(_latest(intent).get("amount_refunded") or 0, intent["currency"]).minor if taken else 0
    return ProviderCharge(
        reference=intent["id"],
        charge_id=charge_id(intent),
        status=found,
        amount=money(intent["amount"], intent["currency"]),
        captured=taken,
        refunded=back,
        code=answer.code if isinstance(answer, Declined) and found is ProviderStatus.DECLINED else None,
        action=answer.action if isinstance(answer, ActionRequired) else None,
    )


def with_refunds(charge: ProviderCharge, refunds: Iterable[Mapping[str, Any]]) -> ProviderCharge:
    """The same line, with what those of its refunds gave back that are ours, and were not refused."""
    ours = [one for one in refunds if refund_id(one) is not None and one.get("status") not in ("failed", "canceled")]
    return replace(charge, refunded=sum(money(one["amount"], one["currency"]).minor for one in ours))


def refund(refund: Mapping[str, Any]) -> Outcome:
    """The answer to a refund, as it is now."""
    match refund.get("status"):
        case "succeeded":
            return Done(refund["id"])
        case "failed" | "canceled" as ended:
            return Declined(refund.get("failure_reason") or ended, "The refund was not possible.")
        case _:
            return Pending()


def _latest(intent: Mapping[str, Any]) -> Mapping[str, Any]:
    found = intent.get("latest_charge")
    return found if isinstance(found, dict) else {}


def _metadata(thing: Mapping[str, Any]) -> Mapping[str, Any]:
    found = thing.get("metadata")
    return found if isinstance(found, dict) else {}


def _action(kind: str, intent: Mapping[str, Any], client: Mapping[str, str]) -> dict[str, Any]:
    return {"type": kind, "client_secret": intent.get("client_secret"), **client}
