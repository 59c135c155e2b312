"""The account as a pure machine: an operation and its parameters in, Stripe's object out, or a refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

from ticketkit_stripe.simulator import methods
from ticketkit_stripe.simulator.attempts import Attempts
from ticketkit_stripe.simulator.bank import Bank
from ticketkit_stripe.simulator.books import Asked, Books
from ticketkit_stripe.simulator.endpoints import Endpoint
from ticketkit_stripe.simulator.expansion import expand
from ticketkit_stripe.simulator.intents import Intents
from ticketkit_stripe.simulator.listing import events_wanted, page
from ticketkit_stripe.simulator.methods import Decline
from ticketkit_stripe.simulator.operations import Operation
from ticketkit_stripe.simulator.refunds import Refunds
from ticketkit_stripe.simulator.refusals import Refusal, missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, checked.

    Attributes:
        id: Of the object in the path.
        refuse: A bank that says no to it.
    """

    operation: Operation
    params: dict[str, Any]
    id: str = ""
    asked: Asked = field(default_factory=Asked)
    refuse: Decline | None = None


_Answers: TypeAlias = "Mapping[str, Callable[[Call], dict[str, Any]]]"


class Engine:
    """One account of Stripe, without network, clock or threads of its own.

    Args:
        now: Unix seconds.
        random: Makes ids.
        api_version: Of events.
        site: Where the bank's page is.
        endpoints: The webhook endpoints.

    Attributes:
        books: Everything it knows.
        bank: What buyers, banks and time do.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float],
        random: Random,
        api_version: str,
        site: str = "",
        endpoints: Callable[[], list[Endpoint]] = list,
    ) -> None:
        self.books = Books(now=now, random=random, api_version=api_version, site=site)
        attempts = Attempts(self.books)
        intents, refunds = Intents(self.books, attempts), Refunds(self.books)
        self.bank = Bank(self.books, intents, attempts, refunds)
        self._endpoints, self._account = endpoints, self.books.new_id("acct", 16)
        self._answers: _Answers = {
            **self._payments(intents),
            **self._given_back(refunds),
            **self._records(),
            **self._settings(),
        }

    def run(self, call: Call) -> dict[str, Any]:
        """Do one call.

        Returns:
            Stripe's object, expanded as asked for.

        Raises:
            Refusal: It is answered with an error; a 402 has had its effect.
        """
        self.books.asked = call.asked
        try:
            found = self._answers[call.operation.name](call)
        finally:
            self.books.asked = Asked()
        return expand(found, call.params.get("expand", []), self.books.look_up)

    def _payments(self, intents: Intents) -> _Answers:
        return {
            "payment_intents.create": lambda call: intents.create(call.params, refuse=call.refuse).shown(),
            "payment_intents.retrieve": lambda call: intents.retrieve(call.id, call.params).shown(),
            "payment_intents.update": lambda call: intents.update(call.id, call.params).shown(),
            "payment_intents.confirm": lambda call: intents.confirm(call.id, call.params, refuse=call.refuse).shown(),
            "payment_intents.capture": lambda call: intents.capture(call.id, call.params, refuse=call.refuse).shown(),
            "payment_intents.cancel": lambda call: intents.cancel(call.id, call.params).shown(),
            "payment_intents.list": lambda call: page(call, self.books.intents.values()),
        }

    def _given_back(self, refunds: Refunds) -> _Answers:
        return {
            "refunds.create": lambda call: refunds.create(call.params, refuse=call.refuse).shown(),
            "refunds.retrieve": lambda call: self.books.refund(call.id).shown(),
            "refunds.list": lambda call: page(
                call,
                [
                    refund
                    for refund in self.books.refunds.values()
                    if call.params.get("payment_intent", refund.intent) == refund.intent
                    and call.params.get("charge", refund.charge) == refund.charge
                ],
            ),
        }

    def _records(self) -> _Answers:
        return {
            "charges.retrieve": lambda call: self.books.charge(call.id).shown(),
            "charges.list": lambda call: page(
                call,
                [
                    charge
                    for charge in self.books.charges.values()
                    if call.params.get("payment_intent", charge.intent) == charge.intent
                ],
            ),
            "events.retrieve": lambda call: self.books.event(call.id).shown(),
            "events.list": lambda call: page(call, events_wanted(self.books.events.values(), call.params)),
            "payment_methods.create": lambda call: self.books.method(*_card(call.params)).shown(),
            "payment_methods.retrieve": lambda call: self.books.known_method(call.id).shown(),
        }

    def _settings(self) -> _Answers:
        return {
            "balance.retrieve": lambda _: self._balance(),
            "account.retrieve": lambda _: {
                "id": self._account,
                "object": "account",
                "charges_enabled": True,
                "country": "US",
                "default_currency": "usd",
                "details_submitted": True,
                "payouts_enabled": True,
                "type": "standard",
            },
            "webhook_endpoints.list": lambda call: page(call, self._endpoints()),
            "webhook_endpoints.retrieve": lambda call: self._endpoint(call.id),
        }

    def _balance(self) -> dict[str, Any]:
        sums: dict[str, int] = {}
        signs = {"capture": 1, "refund": -1, "return": 1}
        for movement in self.books.movements:
            currency = self.books.intents[movement.intent].currency
            sums[currency] = sums.get(currency, 0) + signs.get(movement.kind, 0) * movement.amount
        available = [{"amount": amount, "currency": currency} for currency, amount in (sums or {"usd": 0}).items()]
        return {"object": "balance", "available": available, "livemode": False, "pending": []}

    def _endpoint(self, id: str) -> dict[str, Any]:
        for endpoint in self._endpoints():
            if endpoint.id == id:
                return endpoint.shown()
        raise missing("webhook_endpoint", id)


def _card(params: dict[str, Any]) -> tuple[str, methods.Behaviour]:
    token = params.get("card", {}).get("token")
    if params.get("type") != methods.CARD or token is None:
        raise Refusal("The simulator makes a payment method of a card's token only.", param="card[token]")
    return token, methods.named(token, param="card[token]")
