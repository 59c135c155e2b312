"""Faults: what goes wrong between a caller and Stripe, and what the books say of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest
import stripe

from ticketkit_stripe.simulator import Control, Kind

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:Use .content:DeprecationWarning"),  # stripe-python's call of httpx
]
KEY = {"idempotency_key": "c1:capture"}


async def test_a_lost_answer_had_its_effect_and_its_key_replays_it(client: Any, control: Control, held: Any) -> None:
    made = await client.v1.payment_intents.create_async(held)
    control.fault(Kind.LOST_ANSWER, on="capture")
    with pytest.raises(stripe.APIConnectionError):
        await client.v1.payment_intents.capture_async(made.id, {}, KEY)
    assert control.books().intent(made.id).captures == 1
    again = await client.v1.payment_intents.capture_async(made.id, {}, KEY)
    assert (again.status, again.last_response.headers["idempotent-replayed"]) == ("succeeded", "true")
    assert control.books().intent(made.id).captures == 1


async def test_a_lost_call_had_no_effect(client: Any, control: Control, held: Any) -> None:
    made = await client.v1.payment_intents.create_async(held)
    control.fault(Kind.LOST_CALL, on="capture")
    with pytest.raises(stripe.APIConnectionError):
        await client.v1.payment_intents.capture_async(made.id, {}, KEY)
    assert control.books().intent(made.id).captures == 0
    assert (await client.v1.payment_intents.capture_async(made.id, {}, KEY)).status == "succeeded"


@pytest.mark.parametrize(("kind", "captures"), [(Kind.ERROR, 0), (Kind.ERROR_AFTER, 1)])
async def test_a_500_with_or_without_effect_is_what_its_key_replays(
    client: Any, control: Control, held: Any, kind: Kind, captures: int
) -> None:
    made = await client.v1.payment_intents.create_async(held)
    control.fault(kind, on="capture")
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failed:
            await client.v1.payment_intents.capture_async(made.id, {}, KEY)
        assert failed.value.http_status == 500
        assert failed.value.headers is not None
        assert failed.value.headers["stripe-should-retry"] == "false"
    assert control.books().intent(made.id).captures == captures


async def test_a_decline_may_hide_behind_a_500(client: Any, control: Control, asked: Any) -> None:
    made = await client.v1.payment_intents.create_async(asked)
    control.fault(Kind.ERROR_AFTER, on="authorize")
    with pytest.raises(stripe.APIError):
        await client.v1.payment_intents.confirm_async(made.id, {"payment_method": "pm_card_chargeDeclined"})
    assert control.books().intent(made.id).code == "generic_decline"


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [(Kind.RATE_LIMITED, 429, "rate_limit"), (Kind.LOCKED, 429, "lock_timeout"), (Kind.UNAVAILABLE, 503, None)],
)
async def test_a_call_that_did_not_begin_may_be_repeated(
    client: Any, control: Control, asked: Any, *, kind: Kind, status: int, code: str | None
) -> None:
    control.fault(kind, times=2)
    for _ in range(2):
        with pytest.raises(stripe.StripeError) as refused:
            await client.v1.payment_intents.create_async(asked, KEY)
        body: Any = refused.value.json_body
        assert (refused.value.http_status, body["error"].get("code")) == (status, code)
    await client.v1.payment_intents.create_async(asked, KEY)
    assert len(control.books().intents) == 1


@pytest.mark.parametrize(("kind", "before"), [(Kind.SLOW_CALL, 0), (Kind.SLOW_ANSWER, 1)])
def test_slow_is_the_call_or_the_answer(raw: httpx.Client, control: Control, kind: Kind, before: int) -> None:
    control.fault(kind, on="prepare", seconds=0.5)
    with pytest.raises(httpx.ReadTimeout):
        raw.post("/v1/payment_intents", data={"amount": "500", "currency": "usd"}, timeout=0.2)
    assert len(control.books().intents) == before
    end = time.monotonic() + 5
    while not control.books().intents:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("code", "error"),
    [(None, "card_declined"), ("insufficient_funds", "card_declined"), ("expired_card", "expired_card")],
)
async def test_the_bank_refuses_any_card(
    client: Any, control: Control, held: Any, code: str | None, error: str
) -> None:
    control.fault(Kind.REFUSE, on="authorize", code=code)
    with pytest.raises(stripe.CardError) as declined:
        await client.v1.payment_intents.create_async(held)
    assert declined.value.code == error
    assert (await client.v1.payment_intents.create_async(held)).status == "requires_capture"


async def test_captures_and_refunds_are_refused_too(client: Any, control: Control, held: Any, taken: Any) -> None:
    control.fault(Kind.REFUSE, on="capture")
    control.fault(Kind.REFUSE, on="refund")
    made = await client.v1.payment_intents.create_async(held)
    with pytest.raises(stripe.CardError):
        await client.v1.payment_intents.capture_async(made.id)
    paid = await client.v1.payment_intents.create_async(taken)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.refunds.create_async({"payment_intent": paid.id})
    assert refused.value.code == "charge_disputed"
    assert (await client.v1.refunds.create_async({"payment_intent": paid.id})).status == "succeeded"


async def test_a_fault_without_a_number_lasts_until_it_is_ended(client: Any, control: Control, asked: Any) -> None:
    fault = control.fault(Kind.UNAVAILABLE, on="retrieve", times=None)
    other = control.fault(Kind.UNAVAILABLE, on="refund", times=None)
    made = await client.v1.payment_intents.create_async(asked)
    for _ in range(3):
        with pytest.raises(stripe.APIError):
            await client.v1.payment_intents.retrieve_async(made.id)
    control.end_faults(fault)
    assert (await client.v1.payment_intents.retrieve_async(made.id)).id == made.id
    with pytest.raises(stripe.APIError):
        await client.v1.refunds.create_async({"payment_intent": made.id})
    control.end_faults()
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.refunds.create_async({"payment_intent": made.id})
    assert other != fault


async def test_more_calls_than_the_rate_are_refused_until_the_second_is_over(
    client: Any, control: Control, asked: Any
) -> None:
    control.rate(5)
    asking = [client.v1.payment_intents.create_async(asked) for _ in range(12)]
    answers = await asyncio.gather(*asking, return_exceptions=True)
    limited = [answer for answer in answers if isinstance(answer, stripe.RateLimitError)]
    assert len(limited) == 7
    assert limited[0].headers is not None
    assert limited[0].headers["stripe-rate-limited-reason"] == "global-rate"
    control.rate(None)
    await client.v1.payment_intents.create_async(asked)
    assert len(control.books().intents) == 6
