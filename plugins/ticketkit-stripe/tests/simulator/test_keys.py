"""Idempotency keys: one effect and one answer, for a day."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import stripe

from ticketkit_stripe.simulator import Control, Kind

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:Use .content:DeprecationWarning"),  # stripe-python's call of httpx
]
KEY = {"idempotency_key": "c1:prepare"}


async def test_a_key_used_again_replays_the_answer(client: Any, control: Control, asked: Any) -> None:
    first = await client.v1.payment_intents.create_async(asked, KEY)
    again = await client.v1.payment_intents.create_async(asked, KEY)
    assert (again.id, len(control.books().intents)) == (first.id, 1)
    headers = again.last_response.headers
    assert (headers["idempotent-replayed"], headers["idempotency-key"]) == ("true", "c1:prepare")
    assert headers["original-request"] == first.last_response.headers["request-id"]
    assert headers["request-id"] != headers["original-request"]
    assert "idempotent-replayed" not in first.last_response.headers


async def test_the_replay_is_what_was_answered_then_not_what_is_now(client: Any, held: Any) -> None:
    first = await client.v1.payment_intents.create_async(held, KEY)
    await client.v1.payment_intents.cancel_async(first.id)
    assert (await client.v1.payment_intents.create_async(held, KEY)).status == "requires_capture"


async def test_a_key_with_other_parameters_or_for_another_call_is_an_error(
    client: Any, control: Control, asked: Any
) -> None:
    made = await client.v1.payment_intents.create_async(asked, KEY)
    with pytest.raises(stripe.IdempotencyError) as refused:
        await client.v1.payment_intents.create_async({**asked, "amount": 4501}, KEY)
    assert refused.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError):
        await client.v1.payment_intents.cancel_async(made.id, {}, KEY)
    assert len(control.books().violations) == 2


async def test_a_decline_is_replayed_too(client: Any, control: Control, asked: Any) -> None:
    made = await client.v1.payment_intents.create_async(asked)
    decline = {"payment_method": "pm_card_chargeDeclined"}
    with pytest.raises(stripe.CardError):
        await client.v1.payment_intents.confirm_async(made.id, decline, KEY)
    with pytest.raises(stripe.CardError) as declined:
        await client.v1.payment_intents.confirm_async(made.id, decline, KEY)
    assert declined.value.headers is not None
    assert declined.value.headers["idempotent-replayed"] == "true"
    assert control.books().intent(made.id).attempts == 1


async def test_what_was_refused_before_it_began_is_not_remembered(client: Any, control: Control, asked: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.payment_intents.create_async({**asked, "colour": "red"}, KEY)
    control.fault(Kind.RATE_LIMITED)
    with pytest.raises(stripe.RateLimitError):
        await client.v1.payment_intents.create_async(asked, KEY)
    control.fault(Kind.UNAVAILABLE)
    with pytest.raises(stripe.APIError):
        await client.v1.payment_intents.create_async(asked, KEY)
    assert (await client.v1.payment_intents.create_async(asked, KEY)).status == "requires_payment_method"


async def test_a_state_that_was_refused_is_remembered(client: Any, asked: Any) -> None:
    made = await client.v1.payment_intents.create_async(asked)
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.payment_intents.capture_async(made.id, {}, KEY)
    await client.v1.payment_intents.confirm_async(made.id, {"payment_method": "pm_card_visa"})
    with pytest.raises(stripe.InvalidRequestError) as replayed:
        await client.v1.payment_intents.capture_async(made.id, {}, KEY)
    assert replayed.value.code == "payment_intent_unexpected_state"
    assert (await client.v1.payment_intents.capture_async(made.id)).status == "succeeded"


async def test_a_key_whose_call_is_going_on_is_a_conflict(client: Any, control: Control, asked: Any) -> None:
    control.fault(Kind.SLOW_CALL, on="prepare", seconds=1)
    going_on = asyncio.create_task(client.v1.payment_intents.create_async(asked, KEY))
    await _until(lambda: any(call.faults for call in control.books().calls))
    with pytest.raises(stripe.APIError) as conflict:
        await client.v1.payment_intents.create_async(asked, KEY)
    body: Any = conflict.value.json_body
    assert (conflict.value.http_status, body["error"]["code"]) == (409, "idempotency_key_in_use")
    assert conflict.value.headers is not None
    assert conflict.value.headers["stripe-should-retry"] == "true"
    made = await going_on
    assert (await client.v1.payment_intents.create_async(asked, KEY)).id == made.id


async def test_a_key_is_forgotten_after_a_day(client: Any, control: Control, asked: Any) -> None:
    first = await client.v1.payment_intents.create_async(asked, KEY)
    control.advance(23 * 3600)
    assert (await client.v1.payment_intents.create_async(asked, KEY)).id == first.id
    control.advance(3601)
    assert (await client.v1.payment_intents.create_async(asked, KEY)).id != first.id


def test_a_key_is_not_too_long_and_means_nothing_for_reading(raw: httpx.Client) -> None:
    form = {"amount": "500", "currency": "usd"}
    assert raw.post("/v1/payment_intents", data=form, headers={"Idempotency-Key": "k" * 256}).status_code == 400
    assert raw.post("/v1/payment_intents", data=form, headers={"Idempotency-Key": "k" * 255}).status_code == 200
    first = raw.get("/v1/payment_intents", headers={"Idempotency-Key": "list"}).json()
    raw.post("/v1/payment_intents", data=form)
    second = raw.get("/v1/payment_intents", headers={"Idempotency-Key": "list"}).json()
    assert (len(first["data"]), len(second["data"])) == (1, 2)


async def _until(holds: Callable[[], bool], within: float = 5.0) -> None:
    end = time.monotonic() + within
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
