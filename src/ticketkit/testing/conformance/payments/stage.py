"""What the conformance kit needs of a provider's test side: tokens, and hands behind the scenes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pytest

from ticketkit.testing.conformance.target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Test tokens of a provider, as its buyer's form would give them.

    Attributes:
        accepted: Its money is held at once.
        declined: Tokens that are declined, at least one, each with the code of its `Declined`.
        action: The buyer has to act first; None where there is none, or no buyer ever has to.
        pending: The bank decides later; None where there is none, or the bank always decides at once.
        taken: Its money can't be held, only taken, at once or when buyer or bank have agreed; None where there is none.
    """

    accepted: str
    declined: Mapping[str, str]
    action: str | None = None
    pending: str | None = None
    taken: str | None = None


class Stage:
    """What only the test side of a provider can do. Override what yours can; the promises that need more do not apply.

    Attributes:
        batch: Most notices that the provider puts into one webhook.
    """

    batch: ClassVar[int] = 1

    async def act(self, provider: Any, reference: str, *, approved: bool) -> None:
        """Do what the buyer does with a payment that requires action: approve, or refuse."""
        _absent("the buyer's action")

    async def decide(self, provider: Any, reference: str, *, authorized: bool) -> None:
        """Do what the bank does with a pending payment: authorize, or decline."""
        _absent("the bank's decision")

    async def revive(self, provider: Any, reference: str) -> None:
        """Do what the buyer's browser can do with a declined payment: try again, with what is accepted.

        After a void it has no effect. Leave it out where a payment that is declined is over.
        """
        _absent("trying a declined payment again")

    async def delay_refund(self, provider: Any) -> None:
        """Let the next refund be pending."""
        _absent("a refund that is pending")

    async def end_refund(self, provider: Any, refund_id: str, *, done: bool) -> None:
        """Do what the bank does with a pending refund: give the money back, or fail."""
        _absent("a refund that is pending")

    async def lose_answer(self, provider: Any, operation: str) -> None:
        """Let the next call of an operation (`capture`) have its effect, and its answer be lost."""
        _absent("losing an answer")

    async def lose_call(self, provider: Any, operation: str) -> None:
        """Let the next call of an operation (`capture`) never arrive."""
        _absent("losing a call")

    def notices(self, references: Sequence[str]) -> bytes:
        """The body of a webhook, with fresh ids: something happened to each of these payments, in this order."""
        _absent("webhooks")

    def notice(self, reference: str, *, charge_id: str) -> bytes:
        """The body of a webhook about one payment that says for which charge this was prepared."""
        _absent("webhooks that name their charge")

    def sign(self, body: bytes, *, at: datetime, forged: bool = False) -> Mapping[str, str]:
        """The headers that the provider sends with a body.

        Args:
            body: Raw.
            at: When it signs.
            forged: With a secret that is not the provider's.
        """
        _absent("webhooks")


def _absent(what: str) -> NoReturn:
    pytest.skip(f"no stage for: {what}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentTarget(Target):
    """A payment provider to be tested. What the fixture `target` of a `PaymentConformance` returns.

    Attributes:
        tokens: Test tokens of the provider.
        stage: What only the provider's test side can do.
        currency: What the payments of the tests are in.
    """

    tokens: Tokens
    stage: Stage = field(default_factory=Stage)
    currency: str = "USD"
