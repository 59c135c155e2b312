"""What Stripe keeps: intents, charges, refunds, events. Amounts are in minor units, times in Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ticketkit_stripe.simulator.methods import CARD, Method

HOLD_SECONDS: Final = 7 * 24 * 3600
"""How long a card's hold lasts (docs.stripe.com/payments/place-a-hold-on-a-payment-method)."""


@dataclass(slots=True, kw_only=True)
class Intent:
    """A PaymentIntent; the names are Stripe's unless said otherwise.

    Attributes:
        automatic: `automatic_payment_methods`.
        allowed: `allowed_payment_method_types`.
        types: `payment_method_types`: what of these can be used.
        card_capture: `payment_method_options[card][capture_method]`.
        labels: Fields that are kept as given.
        method: The payment method.
        error: `last_payment_error`.
    """

    id: str
    client_secret: str
    amount: int
    currency: str
    created: int
    capture_method: str
    confirmation_method: str
    types: list[str]
    automatic: dict[str, Any] | None = None
    allowed: list[str] | None = None
    card_capture: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)
    status: str = "requires_payment_method"
    method: Method | None = None
    error: dict[str, Any] | None = None
    next_action: dict[str, Any] | None = None
    latest_charge: str | None = None
    amount_capturable: int = 0
    amount_received: int = 0
    canceled_at: int | None = None
    cancellation_reason: str | None = None

    def holds(self, method: Method) -> bool:
        """Whether a confirmation with that method holds the money, instead of taking it."""
        return self.capture_method == "manual" or (self.card_capture == "manual" and method.behaviour.holds)

    def shown(self) -> dict[str, Any]:
        """Stripe's object, a copy."""
        card: dict[str, Any] = {"installments": None, "request_three_d_secure": "automatic"}
        if self.card_capture is not None:
            card["capture_method"] = self.card_capture
        return {
            "id": self.id,
            "object": "payment_intent",
            "allowed_payment_method_types": self.allowed and list(self.allowed),
            "amount": self.amount,
            "amount_capturable": self.amount_capturable,
            "amount_details": {"tip": {}},
            "amount_received": self.amount_received,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": self.automatic and dict(self.automatic),
            "canceled_at": self.canceled_at,
            "cancellation_reason": self.cancellation_reason,
            "capture_method": self.capture_method,
            "client_secret": self.client_secret,
            "confirmation_method": self.confirmation_method,
            "created": self.created,
            "currency": self.currency,
            "customer": None,
            "last_payment_error": self.error and dict(self.error),
            "latest_charge": self.latest_charge,
            "livemode": False,
            "metadata": dict(self.metadata),
            "next_action": self.next_action and dict(self.next_action),
            "on_behalf_of": None,
            "payment_method": self.method and self.method.id,
            "payment_method_options": {"card": card} if CARD in self.types else {},
            "payment_method_types": list(self.types),
            "processing": {"type": CARD} if self.status == "processing" else None,
            "review": None,
            "setup_future_usage": None,
            "shipping": None,
            "source": None,
            "status": self.status,
            "transfer_data": None,
            **dict.fromkeys(
                (
                    "description",
                    "receipt_email",
                    "statement_descriptor",
                    "statement_descriptor_suffix",
                    "transfer_group",
                )
            ),
            **self.labels,
        }


@dataclass(slots=True, kw_only=True)
class Charge:
    """One attempt to take the money of an intent."""

    id: str
    intent: str
    amount: int
    currency: str
    created: int
    method: Method
    metadata: dict[str, str]
    status: str = "succeeded"
    captured: bool = False
    amount_captured: int = 0
    amount_refunded: int = 0
    released: bool = False
    disputed: bool = False
    failure: dict[str, Any] | None = None
    balance_transaction: str | None = None

    def shown(self) -> dict[str, Any]:
        """Stripe's object, a copy."""
        failure = self.failure or {}
        kind = self.method.behaviour.type
        details = self.method.details()
        if self.status == "succeeded" and not self.captured and kind == CARD:
            details["capture_before"] = self.created + HOLD_SECONDS
        return {
            "id": self.id,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.amount_captured,
            "amount_refunded": self.amount if self.released else self.amount_refunded,
            "balance_transaction": self.balance_transaction,
            "captured": self.captured,
            "created": self.created,
            "currency": self.currency,
            "customer": None,
            "disputed": self.disputed,
            "failure_code": failure.get("code"),
            "failure_message": failure.get("message"),
            "livemode": False,
            "metadata": dict(self.metadata),
            "outcome": self._outcome(failure),
            "paid": self.status == "succeeded",
            "payment_intent": self.intent,
            "payment_method": self.method.id,
            "payment_method_details": {"type": kind, kind: details},
            "refunded": self.released or (self.captured and self.amount_refunded == self.amount_captured),
            "status": self.status,
        }

    def _outcome(self, failure: dict[str, Any]) -> dict[str, Any]:
        if self.status != "failed":
            return {"network_status": "approved_by_network", "reason": None, "type": "authorized"}
        reason = failure.get("decline_code") or failure.get("code")
        return {"network_status": "declined_by_network", "reason": reason, "type": "issuer_declined"}


@dataclass(slots=True, kw_only=True)
class Refund:
    """Money that goes back."""

    id: str
    intent: str
    charge: str
    amount: int
    currency: str
    created: int
    metadata: dict[str, str]
    reason: str | None
    status: str
    failure_reason: str | None = None
    balance_transaction: str | None = None

    def shown(self) -> dict[str, Any]:
        """Stripe's object, a copy."""
        shown = {
            "id": self.id,
            "object": "refund",
            "amount": self.amount,
            "balance_transaction": self.balance_transaction,
            "charge": self.charge,
            "created": self.created,
            "currency": self.currency,
            "destination_details": {"card": {"type": "refund"}, "type": "card"},
            "metadata": dict(self.metadata),
            "payment_intent": self.intent,
            "reason": self.reason,
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": self.status,
            "transfer_reversal": None,
        }
        if self.failure_reason is not None:
            shown["failure_reason"] = self.failure_reason
        return shown


@dataclass(slots=True, kw_only=True)
class Event:
    """What happened, with the object as it was then.

    Attributes:
        pending: Endpoints that have not taken it yet.
    """

    id: str
    type: str
    created: int
    object: dict[str, Any]
    api_version: str
    request: dict[str, Any]
    pending: int = 0

    def shown(self) -> dict[str, Any]:
        """Stripe's object."""
        return {
            "id": self.id,
            "object": "event",
            "api_version": self.api_version,
            "created": self.created,
            "data": {"object": self.object},
            "livemode": False,
            "pending_webhooks": self.pending,
            "request": dict(self.request),
            "type": self.type,
        }
