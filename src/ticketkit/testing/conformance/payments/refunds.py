"""Promises about giving money back: never more than was taken."""

from __future__ import annotations

from typing import Final

import anyio
import pytest

from ticketkit.backends.payments import Declined, Done, Outcome, Pending, ProviderStatus
from ticketkit.domain.money import Money
from ticketkit.ids import new_id
from ticketkit.testing.conformance.payments.promises import PaymentPromises
from ticketkit.testing.conformance.payments.till import (
    AFTER,
    LOOK,
    PART,
    PATIENCE,
    PRICE,
    Call,
    Standing,
    Till,
    at_once,
    insist,
    refuses,
)
from ticketkit.testing.conformance.promise import promise

RACERS: Final = 6


class RefundPromises(PaymentPromises):
    """The sum of all refunds never exceeds what was captured."""

    @promise()
    async def test_money_is_given_back_in_parts_or_whole(self, till: Till) -> None:
        """Refunds of all, or of parts up to all, are done, each with a reference of its own."""
        whole, parts = await till.captured(), await till.captured()
        references = {await till.done(till.refund(whole, till.price))}
        for minor in (PART, PRICE - 2 * PART, PART):
            references.add(await till.done(till.refund(parts, Money(minor, till.target.currency))))
        assert len(references | {whole, parts}) == 6, "a refund has no reference of its own"
        for reference in (whole, parts):
            assert await till.standing(reference) == Standing(ProviderStatus.CAPTURED, PRICE, PRICE)

    @promise()
    async def test_no_more_is_refunded_than_was_captured(self, till: Till) -> None:
        """A refund of more than is left, or of nothing, is refused, and gives nothing back."""
        reference = await till.captured()
        assert await refuses(till.refund(reference, Money(PRICE + 1, till.target.currency))), "refunded too much"
        assert await refuses(till.refund(reference, Money(0, till.target.currency))), "refunded nothing"
        assert await till.standing(reference) == AFTER["capture"]
        await till.done(till.refund(reference))
        assert await refuses(till.refund(reference, till.price)), "refunded more than was left"
        assert await till.standing(reference) == AFTER["refund"]

    @promise()
    async def test_a_refund_in_another_currency_is_refused(self, till: Till) -> None:
        """Money that was taken in one currency is not given back in another."""
        reference = await till.captured()
        assert await refuses(till.refund(reference, Money(PART, till.other_currency)))
        assert await till.standing(reference) == AFTER["capture"]

    @promise()
    async def test_what_was_not_captured_is_not_refunded(self, till: Till) -> None:
        """A payment that is prepared, authorized or void has nothing to give back."""
        for reference in (await till.prepared(), await till.authorized(), await till.voided()):
            before = await till.standing(reference)
            assert await refuses(till.refund(reference)), f"refunded while {before.status}"
            assert await till.standing(reference) == before

    @promise()
    async def test_refunds_at_once_never_exceed_the_capture(self, till: Till, stress: int) -> None:
        """Partial refunds that race give back no more than was captured, and the books have those that were done."""
        part = Money(2 * PART, till.target.currency)
        for _ in range(RACERS * stress):
            reference = await till.captured()
            ends = await at_once([till.refund(reference, part) for _ in range(RACERS)])
            given = part.minor * sum(isinstance(end, Done) for end in ends)
            assert 0 < given <= PRICE, f"{given} of {PRICE} were refunded"
            assert await till.standing(reference) == Standing(ProviderStatus.CAPTURED, PRICE, given)

    @promise()
    async def test_a_pending_refund_is_ended_by_asking_again_with_the_same_key(self, till: Till) -> None:
        """A refund that is `Pending` counts already; once the bank gave the money back, its key is answered `Done`."""
        reference, refund_id = await till.captured(), new_id()
        call = await _pending(till, reference, refund_id)
        assert await refuses(till.refund(reference, till.price)), "refunded beside one that is pending"
        await till.target.stage.end_refund(till.provider, refund_id, done=True)
        outcome = await _ended(call)
        assert isinstance(outcome, Done), f"the refund should be done, and is {outcome}"
        assert await insist(call) == outcome
        assert await till.standing(reference) == AFTER["refund"]

    @promise()
    async def test_a_pending_refund_that_fails_gives_nothing_back(self, till: Till) -> None:
        """When the bank fails a refund its key is answered `Declined`, and all can be given back by another one."""
        reference, refund_id = await till.captured(), new_id()
        call = await _pending(till, reference, refund_id)
        await till.target.stage.end_refund(till.provider, refund_id, done=False)
        outcome = await _ended(call)
        assert isinstance(outcome, Declined), f"the refund should be declined, and is {outcome}"
        assert outcome.code, "a Declined has a code"
        assert await insist(call) == outcome
        assert await till.standing(reference) == AFTER["capture"]
        await till.done(till.refund(reference, till.price))
        assert (await till.standing(reference)).refunded == PRICE


async def _pending(till: Till, reference: str, refund_id: str) -> Call:
    call = till.refund(reference, refund_id=refund_id)
    await till.target.stage.delay_refund(till.provider)
    assert [await insist(call) for _ in range(2)] == [Pending()] * 2
    return call


async def _ended(call: Call) -> Outcome:
    for _ in range(int(PATIENCE / LOOK)):
        if (outcome := await insist(call)) != Pending():
            return outcome
        await anyio.sleep(LOOK)
    pytest.fail(f"the refund is still pending {PATIENCE} s after it ended")
