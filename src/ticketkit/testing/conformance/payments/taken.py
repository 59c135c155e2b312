"""Promises about methods that can't hold money: what they take is told, taken once, and given back by refunds alone."""

from __future__ import annotations

from typing import Final

import pytest

from ticketkit.backends.errors import OutcomeUnknown
from ticketkit.backends.payments import ActionRequired, Done, Pending, ProviderStatus
from ticketkit.domain.money import Money
from ticketkit.testing.conformance.payments.promises import PaymentPromises
from ticketkit.testing.conformance.payments.till import AFTER, PART, PRICE, Standing, Till, at_once, insist, refuses
from ticketkit.testing.conformance.promise import promise

RACERS: Final = 6


class TakenPromises(PaymentPromises):
    """Money that is taken at once is not taken for money that is held."""

    @promise()
    async def test_money_that_is_held_is_not_told_as_taken(self, till: Till) -> None:
        """An authorization that holds the money is `Done` without `taken`: a void can still let it go."""
        reference = await till.prepared()
        assert await insist(till.authorize(reference)) == Done(reference)
        assert await till.standing(reference) == AFTER["authorize"]

    @promise()
    async def test_money_that_is_taken_at_once_is_told_as_taken(self, till: Till) -> None:
        """Where money is taken at once the answer says `taken`, and the books say captured; not before all agreed."""
        token, reference = till.token("taken"), await till.prepared()
        outcome = await insist(till.authorize(reference, token))
        if isinstance(outcome, Done):
            assert outcome == Done(reference, taken=True), "the answer does not say that the money is taken"
        else:
            assert isinstance(outcome, ActionRequired | Pending), f"{token} should take the money, and is {outcome}"
            assert (await till.book(reference)).captured == 0, "taken before buyer or bank agreed"
            await till.agree(reference, outcome)
            await till.becomes(reference, ProviderStatus.CAPTURED)
        assert await till.standing(reference) == AFTER["capture"]

    @promise()
    async def test_money_that_is_taken_at_once_is_taken_once(self, till: Till, stress: int) -> None:
        """Calls with one key, at once and later, get one answer and take the money once; so does one with another."""
        token, reference = till.token("taken"), await till.prepared()
        call = till.authorize(reference, token)
        answers = await at_once([call] * RACERS * stress)
        assert answers == [answers[0]] * len(answers), "one key got several answers"
        await till.agree(reference, answers[0])
        await till.becomes(reference, ProviderStatus.CAPTURED)
        await at_once([call, till.authorize(reference, token)])
        assert await till.standing(reference) == AFTER["capture"]

    @promise()
    async def test_a_lost_answer_to_what_was_taken_at_once_is_found_with_the_same_key(self, till: Till) -> None:
        """When the answer is lost and the money taken, the call that is repeated with its key takes no more."""
        token, reference = till.token("taken"), await till.prepared()
        call = till.authorize(reference, token)
        await till.target.stage.lose_answer(till.provider, "authorize")
        try:
            told = await call()
        except OutcomeUnknown:
            told = None  # a provider that repeats by itself gives the answer instead
        outcome = await insist(call)
        assert told in (None, outcome)
        await till.agree(reference, outcome)
        await till.becomes(reference, ProviderStatus.CAPTURED)
        assert await till.standing(reference) == AFTER["capture"]

    @promise()
    async def test_a_void_of_what_was_taken_at_once_is_declined(self, till: Till) -> None:
        """What was taken at once can't be voided, nobody is told that it was, and no money moves by it."""
        reference = await till.taken()
        for _ in range(2):
            await till.declined(till.void(reference))
            assert await till.standing(reference) == AFTER["capture"]

    @promise()
    async def test_a_capture_of_what_was_taken_at_once_takes_no_more(self, till: Till) -> None:
        """A capture of what was taken already is done, also a second one; of more it is refused. No money moves."""
        reference = await till.taken()
        for _ in range(2):
            assert await till.done(till.capture(reference)) == reference, "Done names another payment"
            assert await till.standing(reference) == AFTER["capture"]
        assert await refuses(till.capture(reference, Money(PRICE + 1, till.target.currency))), "captured more"
        assert await till.standing(reference) == AFTER["capture"]

    @promise()
    async def test_what_was_taken_at_once_is_given_back_in_parts_or_whole(self, till: Till) -> None:
        """Refunds of all, or of parts up to all, are done; of more they are refused."""
        whole, parts = await till.taken(), await till.taken()
        references = {await till.done(till.refund(whole, till.price))}
        for minor in (PART, PRICE - PART):
            references.add(await till.done(till.refund(parts, Money(minor, till.target.currency))))
        assert len(references | {whole, parts}) == 5, "a refund has no reference of its own"
        for reference in (whole, parts):
            assert await refuses(till.refund(reference)), "refunded more than was taken"
            assert await till.standing(reference) == Standing(ProviderStatus.CAPTURED, PRICE, PRICE)

    @promise()
    async def test_of_void_and_taking_at_once_one_happens(self, till: Till, stress: int) -> None:
        """When a void races what takes the money, it is done and nothing is taken, or it is declined and all is."""
        token = till.token("taken")
        for turn in range(RACERS * stress):
            reference = await till.prepared()
            calls = [till.authorize(reference, token), till.void(reference)]
            ends = await at_once(calls if turn % 2 else calls[::-1])
            outcome, void = ends if turn % 2 else ends[::-1]
            await till.agree(reference, outcome)
            await _is_void_or_taken(till, reference, void=isinstance(void, Done))

    @promise()
    async def test_a_void_before_all_agreed_is_kept(self, till: Till) -> None:
        """A void of what would be taken later is done, and nothing is taken whoever agrees; or it is declined."""
        token, reference = till.token("taken"), await till.prepared()
        outcome = await insist(till.authorize(reference, token))
        if isinstance(outcome, Done):
            pytest.skip("its money is taken at once")
        void = await insist(till.void(reference))
        await till.agree(reference, outcome)
        await _is_void_or_taken(till, reference, void=isinstance(void, Done))


async def _is_void_or_taken(till: Till, reference: str, *, void: bool) -> None:
    if not void:
        await till.becomes(reference, ProviderStatus.CAPTURED)
    assert await till.standing(reference) == AFTER["void" if void else "capture"], f"void done: {void}"
