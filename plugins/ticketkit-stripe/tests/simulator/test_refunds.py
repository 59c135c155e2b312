"""Refunds: never more than was captured, at once or when the bank has done with them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import stripe

from ticketkit_stripe.simulator import Control, ControlRefused

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:Use .content:DeprecationWarning"),  # stripe-python's call of httpx
]


async def test_parts_are_refunded_and_then_the_rest(client: Any, control: Control, taken: Any) -> None:
    made = await client.v1.payment_intents.create_async(taken)
    part = {"payment_intent": made.id, "amount": 1500, "reason": "requested_by_customer", "metadata": {"refund": "r1"}}
    first = await client.v1.refunds.create_async(part)
    assert (first.status, first.amount, first.charge) == ("succeeded", 1500, made.latest_charge)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.refunds.create_async({"payment_intent": made.id, "amount": 3001})
    assert (refused.value.code, refused.value.param) == (None, "amount")
    rest = await client.v1.refunds.create_async({"charge": made.latest_charge})
    assert rest.amount == 3000
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.refunds.create_async({"payment_intent": made.id})
    assert refused.value.code == "charge_already_refunded"
    charge = await client.v1.charges.retrieve_async(made.latest_charge)
    assert (charge.refunded, charge.amount_refunded) == (True, 4500)
    assert control.books().intent(made.id).refunded == control.books().moved("refund") == 4500


async def test_refunds_at_the_same_time_never_exceed_what_was_captured(
    client: Any, control: Control, held: Any
) -> None:
    made = await client.v1.payment_intents.create_async(held)
    await client.v1.payment_intents.capture_async(made.id, {"amount_to_capture": 2500})
    asking = [client.v1.refunds.create_async({"payment_intent": made.id, "amount": 1000}) for _ in range(8)]
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert sum(not isinstance(answer, stripe.InvalidRequestError) for answer in answers) == 2
    assert control.books().intent(made.id).refunded == 2000


async def test_what_was_not_captured_is_not_refunded(client: Any, asked: Any, held: Any) -> None:
    for intent in (asked, held):
        made = await client.v1.payment_intents.create_async(intent)
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await client.v1.refunds.create_async({"payment_intent": made.id})
        assert refused.value.code == "charge_not_refundable"


async def test_what_is_not_said_clearly_is_not_refunded(client: Any, control: Control, taken: Any) -> None:
    made = await client.v1.payment_intents.create_async(taken)
    for params in ({}, {"payment_intent": made.id, "charge": made.latest_charge}, {"payment_intent": "pi_nothing"}):
        with pytest.raises(stripe.InvalidRequestError):
            await client.v1.refunds.create_async(params)
    assert control.books().refunds == []


@pytest.mark.parametrize("success", [True, False])
async def test_a_pending_refund_is_settled_by_the_bank(
    client: Any, control: Control, taken: Any, *, success: bool
) -> None:
    made = await client.v1.payment_intents.create_async({**taken, "payment_method": "pm_card_pendingRefund"})
    refund = await client.v1.refunds.create_async({"payment_intent": made.id})
    assert (refund.status, control.books().moved("refund")) == ("pending", 0)
    control.settle(refund.id, success=success)
    found = await client.v1.refunds.retrieve_async(refund.id)
    assert found.status == ("succeeded" if success else "failed")
    assert control.books().moved("refund") == (4500 if success else 0)
    with pytest.raises(ControlRefused):
        control.settle(refund.id, success=success)


async def test_a_refund_that_fails_later_can_be_given_again(client: Any, control: Control, taken: Any) -> None:
    made = await client.v1.payment_intents.create_async({**taken, "payment_method": "pm_card_refundFail"})
    refund = await client.v1.refunds.create_async({"payment_intent": made.id})
    assert refund.status == "succeeded"
    control.settle(refund.id, success=False)
    found = await client.v1.refunds.retrieve_async(refund.id)
    assert (found.status, found.failure_reason) == ("failed", "expired_or_canceled_card")
    assert control.books().intent(made.id).refunded == 0
    again = await client.v1.refunds.create_async({"payment_intent": made.id})
    listed = await client.v1.refunds.list_async({"payment_intent": made.id})
    assert [refund.id for refund in listed.data] == [again.id, refund.id]
