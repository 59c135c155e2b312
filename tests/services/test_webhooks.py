"""Webhooks of the payment provider: hints that may come twice, late, never, or from somebody else."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.services.shop import Shop

from ticketkit.backends.errors import BadWebhook, Unavailable
from ticketkit.domain.entities import Charge, ChargeStatus, OrderStatus, Webhook
from ticketkit.memory._webhooks import sign
from ticketkit.memory.faults import Operation
from ticketkit.memory.payments import DEVELOPMENT_SECRET
from ticketkit.services.webhooks import WebhookOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping


def notice(
    reference: str | None, *, id: str = "notice", what: str = "payment.authorized", charge_id: str | None = None
) -> bytes:
    return json.dumps({"id": id, "what": what, "reference": reference, "charge_id": charge_id}).encode()


def signed(shop: Shop, body: bytes, *, secret: str = DEVELOPMENT_SECRET) -> Mapping[str, str]:
    return sign(body, secret=secret, now=shop.clock.now())


async def outcome_of(shop: Shop, id: str) -> str | None:
    found = (await shop.payments.get([Webhook.key(id)]))[Webhook.key(id)]
    assert isinstance(found, Webhook)
    return found.outcome


async def pending(shop: Shop) -> Charge:
    shop.provider.faults.webhooks("never")
    return await shop.pay(await shop.order(), "tok_pending")


async def test_a_webhook_is_counted_once_however_often_it_comes(shop: Shop) -> None:
    charge = await pending(shop)
    await shop.provider.resolve(str(charge.reference))
    body = notice(charge.reference)
    assert [await shop.market.payments.receive_webhook(signed(shop, body), body) for _ in range(3)] == [1, 0, 0]
    await shop.clock.settle()
    assert (await shop.charge_now(charge)).status is ChargeStatus.COMPLETED


async def test_a_webhook_that_says_more_than_the_books_changes_nothing(shop: Shop) -> None:
    charge = await pending(shop)
    body = notice(charge.reference, what="payment.captured")
    await shop.market.payments.receive_webhook(signed(shop, body), body)
    await shop.clock.settle()
    assert (await shop.charge_now(charge)).status is ChargeStatus.CREATED


async def test_a_forged_webhook_is_refused_and_leaves_no_trace(shop: Shop) -> None:
    charge = await pending(shop)
    await shop.provider.resolve(str(charge.reference))
    body = notice(charge.reference)
    for headers in ({}, signed(shop, body, secret="guessed"), signed(shop, body + b" ")):
        with pytest.raises(BadWebhook):
            await shop.market.payments.receive_webhook(headers, body)
    await shop.clock.settle()
    assert (await shop.charge_now(charge)).status is ChargeStatus.CREATED
    assert (await shop.payments.scan("webhook")).items == ()


@pytest.mark.parametrize("seconds", [-301, 301])
async def test_a_webhook_from_another_time_is_refused(shop: Shop, seconds: int) -> None:
    body = notice(None)
    headers = signed(shop, body)
    if seconds > 0:
        await shop.clock.advance(seconds=seconds)
    else:
        headers = sign(body, secret=DEVELOPMENT_SECRET, now=shop.clock.now().replace(year=2027))
    with pytest.raises(BadWebhook):
        await shop.market.payments.receive_webhook(headers, body)


async def test_a_webhook_about_somebody_elses_payment_is_noted_and_passed_over(shop: Shop) -> None:
    for id, reference in (("1", "theirs"), ("2", None)):
        body = notice(reference, id=id)
        await shop.market.payments.receive_webhook(signed(shop, body), body)
    await shop.clock.settle()
    hooks = (await shop.payments.scan("webhook")).items
    assert sorted(str(getattr(hook, "outcome", "")) for hook in hooks) == ["ignored", "unknown charge"]


async def test_a_webhook_that_comes_before_its_reference_is_committed_finds_its_charge(shop: Shop) -> None:
    order = await shop.order()
    shop.provider.faults.time_out_after_effect(Operation.PREPARE)
    async with anyio.create_task_group() as group:
        group.start_soon(partial(shop.market.payments.pay, "buyer", order.id, token="tok_visa"))
        await shop.clock.settle()
        [charge], [booked] = await shop.charges(order), shop.provider.books().charges
        assert (charge.reference, booked.charge_id) == (None, charge.id)
        body = notice(booked.reference, charge_id=charge.id)
        assert await shop.market.payments.receive_webhook(signed(shop, body), body) == 1
        await shop.clock.settle()
        assert (await shop.charge_now(charge)).status is ChargeStatus.COMPLETED, "before its deadline"
    assert await outcome_of(shop, "fake:notice") == WebhookOutcome.APPLIED


async def test_a_webhook_of_another_provider_does_not_touch_a_charge_of_this_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge = await pending(shop)
    await shop.provider.resolve(str(charge.reference))
    monkeypatch.setattr(shop.provider, "name", "other")
    body = notice(charge.reference, charge_id=charge.id)
    assert await shop.market.payments.receive_webhook(signed(shop, body), body) == 1
    await shop.clock.settle()
    assert await outcome_of(shop, "other:notice") == WebhookOutcome.UNKNOWN_CHARGE
    assert (await shop.charge_now(charge)).status is ChargeStatus.CREATED
    monkeypatch.undo()


async def test_a_webhook_that_comes_while_the_books_cant_be_read_is_applied_later(shop: Shop) -> None:
    charge = await pending(shop)
    await shop.provider.resolve(str(charge.reference))
    shop.provider.faults.unavailable()
    body = notice(charge.reference)
    assert await shop.market.payments.receive_webhook(signed(shop, body), body) == 1
    await shop.clock.advance(seconds=20)
    assert (await shop.charge_now(charge)).status is ChargeStatus.CREATED
    shop.provider.faults.available()
    await shop.clock.advance(seconds=6)
    assert (await shop.charge_now(charge)).status is ChargeStatus.COMPLETED


async def test_a_webhook_that_comes_long_after_the_end_changes_nothing(shop: Shop) -> None:
    charge = await shop.pay(await shop.order())
    await shop.clock.advance(hours=2)
    body = notice(charge.reference)
    await shop.market.payments.receive_webhook(signed(shop, body), body)
    await shop.clock.settle()
    found = await shop.charge_now(charge)
    assert (found.status, found.version) == (ChargeStatus.COMPLETED, charge.version)


async def test_webhooks_race_the_answers_of_the_calls_without_harm(shop: Shop) -> None:
    shop.provider.faults.webhooks("twice")
    for token, status in (("tok_visa", OrderStatus.COMPLETED), ("tok_chargeDeclined", OrderStatus.CANCELLED)):
        order = await shop.order()
        await shop.pay(order, token)
        await shop.clock.settle()
        assert (await shop.order_now(order)).status is status
        assert len(await shop.charges(order)) == 1


async def test_a_webhook_that_cant_be_applied_holds_up_no_other(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    charges = [await pending(shop), await pending(shop)]
    retrieve = shop.provider.retrieve

    async def failing(reference: str) -> object:
        if reference == charges[0].reference:
            raise RuntimeError
        return await retrieve(reference)

    with monkeypatch.context() as patch:
        patch.setattr(shop.provider, "retrieve", failing)
        for number, charge in enumerate(charges):
            await shop.provider.resolve(str(charge.reference))
            body = notice(charge.reference, id=str(number))
            await shop.market.payments.receive_webhook(signed(shop, body), body)
        await shop.clock.advance(seconds=5)
        assert (await shop.charge_now(charges[1])).status is ChargeStatus.COMPLETED
    await shop.clock.advance(seconds=40)
    assert (await shop.charge_now(charges[0])).status is ChargeStatus.COMPLETED, "the reconciler comes anyway"


async def test_a_webhook_that_cant_be_stored_is_not_answered(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    body = notice("any")

    async def away(*arguments: object) -> None:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(shop.payments, "decide", away)
        with pytest.raises(Unavailable):
            await shop.market.payments.receive_webhook(signed(shop, body), body)
    assert await shop.market.payments.receive_webhook(signed(shop, body), body) == 1
