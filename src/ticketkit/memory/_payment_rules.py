"""The fake payment provider's rules: pure functions from a payment's state to an answer and its next state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from ticketkit.backends.payments import ActionRequired, Declined, Done, Outcome, Pending, ProviderCharge, ProviderStatus
from ticketkit.domain.entities import RefundStatus
from ticketkit.memory.books import BookedRefund

if TYPE_CHECKING:
    from ticketkit.domain.money import Money

DECLINES: Final = {
    "tok_chargeDeclined": "card_declined",
    "tok_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "tok_chargeDeclinedExpiredCard": "expired_card",
    "tok_chargeDeclinedIncorrectCvc": "incorrect_cvc",
    "tok_chargeDeclinedProcessingError": "processing_error",
}
"""Test tokens that are declined, with Stripe's codes (docs.stripe.com/testing, "Declined payments")."""

TAKEN: Final = {
    "tok_taken": "tok_visa",
    "tok_taken_threeDSecure": "tok_threeDSecure",
    "tok_taken_pending": "tok_pending",
}
"""Test tokens of methods that can only take money at once, each with the token that it is like in all else."""

_MESSAGES: Final = {
    "card_declined": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card.",
    "authentication_failed": "The payment was not confirmed.",
    "invalid_token": "This is not one of the test tokens.",
    "voided": "The payment was cancelled.",
    "refund_failed": "The bank did not take the money back.",
}


class Step(NamedTuple):
    """The answer to one call, and what it changed, if anything.

    Attributes:
        takes: Whether the method that the buyer chose takes money at once; None where none was chosen.
    """

    outcome: Outcome
    charge: ProviderCharge | None = None
    refund: BookedRefund | None = None
    takes: bool | None = None


def declined(code: str) -> Declined:
    """A refusal with its sentence for people."""
    return Declined(code, _MESSAGES.get(code, "The payment provider refuses this."))


def standing(charge: ProviderCharge) -> Outcome:
    """What is known of an authorization."""
    match charge.status:
        case ProviderStatus.AUTHORIZED:
            return Done(charge.reference)
        case ProviderStatus.CAPTURED:
            return Done(charge.reference, taken=True)
        case ProviderStatus.REQUIRES_ACTION:
            return ActionRequired(charge.action or {})
        case ProviderStatus.VOID:
            return declined("voided")
        case ProviderStatus.DECLINED:
            return declined(charge.code or "card_declined")
        case _:
            return Pending()


def authorize(charge: ProviderCharge, token: str | None) -> Step:
    """Hold the money or take it, decline, or wait for somebody."""
    if charge.status is not ProviderStatus.PREPARED:
        return Step(standing(charge))
    takes = token in TAKEN
    return _with(charge, TAKEN.get(token or "", token), takes=takes)._replace(takes=takes)


def revive(charge: ProviderCharge, token: str) -> Step:
    """What a buyer's browser can do with a declined payment: try it again; void for any other."""
    if charge.status is not ProviderStatus.DECLINED:
        return Step(standing(charge))
    return authorize(replace(charge, status=ProviderStatus.PREPARED, code=None), token)


def settle(charge: ProviderCharge, *, authorized: bool, code: str, takes: bool = False) -> Step:
    """What the buyer or the bank decided at last; void for what does not wait for them."""
    if charge.status not in (ProviderStatus.REQUIRES_ACTION, ProviderStatus.PENDING):
        return Step(standing(charge))
    if authorized:
        return _held(charge, takes=takes)
    return _moved(charge, ProviderStatus.DECLINED, code=code)


