"""Payment providers with one planted bug each: declined payments and refunds that do not end as they should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import anyio.lowlevel
from tests.planted.payments_plugin import PaymentsPlugin

from ticketkit.backends.payments import Declined, Done, Outcome, Pending, ProviderCharge, ProviderStatus
from ticketkit.domain.entities import RefundStatus
from ticketkit.memory import FakePayments
from ticketkit.memory import _payment_rules as rules
from ticketkit.memory._payment_rules import Step
from ticketkit.memory.books import Request
from ticketkit.memory.faults import Operation


class VoidOfDeclinedIsDeclined(FakePayments):
    """What was declined is thought to be over, and its void is declined."""

    async def void(self, reference: str, *, key: str) -> Outcome:
        def step(charge: ProviderCharge) -> Step:
            over = charge.status is ProviderStatus.DECLINED
            return Step(Declined("already_declined")) if over else rules.void(charge)

        return await self._change(Operation.VOID, key, reference, [], step)


class VoidOfDeclinedDoesNothing(FakePayments):
    """The same, but it is told as done: nothing happens, and the buyer can try again."""

    async def void(self, reference: str, *, key: str) -> Outcome:
        def step(charge: ProviderCharge) -> Step:
            over = charge.status is ProviderStatus.DECLINED
            return Step(Done(reference)) if over else rules.void(charge)

        return await self._change(Operation.VOID, key, reference, [], step)


class DeclinedForEver(FakePayments):
    """Once a payment was declined, the books say so whatever the buyer does with it."""

    async def retrieve(self, reference: str) -> ProviderCharge | None:
        found = await super().retrieve(reference)
        if found is not None and found.status is ProviderStatus.DECLINED:
            self.__dict__.setdefault("_declined", {})[reference] = found
        known: ProviderCharge | None = self.__dict__.get("_declined", {}).get(reference)
        return known or found

    async def authorize(self, reference: str, *, token: str | None, key: str) -> Outcome:
        outcome = await super().authorize(reference, token=token, key=key)
        await self.retrieve(reference)
        return outcome


class VoidRacesAnotherTry(FakePayments):
    """Whether there is anything to void is looked up before, and the buyer can try again in between."""

    async def void(self, reference: str, *, key: str) -> Outcome:
        seen = self._books.charges.get(reference)
        if seen is None or seen.status is not ProviderStatus.DECLINED:
            return await super().void(reference, key=key)
        await anyio.lowlevel.checkpoint()

        def step(charge: ProviderCharge) -> Step:
            return Step(Done(reference)) if charge.status is ProviderStatus.AUTHORIZED else rules.void(charge)

        return await self._change(Operation.VOID, key, reference, [], step)


class PendingRefundStays(FakePayments):
    """The first answer to a key is repeated for ever, also when it was that nothing is decided."""

    async def _call(self, operation: Operation, key: str, parameters: Request, step: Callable[[], Step]) -> Outcome:
        outcome = await super()._call(operation, key, parameters, step)
        first: Outcome = self.__dict__.setdefault("_first", {}).setdefault(key, outcome)
        return first


class PendingRefundDoesNotCount(FakePayments):
    """What is pending does not count, and more can be given back beside it."""

    async def _call(self, operation: Operation, key: str, parameters: Request, step: Callable[[], Step]) -> Outcome:
        outcome = await super()._call(operation, key, parameters, step)
        if operation is Operation.REFUND and outcome == Pending():
            self._books.charges[str(parameters[0])] = replace(self._books.charges[str(parameters[0])], refunded=0)
        return outcome


class FailedRefundIsDone(FakePayments):
    """A refund that the bank failed is told as done."""

    async def resolve_refund(self, refund_id: str, *, done: bool = True, code: str = "refund_failed") -> Outcome:
        return await super().resolve_refund(refund_id, done=True, code=code)


class FailedRefundStaysCounted(FakePayments):
    """What a failed refund was to give back can't be given back by another one."""

    async def resolve_refund(self, refund_id: str, *, done: bool = True, code: str = "refund_failed") -> Outcome:
        (given,) = (refund for refund in self._books.refunds.values() if refund.refund_id == refund_id)
        before = self._books.charges[given.payment]
        outcome = await super().resolve_refund(refund_id, done=done, code=code)
        if self._books.refunds[given.reference].status is RefundStatus.FAILED:
            self._books.charges[given.payment] = before
        return outcome


VOID_OF_DECLINED_IS_DECLINED = PaymentsPlugin("planted-void-of-declined-is-declined", VoidOfDeclinedIsDeclined)
VOID_OF_DECLINED_DOES_NOTHING = PaymentsPlugin("planted-void-of-declined-does-nothing", VoidOfDeclinedDoesNothing)
DECLINED_FOR_EVER = PaymentsPlugin("planted-declined-for-ever", DeclinedForEver)
VOID_RACES_ANOTHER_TRY = PaymentsPlugin("planted-void-races-another-try", VoidRacesAnotherTry)
PENDING_REFUND_STAYS = PaymentsPlugin("planted-pending-refund-stays", PendingRefundStays)
PENDING_REFUND_DOES_NOT_COUNT = PaymentsPlugin("planted-pending-refund-does-not-count", PendingRefundDoesNotCount)
FAILED_REFUND_IS_DONE = PaymentsPlugin("planted-failed-refund-is-done", FailedRefundIsDone)
FAILED_REFUND_STAYS_COUNTED = PaymentsPlugin("planted-failed-refund-stays-counted", FailedRefundStaysCounted)
