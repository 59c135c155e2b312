"""Drives payments through their steps, each with ids and keys of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import anyio
import pytest

from ticketkit.backends.errors import OutcomeUnknown, Refused, Unavailable
from ticketkit.backends.payments import ActionRequired, Declined, Done, Outcome, Pending, ProviderCharge, ProviderStatus
from ticketkit.domain.money import Money
from ticketkit.ids import new_id

if TYPE_CHECKING:
    from ticketkit.backends.payments import PaymentProvider
    from ticketkit.testing.conformance.payments.stage import PaymentTarget

Call: TypeAlias = Callable[[], Awaitable[Outcome]]

PRICE: Final = 5000
PART: Final = 1000
PATIENCE: Final = 10.0
"""Seconds in which a provider that is busy, or decides later, has to come to an answer."""
LOOK: Final = 0.05
"""Seconds between two looks."""


class Standing(NamedTuple):
    """Where a payment is by the provider's books, and how much money moved."""

    status: ProviderStatus
    captured: int = 0
    refunded: int = 0


AFTER: Final = {
    "prepare": Standing(ProviderStatus.PREPARED),
    "authorize": Standing(ProviderStatus.AUTHORIZED),
    "capture": Standing(ProviderStatus.CAPTURED, captured=PRICE),
    "void": Standing(ProviderStatus.VOID),
    "refund": Standing(ProviderStatus.CAPTURED, captured=PRICE, refunded=PART),
}
"""Each operation, with what the books say after it had its effect once."""
BEFORE: Final = {
    "authorize": AFTER["prepare"],
    "capture": AFTER["authorize"],
    "void": AFTER["authorize"],
    "refund": AFTER["capture"],
}
"""What they say before it."""


async def insist(call: Call) -> Outcome:
    """Make a call, and make it again with its key while the provider is away or its answer lost."""
    with anyio.fail_after(PATIENCE):
        while True:
            try:
                return await call()
            except (Unavailable, OutcomeUnknown):
                await anyio.sleep(LOOK)


async def refuses(call: Call) -> bool:
    """Whether a call ends in a refusal for good, `Declined` or `Refused`, and nothing else."""
    try:
        return isinstance(await insist(call), Declined)
    except Refused:
        return True


async def at_once(calls: Sequence[Call]) -> list[Outcome | Refused]:
    """Make calls concurrently; returns their ends, in the order of the calls."""
    ends: dict[int, Outcome | Refused] = {}

    async def make(number: int, call: Call) -> None:
        try:
            ends[number] = await insist(call)
        except Refused as refusal:
            ends[number] = refusal

    async with anyio.create_task_group() as group:
        for number, call in enumerate(calls):
            group.start_soon(make, number, call)
    return [ends[number] for number in range(len(calls))]


