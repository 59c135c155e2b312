"""The payment provider as charges and refunds use it: each call with its idempotency key, and within a time limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from opentelemetry.trace import SpanKind

from ticketkit.backends.errors import OutcomeUnknown
from ticketkit.domain.errors import TicketkitError
from ticketkit.services.tracing import Tracing
from ticketkit.services.waiting import within

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ticketkit.backends.clock import Clock
    from ticketkit.backends.payments import Outcome, PaymentProvider, ProviderCharge
    from ticketkit.domain.entities import Charge, Refund

T = TypeVar("T")

CALL_LIMIT: Final = 60.0
"""Seconds after which a call is given up, its outcome unknown; a provider's own limits are shorter."""


class OtherProvider(TicketkitError):
    """A charge was begun with another payment provider than the one that is here."""


class Till:
    """Calls the provider. Every call may raise `Unavailable` and `OutcomeUnknown`.

    Args:
        provider: Moves the money.
        clock: For the time limit.
        limit: Seconds that a call may take.
        tracing: A span of each call.
    """

    def __init__(
        self, provider: PaymentProvider, clock: Clock, *, limit: float = CALL_LIMIT, tracing: Tracing | None = None
    ) -> None:
        self.provider, self.clock = provider, clock
        self._limit, self._tracing = limit, tracing or Tracing()

    def check(self, charge: Charge) -> None:
        """Check that a charge is this provider's.

        Raises:
            OtherProvider: It is not.
        """
        if charge.provider != self.provider.name:
            msg = (
                f"It was begun with the payment provider {charge.provider}, and this process has {self.provider.name}."
            )
            raise OtherProvider(msg)

    async def prepare(self, charge: Charge) -> Outcome:
        """Have the provider's object made."""
        key = f"{charge.id}:prepare"
        call = self.provider.prepare(charge_id=charge.id, order_id=charge.order_id, amount=charge.amount, key=key)
        return await self._within("prepare", call, charge.id)

    async def authorize(self, charge: Charge, reference: str) -> Outcome:
        """Have the money held."""
        call = self.provider.authorize(reference, token=charge.token, key=f"{charge.id}:authorize")
        return await self._within("authorize", call, charge.id)

    async def capture(self, charge: Charge, reference: str) -> Outcome:
        """Have the money taken."""
        call = self.provider.capture(reference, amount=charge.amount, key=f"{charge.id}:capture")
        return await self._within("capture", call, charge.id)

    async def void(self, charge: Charge, reference: str) -> Outcome:
        """Have the money let go."""
        return await self._within("void", self.provider.void(reference, key=f"{charge.id}:void"), charge.id)

    async def refund(self, refund: Refund, reference: str) -> Outcome:
        """Have money given back."""
        call = self.provider.refund(reference, refund_id=refund.id, amount=refund.amount, key=f"{refund.id}:refund")
        return await self._within("refund", call, refund.charge_id)

    async def books(self, reference: str) -> ProviderCharge | None:
        """What the provider's books say of a payment."""
        return await self._within("retrieve", self.provider.retrieve(reference))

    async def _within(self, what: str, call: Awaitable[T], charge_id: str = "") -> T:
        about = {"ticketkit.provider": self.provider.name, "ticketkit.charge_id": charge_id}
        with self._tracing.span(f"{what} {self.provider.name}", kind=SpanKind.CLIENT, attributes=about):
            try:
                return await within(self.clock, self._limit, call)
            except TimeoutError:
                msg = f"The payment provider did not answer within {self._limit:.0f} s."
                raise OutcomeUnknown(msg) from None
