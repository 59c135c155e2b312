"""Payment providers with one planted bug each: money that is taken at once."""

from __future__ import annotations

from dataclasses import replace

import anyio.lowlevel
from tests.planted.payments_plugin import PaymentsPlugin

from ticketkit.backends.errors import OutcomeUnknown
from ticketkit.backends.payments import Declined, Done, Outcome, ProviderCharge, ProviderStatus
from ticketkit.domain.money import Money
from ticketkit.memory import FakePayments
from ticketkit.memory import _payment_rules as rules
from ticketkit.memory._payment_rules import TAKEN, Step
from ticketkit.memory.books import BookedRefund
from ticketkit.memory.faults import Operation


class _Provider(FakePayments):
    """Knows what takes money at once."""

    def took(self, reference: str) -> bool:
        return reference in self._books.takers and self._books.charges[reference].status is ProviderStatus.CAPTURED

    def take_again(self, reference: str) -> None:
        charge = self._books.charges[reference]
        self._books.charges[reference] = replace(charge, captured=charge.captured + charge.amount.minor)


class HeldIsTaken(_Provider):
    """Every authorization is told as taken."""

    async def authorize(self, reference: str, *, token: str | None, key: str) -> Outcome:
        outcome = await super().authorize(reference, token=token, key=key)
        return replace(outcome, taken=True) if isinstance(outcome, Done) else outcome


class TakenIsHeld(_Provider):
    """An authorization is never told as taken."""

    async def authorize(self, reference: str, *, token: str | None, key: str) -> Outcome:
        outcome = await super().authorize(reference, token=token, key=key)
        return replace(outcome, taken=False) if isinstance(outcome, Done) else outcome


class TakenForEachCall(_Provider):
    """Each call takes the money once more, whatever its key."""

    async def authorize(self, reference: str, *, token: str | None, key: str) -> Outcome:
        before = self.took(reference)
        outcome = await super().authorize(reference, token=token, key=key)
        if before:
            self.take_again(reference)
        return outcome


class TakenAgainForALostAnswer(_Provider):
    """A call whose answer was lost is made anew when it is repeated."""

    async def authorize(self, reference: str, *, token: str | None, key: str) -> Outcome:
        lost = self.__dict__.setdefault("_lost_keys", set())
        try:
            outcome = await super().authorize(reference, token=token, key=key)
        except OutcomeUnknown:
            lost.add(key)
            raise
        if key in lost and self.took(reference):
            lost.discard(key)
            self.take_again(reference)
        return outcome


class VoidOfTakenGivesBack(_Provider):
    """A void of what was taken at once gives it back, and says that nothing was taken."""

    async def void(self, reference: str, *, key: str) -> Outcome:
        def step(charge: ProviderCharge) -> Step:
            return rules.void(replace(charge, status=ProviderStatus.AUTHORIZED) if self.took(reference) else charge)

        return await self._change(Operation.VOID, key, reference, [], step)


class CaptureOfTakenTakesMore(_Provider):
    """What was taken at once is taken once more by a capture."""

    async def capture(self, reference: str, *, amount: Money, key: str) -> Outcome:
        def step(charge: ProviderCharge) -> Step:
            known = rules.capture(charge, amount)
            if self.took(reference) and known.outcome == Done(reference):
                return known._replace(charge=replace(charge, captured=charge.captured + amount.minor))
            return known

        return await self._change(Operation.CAPTURE, key, reference, [amount.minor, amount.currency], step)


class CaptureOfTakenIsDeclined(_Provider):
    """What was taken at once can't be captured, and that is told as a decline for good."""

    async def capture(self, reference: str, *, amount: Money, key: str) -> Outcome:
        taken = self.took(reference)
        outcome = await super().capture(reference, amount=amount, key=key)
        return Declined("already_captured") if taken else outcome


class TakenIsGivenBackWhole(_Provider):
    """What was taken at once is given back whole, whatever part was asked for."""

    async def refund(self, reference: str, *, refund_id: str, amount: Money, key: str) -> Outcome:
        def step(charge: ProviderCharge) -> Step:
            known = rules.refund(charge, amount, refund_id=refund_id, reference=self._new_id())
            if not self.took(reference) or known.refund is None:
                return known
            whole = BookedRefund(reference=self._new_id(), payment=reference, refund_id=refund_id, amount=charge.amount)
            return Step(Done(whole.reference), replace(charge, refunded=charge.captured), whole)

        return await self._change(Operation.REFUND, key, reference, [refund_id, amount.minor, amount.currency], step)


class TakingRacesVoid(_Provider):
    """Whether it may be taken is looked up before, and a void can come in between."""

    async def authorize(self, reference: str, *, token: str | None, key: str) -> Outcome:
        seen = self._books.charges.get(reference)
        if token in TAKEN:
            await anyio.lowlevel.checkpoint()
        return await self._change(
            Operation.AUTHORIZE, key, reference, [token], lambda charge: rules.authorize(seen or charge, token)
        )


class TakenThoughVoid(_Provider):
    """What the buyer approves is taken, though it was voided; all that takes money at once has to be approved."""

    async def authorize(self, reference: str, *, token: str | None, key: str) -> Outcome:
        return await super().authorize(
            reference, token="tok_taken_threeDSecure" if token == "tok_taken" else token, key=key
        )

    async def confirm_action(self, reference: str, *, approved: bool = True) -> Outcome:
        charge = self._books.charges[reference]
        if reference in self._books.takers and charge.status is ProviderStatus.VOID:
            self._books.charges[reference] = replace(charge, status=ProviderStatus.REQUIRES_ACTION)
        return await super().confirm_action(reference, approved=approved)


HELD_IS_TAKEN = PaymentsPlugin("planted-held-is-taken", HeldIsTaken)
TAKEN_IS_HELD = PaymentsPlugin("planted-taken-is-held", TakenIsHeld)
TAKEN_FOR_EACH_CALL = PaymentsPlugin("planted-taken-for-each-call", TakenForEachCall)
TAKEN_AGAIN_FOR_A_LOST_ANSWER = PaymentsPlugin("planted-taken-again-for-a-lost-answer", TakenAgainForALostAnswer)
VOID_OF_TAKEN_GIVES_BACK = PaymentsPlugin("planted-void-of-taken-gives-back", VoidOfTakenGivesBack)
CAPTURE_OF_TAKEN_TAKES_MORE = PaymentsPlugin("planted-capture-of-taken-takes-more", CaptureOfTakenTakesMore)
CAPTURE_OF_TAKEN_IS_DECLINED = PaymentsPlugin("planted-capture-of-taken-is-declined", CaptureOfTakenIsDeclined)
TAKEN_IS_GIVEN_BACK_WHOLE = PaymentsPlugin("planted-taken-is-given-back-whole", TakenIsGivenBackWhole)
TAKING_RACES_VOID = PaymentsPlugin("planted-taking-races-void", TakingRacesVoid)
TAKEN_THOUGH_VOID = PaymentsPlugin("planted-taken-though-void", TakenThoughVoid)
