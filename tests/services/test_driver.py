"""Drivers of one charge: any number at once, and whatever the provider says."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.services.books import check
from tests.services.shop import Shop, patiently
from tests.services.stage import Stage

from ticketkit.backends.payments import ProviderStatus
from ticketkit.domain.entities import ChargeStatus, OrderStatus, RefundStatus
from ticketkit.memory.faults import Operation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ticketkit.backends.storage import Storage


@pytest.mark.parametrize("seconds", [0, 0.3])
async def test_two_marketplaces_that_drive_one_charge_take_its_money_once(seconds: float) -> None:
    stage = Stage()
    options = {"bus": "stage:bus", "timers": "stage:timers"}
    async with stage.market(**options) as one, stage.market(**options) as other:
        shops = Shop(one), Shop(other)
        order = await shops[0].order()
        stage.provider.faults.slow(seconds)

        async def pay(shop: Shop) -> None:
            await shop.market.payments.pay("buyer", order.id, token="tok_visa", command_key="click")

        async with anyio.create_task_group() as group:
            for shop in shops:
                group.start_soon(pay, shop)
            await stage.clock.advance(seconds=12)
        for _ in range(3):
            await one.payments.reconcile()
            await other.payments.reconcile()
        [booked] = stage.provider.books().charges
        assert booked.captured == order.total.minor
        await stage.clock.advance(minutes=1)
        await check(shops[0].inventory, shops[0].payments, stage.provider.books())


async def test_a_charge_whose_driver_died_is_driven_on_after_its_patience(shop: Shop) -> None:
    order = await shop.order()
    shop.provider.faults.time_out_after_effect(Operation.AUTHORIZE)
    shop.provider.faults.webhooks("never")
    charge = await shop.pay(order)
    await shop.clock.advance(seconds=31)
    assert (await shop.charge_now(charge)).status is ChargeStatus.COMPLETED


async def test_a_provider_that_comes_and_goes_is_asked_until_all_is_done(shop: Shop) -> None:
    order = await shop.order()
    charge = None
    for _ in range(12):
        shop.provider.faults.unavailable(times=1)
        charge = charge or await shop.pay(order)
        await shop.clock.advance(seconds=6)
    assert charge is not None
    assert (await shop.charge_now(charge)).status is ChargeStatus.COMPLETED
    assert (await shop.order_now(order)).status is OrderStatus.COMPLETED


async def test_many_charges_are_reconciled_together(shop: Shop) -> None:
    orders = [await shop.order(buyer=f"buyer {number}") for number in range(30)]
    shop.provider.faults.unavailable()
    shop.provider.faults.webhooks("never")
    charges = []

    async def pay(number: int) -> None:
        charges.append(await shop.market.payments.pay(f"buyer {number}", orders[number].id, token="tok_visa"))

    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(pay, number)
        await shop.clock.advance(seconds=12)
    shop.provider.faults.available()
    shop.provider.faults.slow(0.5)
    await shop.clock.advance(seconds=30)
    assert {(await shop.charge_now(charge)).status for charge in charges} == {ChargeStatus.COMPLETED}


async def test_money_that_was_taken_behind_its_back_is_given_back(shop: Shop) -> None:
    order = await shop.order()
    charge = await shop.pay(order, "tok_threeDSecure")
    reference = str(charge.reference)
    shop.provider.faults.webhooks("never")
    await shop.provider.confirm_action(reference)
    await patiently(shop.clock, shop.provider.capture(reference, amount=charge.amount, key="somebody"))
    await shop.market.orders.cancel("buyer", order.id)
    await shop.clock.advance(seconds=10)
    ended, [refund] = await shop.market.payments.get("buyer", charge.id)
    assert (ended.status, ended.owes_void, ended.given_back) == (ChargeStatus.FAILED, False, charge.amount.minor)
    assert (refund.status, refund.amount) == (RefundStatus.COMPLETED, charge.amount)
    assert shop.booked(charge).refunded == charge.amount.minor


async def test_a_charge_that_cant_be_driven_on_holds_up_no_other(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = await shop.order(buyer="bad"), await shop.order(buyer="good")
    shop.provider.faults.webhooks("never")
    charges = [await shop.pay(order, "tok_pending") for order in (bad, good)]
    retrieve, tries = shop.provider.retrieve, 0

    async def failing(reference: str) -> object:
        nonlocal tries
        if reference == charges[0].reference:
            tries += 1
            message = "a bug of the provider's"
            raise RuntimeError(message)
        return await retrieve(reference)

    with monkeypatch.context() as patch:
        patch.setattr(shop.provider, "retrieve", failing)
        for charge in charges:
            await shop.provider.resolve(str(charge.reference))
        await shop.clock.advance(minutes=1)
        assert (await shop.order_now(good)).status is OrderStatus.COMPLETED
        assert (await shop.order_now(bad)).status is OrderStatus.CREATED
        assert 1 < tries < 20, "it is tried again, with pauses"
        assert "could not be driven on" in caplog.text
    await shop.clock.advance(seconds=10)
    assert (await shop.order_now(bad)).status is OrderStatus.COMPLETED


async def test_a_charge_given_up_before_it_was_prepared_owes_nothing(shop: Shop) -> None:
    order = await shop.order()
    shop.provider.faults.unavailable()
    charge = await shop.pay(order)
    await shop.market.orders.cancel("buyer", order.id)
    await shop.clock.settle()
    ended = await shop.charge_now(charge)
    assert (ended.status, ended.owes_void, ended.reference) == (ChargeStatus.FAILED, False, None)
    shop.provider.faults.available()
    await shop.clock.advance(minutes=1)
    assert shop.provider.books().charges == ()


async def test_an_object_prepared_for_a_charge_that_was_given_up_meanwhile_is_void(shop: Shop) -> None:
    order = await shop.order()
    shop.provider.faults.slow(2)

    async def pay() -> None:
        await shop.market.payments.pay("buyer", order.id, token="tok_visa")

    async with anyio.create_task_group() as group:
        group.start_soon(pay)
        await shop.clock.advance(seconds=1)
        await shop.market.orders.cancel("buyer", order.id)
        await shop.clock.advance(seconds=10)
    [booked] = shop.provider.books().charges
    assert booked.status is ProviderStatus.VOID


@pytest.mark.parametrize("token", ["tok_visa", "tok_threeDSecure", "tok_chargeDeclined", "tok_taken"])
async def test_the_provider_is_never_called_inside_a_commit(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    deciding, called = ContextVar("deciding", default=False), list[str]()

    def outside(name: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(shop.provider, name)

        async def checked(*args: Any, **options: Any) -> Any:
            assert not deciding.get(), f"{name} inside of a commit"
            called.append(name)
            return await call(*args, **options)

        return checked

    def committing(storage: Storage) -> Callable[..., Awaitable[Any]]:
        decide = storage.decide

        async def marked(*args: Any, **options: Any) -> Any:
            before = deciding.set(True)
            try:
                return await decide(*args, **options)
            finally:
                deciding.reset(before)

        return marked

    for storage in {shop.inventory, shop.payments}:
        monkeypatch.setattr(storage, "decide", committing(storage))
    for name in ("prepare", "authorize", "capture", "void", "refund", "retrieve"):
        monkeypatch.setattr(shop.provider, name, outside(name))
    charge = await shop.pay(await shop.order(), token)
    if charge.status is ChargeStatus.REQUIRES_ACTION:
        await shop.market.orders.cancel("buyer", charge.order_id)
    elif charge.status is ChargeStatus.COMPLETED:
        await shop.refund(charge)
    await shop.clock.advance(minutes=1)
    assert called[:2] == ["prepare", "authorize"]
    assert ("refund" if charge.status is ChargeStatus.COMPLETED else "void") in called
