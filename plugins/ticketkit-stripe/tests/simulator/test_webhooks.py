"""Webhooks: what is sent, how it is signed, and what becomes of it when things go wrong."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import stripe

from ticketkit_stripe.simulator import Chaos, Control
from ticketkit_stripe.simulator.simulation import SECRET, VERSION

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:Use .content:DeprecationWarning"),  # stripe-python's call of httpx
]
HOLD = ["payment_intent.created", "charge.succeeded", "payment_intent.amount_capturable_updated"]


async def test_each_change_is_sent_signed_with_the_object_as_it_was(
    client: Any, control: Control, receiver: Any, held: Any
) -> None:
    made = await client.v1.payment_intents.create_async(
        {**held, "metadata": {"charge": "c1"}}, {"idempotency_key": "k"}
    )
    await client.v1.payment_intents.capture_async(made.id)
    assert control.settled()
    assert sorted(receiver.types) == sorted([*HOLD, "charge.captured", "payment_intent.succeeded"])
    for signature, body in receiver.came:
        event = stripe.Webhook.construct_event(body, signature, SECRET)
        assert (event.object, event.api_version, event.livemode) == ("event", VERSION, False)
        assert abs(event.created - time.time()) < 10
        assert event.data.object.metadata["charge"] == "c1"
    (could,) = [event for event in receiver.events if event["type"] == HOLD[2]]
    assert (could["data"]["object"]["status"], could["request"]["idempotency_key"]) == ("requires_capture", "k")


@pytest.mark.parametrize(
    ("act", "types"),
    [
        (lambda c, i: c.authenticate(i), ["charge.succeeded", HOLD[2]]),
        (lambda c, i: c.authenticate(i, success=False), ["charge.failed", "payment_intent.payment_failed"]),
        (lambda c, i: c.give_up(i), ["payment_intent.canceled"]),
    ],
)
async def test_what_the_buyer_and_time_do_is_sent_too(
    client: Any, control: Control, receiver: Any, asked: Any, *, act: Any, types: list[str]
) -> None:
    acting = {**asked, "confirm": True, "payment_method": "pm_card_authenticationRequired"}
    made = await client.v1.payment_intents.create_async(acting)
    act(control, made.id)
    assert control.settled()
    assert sorted(receiver.types) == sorted([HOLD[0], "payment_intent.requires_action", *types])
    assert {event["request"]["id"] for event in receiver.events if event["type"] in types} == {None}


async def test_refunds_and_their_later_failure_are_sent(
    client: Any, control: Control, receiver: Any, taken: Any
) -> None:
    made = await client.v1.payment_intents.create_async({**taken, "payment_method": "pm_card_refundFail"})
    refund = await client.v1.refunds.create_async({"payment_intent": made.id})
    control.settle(refund.id, success=False)
    assert control.settled()
    about = {event["type"]: event["data"]["object"]["status"] for event in receiver.events if "refund" in event["type"]}
    assert about == {
        "refund.created": "succeeded",
        "charge.refunded": "succeeded",
        "refund.updated": "failed",
        "charge.refund.updated": "failed",
        "refund.failed": "failed",
    }


async def test_an_expired_hold_and_a_canceled_one_say_so(
    client: Any, control: Control, receiver: Any, held: Any
) -> None:
    expired = await client.v1.payment_intents.create_async(held)
    canceled = await client.v1.payment_intents.create_async(held)
    control.expire(expired.id)
    await client.v1.payment_intents.cancel_async(canceled.id)
    assert control.settled()
    assert receiver.types.count("payment_intent.canceled") == receiver.types.count("charge.refunded") == 2
    assert receiver.types.count("charge.expired") == 1


async def test_each_secret_signs_while_they_are_rolled(control: Control, receiver: Any) -> None:
    endpoint = control.add_endpoint(receiver.url, secrets=["whsec_old"])
    control.roll_secrets(endpoint, ["whsec_old", "whsec_new"])
    control.emit("customer.created", {"id": "cus_1", "object": "customer"})
    assert control.settled()
    control.remove_endpoint(endpoint)
    (rolled,) = [came for came in receiver.came if came[0].count("v1=") == 2]
    for secret in ("whsec_old", "whsec_new"):
        assert stripe.Webhook.construct_event(rolled[1], rolled[0], secret).type == "customer.created"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(rolled[1], rolled[0], "whsec_other")


async def test_a_failed_delivery_is_tried_again_and_lists_say_what_is_missing(
    client: Any, control: Control, receiver: Any, asked: Any
) -> None:
    control.retries(first=0.01, attempts=3)
    receiver.statuses = [500, 302]
    await client.v1.payment_intents.create_async(asked)
    assert control.settled()
    assert len(receiver.came) == 3
    assert (await client.v1.events.list_async({"delivery_success": False})).data == []
    receiver.statuses = [500] * 3
    made = await client.v1.payment_intents.create_async(asked)
    assert control.settled()
    (missing,) = (await client.v1.events.list_async({"delivery_success": False})).data
    assert (missing.data.object.id, missing.pending_webhooks) == (made.id, 1)
    deliveries = control.books().deliveries
    assert (deliveries.delivered, deliveries.failed, deliveries.given_up) == (1, 5, 1)
    control.resend(missing.id)
    assert control.settled()
    assert (await client.v1.events.retrieve_async(missing.id)).pending_webhooks == 0


async def test_events_are_listed_by_type(client: Any, held: Any) -> None:
    await client.v1.payment_intents.create_async(held)
    everything = (await client.v1.events.list_async()).data
    assert sorted(event.type for event in everything) == sorted(HOLD)
    assert [event.type for event in (await client.v1.events.list_async({"type": "charge.*"})).data] == [HOLD[1]]
    assert len((await client.v1.events.list_async({"types": HOLD[:2]})).data) == 2
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.events.list_async({"type": HOLD[0], "types": HOLD})


async def test_the_endpoints_are_listed(client: Any, receiver: Any) -> None:
    (endpoint,) = (await client.v1.webhook_endpoints.list_async()).data
    assert (endpoint.url, endpoint.status, endpoint.api_version) == (receiver.url, "enabled", VERSION)
    assert (await client.v1.webhook_endpoints.retrieve_async(endpoint.id)).url == receiver.url
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.webhook_endpoints.retrieve_async("we_nothing")


def _emit(control: Control, number: int = 300) -> list[str]:
    return [control.emit("customer.created", {"id": f"cus_{place}"}) for place in range(number)]


def test_chaos_copies_and_shuffles_and_loses_nothing_else(control: Control, receiver: Any) -> None:
    control.chaos(Chaos(seed=4, copies=(1, 5), spread=0.5))
    ids = _emit(control)
    assert control.settled()
    assert set(receiver.copies) == set(ids)
    assert set(receiver.copies.values()) == {1, 2, 3, 4, 5}
    first_seen = list(receiver.copies)
    assert first_seen != ids


def test_chaos_loses_a_part_and_holds_another_until_it_is_released(control: Control, receiver: Any) -> None:
    control.chaos(Chaos(seed=1, lost=0.1, held=0.2))
    ids = _emit(control)
    assert control.settled()
    deliveries = control.books().deliveries
    assert len(receiver.came) == 300 - deliveries.lost - deliveries.held
    assert (10 < deliveries.lost < 50, 30 < deliveries.held < 90) == (True, True)
    came, released = len(receiver.came), control.release()
    assert control.settled()
    late = receiver.came[came:]
    assert len(late) == released == deliveries.held
    for signature, body in late:
        event = stripe.Webhook.construct_event(body, signature, SECRET)
        assert event.created <= time.time() - 3600
    assert len(ids) - len(receiver.copies) == deliveries.lost
    assert control.release() == 0


def test_the_same_seed_does_the_same(control: Control, receiver: Any) -> None:
    arrived = []
    for _ in range(2):
        control.chaos(Chaos(seed=7, lost=0.5))
        ids = _emit(control, 40)
        assert control.settled()
        arrived.append([id in receiver.copies for id in ids])
    assert arrived[0] == arrived[1]


async def test_an_event_that_is_not_written_down_is_in_no_list(
    client: Any, control: Control, receiver: Any, asked: Any
) -> None:
    control.chaos(Chaos(unwritten=1.0))
    made = await client.v1.payment_intents.create_async(asked)
    assert control.settled()
    assert ((await client.v1.events.list_async()).data, receiver.came) == ([], [])
    assert control.books().intent(made.id).status == "requires_payment_method"


def test_any_body_can_be_signed_and_sent(control: Control, receiver: Any) -> None:
    body = json.dumps({"id": "evt_1", "object": "event", "type": "x", "data": {"object": {}}})
    old = control.sign(body, at=int(time.time()) - 301)
    foreign = control.sign(body, secrets=["whsec_foreign"])
    assert control.send(body, old) == [200]
    assert control.send(body, None, url=receiver.url) == [200]
    assert control.send(body, foreign, url="http://127.0.0.1:1/closed") == [0]
    assert [signature for signature, _ in receiver.came] == [old, ""]
    with pytest.raises(stripe.SignatureVerificationError, match="tolerance"):
        stripe.Webhook.construct_event(body, old, SECRET)
    assert stripe.Webhook.construct_event(body, foreign, "whsec_foreign").id == "evt_1"