class Till:
    """Takes payments with one provider.

    Args:
        provider: Open.
        target: Where its tokens are from.

    Attributes:
        price: What each payment is of.
        part: A part of it, for refunds.
    """

    def __init__(self, provider: PaymentProvider, target: PaymentTarget) -> None:
        self.provider = provider
        self.target = target
        self.price = Money(PRICE, target.currency)
        self.part = Money(PART, target.currency)
        self.other_currency = "EUR" if target.currency != "EUR" else "USD"

    def token(self, kind: str) -> str:
        """The token `action`, `pending` or `taken`; where there is none, the promise does not apply."""
        token: str | None = getattr(self.target.tokens, kind)
        if token is None:
            pytest.skip(f"no token for: {kind}")
        return token

    def prepare(self, amount: Money | None = None, *, charge_id: str | None = None) -> Call:
        """A call that prepares a payment."""
        charge_id = charge_id or new_id()
        return partial(
            self.provider.prepare,
            charge_id=charge_id,
            order_id=new_id(),
            amount=self.price if amount is None else amount,
            key=f"{charge_id}:prepare",
        )

    def authorize(self, reference: str, token: str | None = None, *, key: str | None = None) -> Call:
        """A call that holds its money, with the accepted token if none is given."""
        token = token or self.target.tokens.accepted
        return partial(self.provider.authorize, reference, token=token, key=key or f"{new_id()}:authorize")

    def capture(self, reference: str, amount: Money | None = None, *, key: str | None = None) -> Call:
        """A call that takes its money."""
        return partial(self.provider.capture, reference, amount=amount or self.price, key=key or f"{new_id()}:capture")

    def void(self, reference: str, *, key: str | None = None) -> Call:
        """A call that ends it."""
        return partial(self.provider.void, reference, key=key or f"{new_id()}:void")

    def refund(
        self, reference: str, amount: Money | None = None, *, refund_id: str | None = None, key: str | None = None
    ) -> Call:
        """A call that gives a part of its money back, or another amount."""
        refund_id = refund_id or new_id()
        return partial(
            self.provider.refund,
            reference,
            refund_id=refund_id,
            amount=amount or self.part,
            key=key or f"{refund_id}:refund",
        )

    async def prepared(self, amount: Money | None = None) -> str:
        """A payment that is prepared."""
        return await self.done(self.prepare(amount))

    async def waiting(self, kind: str) -> str:
        """A payment that waits for the buyer (`action`) or for the bank (`pending`)."""
        token = self.token(kind)
        reference = await self.prepared()
        await insist(self.authorize(reference, token))
        return reference

    async def authorized(self, amount: Money | None = None) -> str:
        """A payment whose money is held."""
        reference = await self.prepared(amount)
        assert await self.done(self.authorize(reference)) == reference, "Done names another payment"
        return reference

    async def captured(self, amount: Money | None = None) -> str:
        """A payment whose money is taken."""
        reference = await self.authorized(amount)
        assert await self.done(self.capture(reference, amount)) == reference, "Done names another payment"
        return reference

    async def taken(self) -> str:
        """A payment whose money was taken without having been held."""
        reference = await self.prepared()
        await self.agree(reference, await insist(self.authorize(reference, self.token("taken"))))
        await self.becomes(reference, ProviderStatus.CAPTURED)
        return reference

    async def agree(self, reference: str, outcome: Outcome | Refused) -> None:
        """Let the buyer or the bank agree to a payment, if the answer to its authorization says that it waits."""
        if isinstance(outcome, ActionRequired):
            await self.target.stage.act(self.provider, reference, approved=True)
        elif isinstance(outcome, Pending):
            await self.target.stage.decide(self.provider, reference, authorized=True)

    async def turned_down(self) -> str:
        """A payment that was declined."""
        reference = await self.prepared()
        await self.declined(self.authorize(reference, next(iter(self.target.tokens.declined))))
        return reference

    async def voided(self) -> str:
        """A payment whose money was held, and let go."""
        reference = await self.authorized()
        await self.done(self.void(reference))
        return reference

    async def call(self, operation: str) -> tuple[str | None, Call]:
        """A call of an operation that is to succeed, on a payment of its own; None names one that is to be prepared."""
        if operation == "prepare":
            return None, self.prepare()
        reference = await {"authorize": self.prepared, "refund": self.captured}.get(operation, self.authorized)()
        make: Callable[[str], Call] = getattr(self, operation)
        return reference, make(reference)

    async def done(self, call: Call) -> str:
        """Make a call that has to succeed; returns the reference of its answer."""
        outcome = await insist(call)
        assert isinstance(outcome, Done), f"{_named(call)} should be done, and is {outcome}"
        return outcome.reference

    async def declined(self, call: Call) -> Declined:
        """Make a call that has to be declined."""
        outcome = await insist(call)
        assert isinstance(outcome, Declined), f"{_named(call)} should be declined, and is {outcome}"
        assert outcome.code, "a Declined has a code"
        return outcome

    async def book(self, reference: str, provider: PaymentProvider | None = None) -> ProviderCharge:
        """What the provider's books say about a payment."""
        found = await (provider or self.provider).retrieve(reference)
        assert found is not None, f"the books have no payment {reference}"
        return found

    async def standing(self, reference: str, provider: PaymentProvider | None = None) -> Standing:
        """Where it is, and how much money moved."""
        found = await self.book(reference, provider)
        return Standing(found.status, found.captured, found.refunded)

    async def becomes(self, reference: str, status: ProviderStatus) -> ProviderCharge:
        """Wait until a payment is there."""
        found = await self.book(reference)
        for _ in range(int(PATIENCE / LOOK)):
            if found.status is status:
                return found
            await anyio.sleep(LOOK)
            found = await self.book(reference)
        pytest.fail(f"the payment did not become {status} within {PATIENCE} s: it is {found.status}")


def _named(call: Any) -> str:
    return f"{call.func.__name__}{call.args} {call.keywords}" if isinstance(call, partial) else str(call)
