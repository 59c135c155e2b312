"""Payment providers with one planted bug each: money that moves when it must not, and books that do not say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import anyio.lowlevel
from tests.planted.payments_plugin import PaymentsPlugin

from ticketkit.backends.payments import Done, Outcome, Pending, ProviderCharge, ProviderStatus
from ticketkit.domain.money import Money
from ticketkit.memory import FakePayments
from ticketkit.memory import _payment_rules as rules
from ticketkit.memory._payment_rules import Step
from ticketkit.memory.books import BookedRefund, Request
from ticketkit.memory.faults import Operation


class RefundAboveCapture(FakePayments):
    """What was given back before is not counted."""

    async def refund(self, reference: str, *, refund_id: str, amount: Money, key: str) -> Outcome:
        def step(charge: ProviderCharge) -> Step:
            given = rules.refund(replace(charge, refunded=0), amount, refund_id=refund_id, reference=self._new_id())
            if given.charge is None:
                return given
            return given._replace(charge=replace(charge, refunded=charge.refunded + amount.minor))

        return await self._change(Operation.REFUND, key, reference, [refund_id, amount.minor, amount.currency], step)


class RefundsRace(FakePayments):
    """What is left is looked up before, and others refund in between."""

    async def refund(self, reference: str, *, refund_id: str, amount: Money, key: str) -> Outcome:
        seen = self._books.charges.get(reference)
        await anyio.lowlevel.checkpoint()

        def step(charge: ProviderCharge) -> Step:
            given = rules.refund(seen or charge, amount, refund_id=refund_id, reference=self._new_id())
            if given.refund is None:
                return given
            return given._replace(charge=replace(charge, refunded=charge.refunded + amount.minor))

        return await self._change(Operation.REFUND, key, reference, [refund_id, amount.minor, amount.currency], step)


class RefundOfAuthorized(FakePayments):
    """Money that was never taken is given back."""

    async def refund(self, reference: str, *, refund_id: str, amount: Money, key: str) -> Outcome:
        def step(charge: ProviderCharge) -> Step:
            if charge.status is not ProviderStatus.AUTHORIZED:
                return rules.refund(charge, amount, refund_id=refund_id, reference=self._new_id())
            booked = BookedRefund(reference=self._new_id(), payment=reference, refund_id=refund_id, amount=amount)
            return Step(Done(booked.reference), replace(charge, refunded=amount.minor), booked)

        return await self._change(Operation.REFUND, key, reference, [refund_id, amount.minor, amount.currency], step)


class CaptureAboveAuthorization(FakePayments):
    """Any amount is taken of what is held."""

    async def capture(self, reference: str, *, amount: Money, key: str) -> Outcome:
        def step(charge: ProviderCharge) -> Step:
            return (
                rules.capture(replace(charge, amount=amount), amount) if amount.minor else rules.capture(charge, amount)
            )

        return await self._change(Operation.CAPTURE, key, reference, [amount.minor, amount.currency], step)


class CurrencyIgnored(FakePayments):
    """A capture is of minor units, of whatever currency."""

    async def capture(self, reference: str, *, amount: Money, key: str) -> Outcome:
        def step(charge: ProviderCharge) -> Step:
            return rules.capture(charge, Money(amount.minor, charge.amount.currency))

        return await self._change(Operation.CAPTURE, key, reference, [amount.minor, amount.currency], step)


class CaptureTwice(FakePayments):
    """Each capture takes money once more."""

    async def capture(self, reference: str, *, amount: Money, key: str) -> Outcome:
        def step(charge: ProviderCharge) -> Step:
            taken = rules.capture(replace(charge, status=ProviderStatus.AUTHORIZED), amount)
            if charge.status is not ProviderStatus.CAPTURED or taken.charge is None:
                return rules.capture(charge, amount)
            return taken._replace(charge=replace(charge, captured=charge.captured + amount.minor))

        return await self._change(Operation.CAPTURE, key, reference, [amount.minor, amount.currency], step)


class AuthorizedAfterVoid(FakePayments):
    """A void lets the money go, and does not end the payment."""

    async def authorize(self, reference: str, *, token: str | None, key: str) -> Outcome:
        def step(charge: ProviderCharge) -> Step:
            if charge.status is ProviderStatus.VOID:
                charge = replace(charge, status=ProviderStatus.PREPARED)
            return rules.authorize(charge, token)

        return await self._change(Operation.AUTHORIZE, key, reference, [token], step)


class VoidOfCapturedIsDone(FakePayments):
    """A void of a captured payment does nothing, and says that it is done."""

    async def void(self, reference: str, *, key: str) -> Outcome:
        def step(charge: ProviderCharge) -> Step:
            return Step(Done(reference)) if charge.status is ProviderStatus.CAPTURED else rules.void(charge)

        return await self._change(Operation.VOID, key, reference, [], step)


class VoidRacesCapture(FakePayments):
    """Whether it may be voided is looked up before, and a capture can come in between."""

    async def void(self, reference: str, *, key: str) -> Outcome:
        seen = self._books.charges.get(reference)
        await anyio.lowlevel.checkpoint()
        return await self._change(Operation.VOID, key, reference, [], lambda charge: rules.void(seen or charge))


class StaleBooks(FakePayments):
    """`retrieve` shows a payment as it was when it was first asked for."""

    async def retrieve(self, reference: str) -> ProviderCharge | None:
        if not hasattr(self, "_seen"):
            self._seen: dict[str, ProviderCharge] = {}
        found = await super().retrieve(reference)
        return None if found is None else self._seen.setdefault(reference, found)


class PendingIsDone(FakePayments):
    """What the bank has not decided yet is told as success."""

    async def authorize(self, reference: str, *, token: str | None, key: str) -> Outcome:
        outcome = await super().authorize(reference, token=token, key=key)
        return Done(reference) if isinstance(outcome, Pending) else outcome


class ApprovedAfterVoid(FakePayments):
    """A buyer who approves brings a voided payment back."""

    async def confirm_action(self, reference: str, *, approved: bool = True) -> Outcome:
        charge = self._books.charges[reference]
        if charge.status is ProviderStatus.VOID:
            self._books.charges[reference] = replace(charge, status=ProviderStatus.AUTHORIZED)
        return await super().confirm_action(reference, approved=approved)


class UndeclaredError(FakePayments):
    """A payment that it does not know is a KeyError."""

    async def _change(
        self,
        operation: Operation,
        key: str,
        reference: str,
        parameters: Request,
        rule: Callable[[ProviderCharge], Step],
    ) -> Outcome:
        self._books.charges[reference]
        return await super()._change(operation, key, reference, parameters, rule)


REFUND_ABOVE_CAPTURE = PaymentsPlugin("planted-refund-above-capture", RefundAboveCapture)
REFUNDS_RACE = PaymentsPlugin("planted-refunds-race", RefundsRace)
REFUND_OF_AUTHORIZED = PaymentsPlugin("planted-refund-of-authorized", RefundOfAuthorized)
CAPTURE_ABOVE_AUTHORIZATION = PaymentsPlugin("planted-capture-above-authorization", CaptureAboveAuthorization)
CURRENCY_IGNORED = PaymentsPlugin("planted-currency-ignored", CurrencyIgnored)
CAPTURE_TWICE = PaymentsPlugin("planted-capture-twice", CaptureTwice)
AUTHORIZED_AFTER_VOID = PaymentsPlugin("planted-authorized-after-void", AuthorizedAfterVoid)
VOID_OF_CAPTURED_IS_DONE = PaymentsPlugin("planted-void-of-captured-is-done", VoidOfCapturedIsDone)
VOID_RACES_CAPTURE = PaymentsPlugin("planted-void-races-capture", VoidRacesCapture)
STALE_BOOKS = PaymentsPlugin("planted-stale-books", StaleBooks)
PENDING_IS_DONE = PaymentsPlugin("planted-pending-is-done", PendingIsDone)
APPROVED_AFTER_VOID = PaymentsPlugin("planted-approved-after-void", ApprovedAfterVoid)
UNDECLARED_ERROR = PaymentsPlugin("planted-undeclared-error", UndeclaredError)