def capture(charge: ProviderCharge, amount: Money) -> Step:
    """Take the held money, once, and not more of it than was authorized."""
    if charge.status is ProviderStatus.CAPTURED:
        again = amount.currency == charge.amount.currency and amount.minor == charge.captured
        return Step(Done(charge.reference) if again else declined("already_captured"))
    if charge.status in (ProviderStatus.VOID, ProviderStatus.DECLINED):
        return Step(standing(charge))
    if charge.status is not ProviderStatus.AUTHORIZED:
        return Step(declined("not_authorized"))
    if amount.currency != charge.amount.currency or not 0 < amount.minor <= charge.amount.minor:
        return Step(declined("amount_not_authorized"))
    return Step(Done(charge.reference), _at(charge, ProviderStatus.CAPTURED, captured=amount.minor))


def refuse(charge: ProviderCharge, code: str) -> Step:
    """Decline for good what was asked for; an authorization is gone with it."""
    if charge.status in (ProviderStatus.CAPTURED, ProviderStatus.VOID, ProviderStatus.DECLINED):
        return Step(declined(code))
    return _moved(charge, ProviderStatus.DECLINED, code=code)


def void(charge: ProviderCharge) -> Step:
    """Let the money go, and end the payment: also a declined one, which could be tried again until now."""
    match charge.status:
        case ProviderStatus.CAPTURED:
            return Step(declined("already_captured"))
        case ProviderStatus.VOID:
            return Step(Done(charge.reference))
        case _:
            return Step(Done(charge.reference), replace(charge, status=ProviderStatus.VOID, action=None))


def refund(charge: ProviderCharge, amount: Money, *, refund_id: str, reference: str, pending: bool = False) -> Step:
    """Give captured money back, never more than was captured; what is `pending` counts as given until it fails."""
    if charge.status is not ProviderStatus.CAPTURED:
        return Step(declined("not_captured"))
    left = charge.captured - charge.refunded
    if amount.currency != charge.amount.currency or not 0 < amount.minor <= left:
        return Step(declined("refund_exceeds_capture"))
    given = BookedRefund(
        reference=reference,
        payment=charge.reference,
        refund_id=refund_id,
        amount=amount,
        status=RefundStatus.CREATED if pending else RefundStatus.COMPLETED,
    )
    outcome = Pending() if pending else Done(reference)
    return Step(outcome, replace(charge, refunded=charge.refunded + amount.minor), given)


def end_refund(charge: ProviderCharge, given: BookedRefund, *, done: bool, code: str) -> Step:
    """What became of a refund that was pending."""
    if done:
        return Step(Done(given.reference), charge, replace(given, status=RefundStatus.COMPLETED))
    kept = replace(charge, refunded=charge.refunded - given.amount.minor)
    return Step(declined(code), kept, replace(given, status=RefundStatus.FAILED))


def _with(charge: ProviderCharge, token: str | None, *, takes: bool) -> Step:
    if token == "tok_visa":  # noqa: S105 a public test token
        return _held(charge, takes=takes)
    if token == "tok_pending":  # noqa: S105
        return _moved(charge, ProviderStatus.PENDING)
    if token is None or token == "tok_threeDSecure":  # noqa: S105
        kind = "fake_form" if token is None else "fake_three_d_secure"
        return _moved(charge, ProviderStatus.REQUIRES_ACTION, action={"type": kind, "reference": charge.reference})
    return _moved(charge, ProviderStatus.DECLINED, code=DECLINES.get(token, "invalid_token"))


def _held(charge: ProviderCharge, *, takes: bool) -> Step:
    if takes:
        return _moved(charge, ProviderStatus.CAPTURED, captured=charge.amount.minor)
    return _moved(charge, ProviderStatus.AUTHORIZED)


def _moved(
    charge: ProviderCharge,
    status: ProviderStatus,
    *,
    code: str | None = None,
    action: dict[str, str] | None = None,
    captured: int = 0,
) -> Step:
    charge = _at(charge, status, code=code, action=action, captured=captured)
    return Step(standing(charge), charge)


def _at(
    charge: ProviderCharge,
    status: ProviderStatus,
    *,
    code: str | None = None,
    action: dict[str, str] | None = None,
    captured: int = 0,
) -> ProviderCharge:
    return replace(charge, status=status, code=code, action=action, captured=captured)
