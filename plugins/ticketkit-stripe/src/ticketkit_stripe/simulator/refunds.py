"""Refunds: never more than was captured (docs.stripe.com/api/refunds)."""

from __future__ import annotations

from typing import Any, Final

from ticketkit_stripe.simulator.books import Books
from ticketkit_stripe.simulator.labels import merged_metadata
from ticketkit_stripe.simulator.methods import Decline
from ticketkit_stripe.simulator.objects import Charge, Refund
from ticketkit_stripe.simulator.refusals import Refusal

_EXPIRED: Final = "expired_or_canceled_card"


class Refunds:
    """The calls under `/v1/refunds`, and what the bank does with refunds afterwards."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def create(self, params: dict[str, Any], *, refuse: Decline | None = None) -> Refund:
        """Give money back.

        Raises:
            Refusal: Nothing was captured, it is all given back already, or not so much is left.
        """
        charge = self._charge(params)
        left = charge.amount_captured - charge.amount_refunded
        if refuse is not None:
            raise Refusal(f"{charge.id} can't be refunded.", code=refuse.code, param="charge")
        if charge.status != "succeeded" or not charge.captured:
            raise Refusal(f"{charge.id} has not been captured.", code="charge_not_refundable", param="charge")
        if left == 0:
            raise Refusal(f"{charge.id} is refunded already.", code="charge_already_refunded")
        amount = params.get("amount", left)
        if not 0 < amount <= left:
            # Stripe names the parameter here, and has no code for it.
            raise Refusal(f"{left} of {charge.id} can be refunded, not {amount}.", param="amount")
        return self._give(charge, amount, params)

    def settle(self, id: str, *, success: bool) -> Refund:
        """The bank has done with it: it succeeded, or failed, perhaps after it had succeeded.

        Raises:
            Refusal: It has failed already, or succeeded and is to succeed again.
        """
        refund = self._books.refund(id)
        if refund.status == "failed" or (success and refund.status == "succeeded"):
            raise Refusal(f"{id} is {refund.status}.", code="refund_unexpected_state")
        if success:
            self._succeed(refund)
        else:
            self._fail(refund)
        return refund

    def _charge(self, params: dict[str, Any]) -> Charge:
        if ("charge" in params) == ("payment_intent" in params):
            raise Refusal("Give charge or payment_intent.", code="parameter_missing", param="payment_intent")
        if "charge" in params:
            return self._books.charge(params["charge"], param="charge")
        intent = self._books.intent(params["payment_intent"], param="payment_intent")
        if intent.latest_charge is None:
            raise Refusal(f"{intent.id} has no charge to refund.", code="charge_not_refundable", param="payment_intent")
        return self._books.charge(intent.latest_charge)

    def _give(self, charge: Charge, amount: int, params: dict[str, Any]) -> Refund:
        refund = Refund(
            id=self._books.new_id("re"),
            intent=charge.intent,
            charge=charge.id,
            amount=amount,
            currency=charge.currency,
            created=self._books.at(),
            metadata=merged_metadata({}, params.get("metadata", {})),
            reason=params.get("reason"),
            status="pending",
        )
        self._books.refunds[refund.id] = refund
        charge.amount_refunded += amount
        waits = charge.method.behaviour.refund == "pending"
        if not waits:
            refund.status = "succeeded"
            refund.balance_transaction = self._books.move("refund", charge.intent, amount)
        self._books.happened("refund.created", refund)
        self._books.happened("charge.refunded", charge)
        return refund

    def _succeed(self, refund: Refund) -> None:
        refund.status = "succeeded"
        refund.balance_transaction = self._books.move("refund", refund.intent, refund.amount)
        self._updated(refund)

    def _fail(self, refund: Refund) -> None:
        if refund.status == "succeeded":
            self._books.move("return", refund.intent, refund.amount)
        refund.status, refund.failure_reason = "failed", _EXPIRED
        self._books.charge(refund.charge).amount_refunded -= refund.amount
        self._updated(refund)
        self._books.happened("refund.failed", refund)

    def _updated(self, refund: Refund) -> None:
        self._books.happened("refund.updated", refund)
        self._books.happened("charge.refund.updated", refund)
