"""What a confirmation leads to: the money is held or taken, the bank says no, asks the buyer, or takes its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ticketkit_stripe.simulator.books import Books
from ticketkit_stripe.simulator.methods import CARD, Decline, Method
from ticketkit_stripe.simulator.objects import Charge, Intent
from ticketkit_stripe.simulator.refusals import Refusal

_NOT_AUTHENTICATED: Final = Decline("payment_intent_authentication_failure")
_AUTHENTICATION: Final = Decline("authentication_required", "authentication_required")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a confirmation is to be done; the names are Stripe's.

    Attributes:
        method: The payment method to try.
        refuse: The bank says no, whatever the payment method.
    """

    method: Method
    return_url: str | None = None
    off_session: bool = False
    error_on_requires_action: bool = False
    use_stripe_sdk: bool = False
    refuse: Decline | None = None


class Attempts:
    """Tries to take the money of intents."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def begin(self, intent: Intent, terms: Terms) -> None:
        """Confirm an intent that may be confirmed.

        Raises:
            Refusal: 402: the bank says no. The intent `requires_payment_method` again, with the error on it.
        """
        intent.method, intent.error, intent.next_action = terms.method, None, None
        behaviour = terms.method.behaviour
        if terms.refuse is not None:
            raise self.fail(intent, terms.refuse)
        if behaviour.authenticates and (terms.off_session or terms.error_on_requires_action):
            raise self.fail(intent, _AUTHENTICATION)
        if behaviour.authenticates:
            self._ask(intent, terms)
        elif behaviour.waits:
            self._wait(intent)
        else:
            self.decide(intent)

    def authenticated(self, intent: Intent, *, success: bool) -> None:
        """The buyer came back from the bank's page.

        Raises:
            Refusal: 402: the buyer failed there, or the bank says no after all.
        """
        intent.next_action = None
        if not success:
            raise self.fail(intent, _NOT_AUTHENTICATED)
        if intent.method is not None and intent.method.behaviour.waits:
            self._wait(intent)
        else:
            self.decide(intent)

    def decide(self, intent: Intent, *, refuse: Decline | None = None) -> None:
        """The bank decides.

        Raises:
            Refusal: 402: it says no.
        """
        method = _method(intent)
        no = refuse or method.behaviour.decline
        if no is not None:
            raise self.fail(intent, no)
        charge = self._charge(intent, method)
        charge.status = "succeeded"
        if intent.holds(method):
            self._hold(intent, charge)
        else:
            self._take(intent, charge)
        if method.behaviour.disputed:
            charge.disputed = True
            self._books.happened("charge.updated", charge)

    def fail(self, intent: Intent, decline: Decline, *, charge: Charge | None = None) -> Refusal:
        """The bank said no: the intent waits for another payment method.

        Returns:
            The error to answer with.
        """
        method = _method(intent)
        charge = charge or self._charge(intent, method)
        error: dict[str, Any] = {
            "charge": charge.id,
            "code": decline.code,
            "decline_code": decline.reason,
            "message": f"The bank refuses: {decline.reason or decline.code}.",
            "payment_method": method.shown(),
            "type": "card_error" if method.behaviour.type == CARD else "invalid_request_error",
        }
        charge.status, charge.failure = "failed", error
        intent.error = {name: value for name, value in error.items() if value is not None}
        intent.status, intent.method, intent.next_action = "requires_payment_method", None, None
        self._books.happened("charge.failed", charge)
        self._books.happened("payment_intent.payment_failed", intent)
        more = {name: error[name] for name in ("charge", "decline_code", "payment_method")}
        return Refusal(
            error["message"],
            status=402,
            kind="card_error",
            code=decline.code,
            more={**more, "payment_intent": intent.shown()},
        )

    def capture(self, intent: Intent, charge: Charge, amount: int) -> None:
        """Take so much of what is held; the rest is released."""
        charge.captured, charge.amount_captured = True, amount
        charge.balance_transaction = self._books.move("capture", intent.id, amount)
        if amount < charge.amount:
            self._books.move("release", intent.id, charge.amount - amount)
        intent.status, intent.amount_received, intent.amount_capturable = "succeeded", amount, 0
        self._books.happened("charge.captured", charge)
        self._books.happened("payment_intent.succeeded", intent)

    def release(self, intent: Intent) -> None:
        """Let go of what is held, if anything is."""
        if intent.status == "requires_capture" and intent.latest_charge is not None:
            charge = self._books.charge(intent.latest_charge)
            charge.released = True
            self._books.move("release", intent.id, charge.amount)
            self._books.happened("charge.refunded", charge)
        intent.amount_capturable = 0

    def _ask(self, intent: Intent, terms: Terms) -> None:
        intent.status = "requires_action"
        page = f"{self._books.site}/_simulator/bank/{intent.id}"
        if terms.return_url is None or terms.use_stripe_sdk:
            intent.next_action = {
                "type": "use_stripe_sdk",
                "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": page},
            }
        else:
            intent.next_action = {
                "type": "redirect_to_url",
                "redirect_to_url": {"return_url": terms.return_url, "url": page},
            }
        self._books.happened("payment_intent.requires_action", intent)

    def _wait(self, intent: Intent) -> None:
        method = _method(intent)
        intent.status = "processing"
        if method.behaviour.type != CARD:
            charge = self._charge(intent, method)
            charge.status = "pending"
            self._books.happened("charge.pending", charge)
        self._books.happened("payment_intent.processing", intent)

    def _hold(self, intent: Intent, charge: Charge) -> None:
        intent.status, intent.amount_capturable = "requires_capture", intent.amount
        self._books.move("hold", intent.id, intent.amount)
        self._books.happened("charge.succeeded", charge)
        self._books.happened("payment_intent.amount_capturable_updated", intent)

    def _take(self, intent: Intent, charge: Charge) -> None:
        intent.status, intent.amount_received = "succeeded", intent.amount
        charge.captured, charge.amount_captured = True, intent.amount
        transaction = self._books.move("capture", intent.id, intent.amount)
        later = intent.capture_method == "automatic_async"
        charge.balance_transaction = None if later else transaction
        self._books.happened("charge.succeeded", charge)
        self._books.happened("payment_intent.succeeded", intent)
        if later:
            # The balance comes after the answer (docs.stripe.com/payments/payment-intents/asynchronous-capture).
            charge.balance_transaction = transaction
            self._books.happened("charge.updated", charge)

    def _charge(self, intent: Intent, method: Method) -> Charge:
        """The charge of this attempt: the one that has been pending, or a new one."""
        if intent.latest_charge is not None:
            last = self._books.charge(intent.latest_charge)
            if last.status == "pending":
                return last
        charge = Charge(
            id=self._books.new_id("ch"),
            intent=intent.id,
            amount=intent.amount,
            currency=intent.currency,
            created=self._books.at(),
            method=method,
            metadata=dict(intent.metadata),
        )
        self._books.charges[charge.id] = charge
        intent.latest_charge = charge.id
        return charge


def _method(intent: Intent) -> Method:
    if intent.method is None:  # pragma: no cover - every way here has set one
        raise AssertionError(f"{intent.id} has no payment method")
    return intent.method
