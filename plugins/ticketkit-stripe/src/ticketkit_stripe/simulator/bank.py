"""What happens without a call of the API: the buyer in the browser, the bank, and time."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from ticketkit_stripe.simulator.attempts import Attempts
from ticketkit_stripe.simulator.books import Books
from ticketkit_stripe.simulator.intents import CANCELABLE, Intents
from ticketkit_stripe.simulator.methods import Decline
from ticketkit_stripe.simulator.objects import HOLD_SECONDS, Intent, Refund
from ticketkit_stripe.simulator.refunds import Refunds
from ticketkit_stripe.simulator.refusals import Refusal, missing, unexpected_state


class Bank:
    """Buyers, the bank and time."""

    def __init__(self, books: Books, intents: Intents, attempts: Attempts, refunds: Refunds) -> None:
        self._books, self._intents, self._attempts, self._refunds = books, intents, attempts, refunds

    def confirm(self, client_secret: str, payment_method: str, *, return_url: str) -> Intent:
        """The buyer confirms in the browser, with nothing but the client's secret.

        Returns:
            The intent afterwards; when the bank said no, the error is on it.

        Raises:
            Refusal: There is no such secret, or the intent can't be confirmed now.
        """
        intent = self._by_secret(client_secret)
        if intent.confirmation_method == "manual":
            raise Refusal(f"{intent.id} is confirmed by the server.", code="payment_intent_unexpected_state")
        how = "payment_method_data" if payment_method.startswith("tok_") else "payment_method"
        given: Any = payment_method
        if how == "payment_method_data":
            given = {"type": "card", "card": {"token": payment_method}}
        params = {how: given, "return_url": return_url, "use_stripe_sdk": True}
        return self._after(intent.id, lambda: self._intents.confirm(intent.id, params))

    def authenticate(self, id: str, *, success: bool) -> Intent:
        """The buyer ends the action at the bank: 3-D Secure, or the bank's page.

        Raises:
            Refusal: No action is open.
        """
        intent = self._in(id, "requires_action")
        return self._after(id, lambda: self._attempts.authenticated(intent, success=success))

    def decide(self, id: str, *, success: bool) -> Intent:
        """The bank ends what is `processing`.

        Raises:
            Refusal: Nothing is processing.
        """
        intent = self._in(id, "processing")
        refuse = None if success else Decline("card_declined", "generic_decline")
        return self._after(id, lambda: self._attempts.decide(intent, refuse=refuse))

    def expire(self, id: str) -> Intent:
        """The hold runs out: the money is released and the intent canceled.

        Raises:
            Refusal: Nothing is held.
        """
        intent = self._in(id, "requires_capture")
        charge = self._books.charge(intent.latest_charge or "")
        self._books.happened("charge.expired", charge)
        self._intents.end(intent, "automatic")
        return intent

    def give_up(self, id: str) -> Intent:
        """Stripe cancels an intent on its own, as it does with one that is left lying.

        Raises:
            Refusal: It may not be canceled.
        """
        intent = self._in(id, *CANCELABLE)
        self._intents.end(intent, "automatic")
        return intent

    def settle(self, id: str, *, success: bool) -> Refund:
        """The bank has done with a refund.

        Raises:
            Refusal: It had done with it before.
        """
        return self._refunds.settle(id, success=success)

    def sweep(self) -> list[str]:
        """Expire the holds whose time is over.

        Returns:
            The ids of their intents.
        """
        over = [
            intent.id
            for intent in self._books.intents.values()
            if intent.status == "requires_capture"
            and self._books.charge(intent.latest_charge or "").created + HOLD_SECONDS <= self._books.at()
        ]
        return [self.expire(id).id for id in over]

    def _after(self, id: str, act: Callable[[], object]) -> Intent:
        try:
            act()
        except Refusal as refusal:
            # Nobody waits for this answer: what the bank said is on the intent.
            if refusal.status != HTTPStatus.PAYMENT_REQUIRED:
                raise
        return self._books.intent(id)

    def _in(self, id: str, *states: str) -> Intent:
        intent = self._books.intent(id)
        if intent.status not in states:
            raise unexpected_state(intent.shown(), "do that with", states)
        return intent

    def _by_secret(self, client_secret: str) -> Intent:
        intent = self._books.intents.get(client_secret.split("_secret_", maxsplit=1)[0])
        if intent is None or intent.client_secret != client_secret:
            raise missing("payment_intent", client_secret, param="client_secret")
        return intent
