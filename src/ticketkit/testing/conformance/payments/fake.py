"""The test side of `ticketkit.memory.FakePayments`: an example of a stage, and what the fake passes the kit with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from ticketkit.ids import new_id
from ticketkit.memory import _webhooks
from ticketkit.memory._payment_rules import DECLINES
from ticketkit.memory.payments import DEVELOPMENT_SECRET
from ticketkit.testing.conformance.payments.stage import Stage, Tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ticketkit.memory.payments import FakePayments

FAKE_TOKENS: Final = Tokens(
    accepted="tok_visa", declined=DECLINES, action="tok_threeDSecure", pending="tok_pending", taken="tok_taken"
)
"""The test tokens of the fake provider: Stripe's (docs.stripe.com/testing), `tok_pending` and `tok_taken`."""


class FakeStage(Stage):
    """Acts and decides by the fake's methods, loses what its `Faults` lose, signs with its secret.

    Args:
        secret: Of the provider's webhooks.
    """

    def __init__(self, *, secret: str = DEVELOPMENT_SECRET) -> None:
        self._secret = secret

    async def act(self, provider: FakePayments, reference: str, *, approved: bool) -> None:
        await provider.confirm_action(reference, approved=approved)

    async def decide(self, provider: FakePayments, reference: str, *, authorized: bool) -> None:
        await provider.resolve(reference, authorized=authorized)

    async def revive(self, provider: FakePayments, reference: str) -> None:
        await provider.revive(reference)

    async def delay_refund(self, provider: FakePayments) -> None:
        provider.faults.delay_refunds()

    async def end_refund(self, provider: FakePayments, refund_id: str, *, done: bool) -> None:
        await provider.resolve_refund(refund_id, done=done)

    async def lose_answer(self, provider: FakePayments, operation: str) -> None:
        provider.faults.time_out_after_effect(operation)

    async def lose_call(self, provider: FakePayments, operation: str) -> None:
        provider.faults.unavailable(times=1)

    def notices(self, references: Sequence[str]) -> bytes:
        (reference,) = references
        return json.dumps(_notice(reference)).encode()

    def notice(self, reference: str, *, charge_id: str) -> bytes:
        return json.dumps(_notice(reference) | {"charge_id": charge_id}).encode()

    def sign(self, body: bytes, *, at: datetime, forged: bool = False) -> Mapping[str, str]:
        secret = f"not {self._secret}" if forged else self._secret
        return _webhooks.sign(body, secret=secret, now=at)


def _notice(reference: str) -> dict[str, str]:
    return {"id": f"fake_evt_{new_id()}", "what": "payment.captured", "reference": reference}
