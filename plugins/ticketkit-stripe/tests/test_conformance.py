"""Payments by Stripe keep what the conformance kit asks for, at a Stripe of our own: a simulator in a process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest
from anyio.to_thread import run_sync

from ticketkit.ids import new_id
from ticketkit.testing.conformance import PaymentConformance, PaymentTarget
from ticketkit.testing.conformance.payments import Stage, Tokens
from ticketkit_stripe.settings import API_VERSION
from ticketkit_stripe.simulator import Control, Simulator
from ticketkit_stripe.webhooks import sign

KEY, SECRET = "sk_test_conformance", "whsec_conformance"
TOKENS = Tokens(
    accepted="tok_visa",
    declined={
        "tok_chargeDeclined": "card_declined",
        "tok_chargeDeclinedInsufficientFunds": "insufficient_funds",
        "tok_chargeDeclinedExpiredCard": "expired_card",
        "tok_chargeDeclinedIncorrectCvc": "incorrect_cvc",
        "tok_chargeDeclinedProcessingError": "processing_error",
        "tok_chargeDeclinedFraudulent": "card_declined",
    },
    action="tok_threeDSecureRequired",
)
"""Stripe's own (docs.stripe.com/testing). No card's bank decides later: an authorization is answered at once."""


class StripeStage(Stage):
    """Plays buyer and bad luck by the simulator's control API, and signs as Stripe does."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def act(self, provider: Any, reference: str, *, approved: bool) -> None:
        found = await provider.retrieve(reference)
        if found.status == "requires_action":
            await run_sync(lambda: self._control.authenticate(reference, success=approved))

    async def lose_answer(self, provider: Any, operation: str) -> None:
        await run_sync(lambda: self._control.fault("lost_answer", on=operation))

    async def lose_call(self, provider: Any, operation: str) -> None:
        await run_sync(lambda: self._control.fault("lost_call", on=operation))

    def notices(self, references: Sequence[str]) -> bytes:
        (reference,) = references
        about = {"id": reference, "object": "payment_intent", "metadata": {"ticketkit_charge_id": new_id()}}
        return json.dumps(
            {
                "id": f"evt_{new_id()}",
                "object": "event",
                "api_version": API_VERSION,
                "livemode": False,
                "type": "payment_intent.succeeded",
                "data": {"object": about},
            }
        ).encode()

    def sign(self, body: bytes, *, at: datetime, forged: bool = False) -> Mapping[str, str]:
        return sign(body, "whsec_of_another" if forged else SECRET, at)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(key=KEY, secret=SECRET) as simulator:
        yield simulator


class TestStripePayments(PaymentConformance):
    @pytest.fixture
    def target(self, simulator: Simulator) -> Iterator[PaymentTarget]:
        url = f"stripe:?key={KEY}&webhook_secret={SECRET}&base={simulator.url}&rate=10000&endpoint_rate=10000"
        yield PaymentTarget(url=url, tokens=TOKENS, stage=StripeStage(simulator.control))
        simulator.control.end_faults()
        # The kit uses keys twice on purpose; what else the simulator would not take names a parameter.
        violations = [one for one in simulator.control.books().violations if one.param is not None]
        simulator.control.reset()
        assert violations == []
