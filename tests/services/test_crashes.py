"""A purchase is stopped at each of its commits, and ends right when somebody starts the marketplace again."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import count

import anyio
import pytest
from tests.services.books import check
from tests.services.shop import Shop
from tests.services.stage import Stage

from ticketkit.backends.errors import BackendError
from ticketkit.domain.entities import Order, OrderStatus
from ticketkit.domain.errors import OrderClosed
from ticketkit.domain.policy import OnDecline, Policy

BUYS = {"tok_visa": OrderStatus.COMPLETED, "tok_chargeDeclined": OrderStatus.CANCELLED}


@pytest.mark.parametrize("stop_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("token", BUYS)
@pytest.mark.parametrize("comes_back", [False, True], ids=["walks away", "tries again"])
async def test_a_purchase_that_is_stopped_at_any_commit_ends_right(
    token: str,
    *,
    stop_after: bool,
    comes_back: bool,
) -> None:
    for number in count(1):
        stage = Stage()
        order, stopped = await _stopped_at(stage, number, stop_after=stop_after, token=token)
        ended = await _resumed(stage, order, token=token, comes_back=comes_back)
        if comes_back:
            assert ended.status is BUYS[token], f"stopped at commit {number}"
        if not stopped:
            assert number > 4, "a purchase has more commits"
            return


@pytest.mark.parametrize("stop_after", [False, True], ids=["before", "after"])
async def test_a_refund_that_is_stopped_at_any_commit_gives_back_once(*, stop_after: bool) -> None:
    for number in count(1):
        stage = Stage()
        async with stage.market() as market:
            shop = Shop(market)
            charge = await shop.pay(await shop.order())
        _stop(stage, number, stop_after=stop_after)
        async with stage.market(drain=0) as market, anyio.create_task_group() as group:
            group.start_soon(partial(market.payments.refund, charge.id, actor="seller", command_key="return"))
            await stage.clock.settle()
            group.cancel_scope.cancel()
        stopped = stage.storage().stopped.is_set()
        stage.storage().go_on()
        async with stage.market() as market:
            refund = await Shop(market).refund(charge, key="return")
            await stage.clock.advance(minutes=1)
            shop = Shop(market)
            assert shop.booked(charge).refunded == charge.amount.minor
            assert [refund.id] == list((await shop.charge_now(charge)).refund_ids)
            await check(shop.inventory, shop.payments, stage.provider.books())
        if not stopped:
            return


@pytest.mark.parametrize("number", range(1, 12))
async def test_a_lost_answer_of_the_storage_never_charges_twice(number: int) -> None:
    stage = Stage()
    async with stage.market() as market:
        shop = Shop(market)
        order = await shop.order()
        stage.storage().lose_at = stage.storage().commits + number
        with suppress(BackendError):
            await shop.pay(order, key="click")
        await stage.clock.advance(minutes=2)
        with suppress(OrderClosed):
            await shop.pay(order, key="click")
        await stage.clock.advance(minutes=1)
        assert (await shop.order_now(order)).status is OrderStatus.COMPLETED
        await check(shop.inventory, shop.payments, stage.provider.books())


def _stop(stage: Stage, number: int, *, stop_after: bool) -> None:
    storage = stage.storage()
    storage.stop_at, storage.stop_after = storage.commits + number, stop_after


async def _stopped_at(stage: Stage, number: int, *, stop_after: bool, token: str) -> tuple[Order, bool]:
    """Buy, and stop the world at a commit of the purchase."""
    storage = stage.storage()
    async with stage.market(drain=0) as market:
        order = await Shop(market).order()
        _stop(stage, number, stop_after=stop_after)
        async with anyio.create_task_group() as group:
            group.start_soon(partial(market.payments.pay, "buyer", order.id, token=token, command_key="click"))
            await stage.clock.settle()
            group.cancel_scope.cancel()
    stopped = storage.stopped.is_set()
    storage.go_on()
    return order, stopped


async def _resumed(stage: Stage, order: Order, *, token: str, comes_back: bool) -> Order:
    async with stage.market(policy=Policy(on_decline=OnDecline.CANCEL)) as market:
        shop = Shop(market)
        if comes_back:
            await stage.clock.advance(seconds=6)
            try:
                await shop.pay(order, token, key="click")
            except OrderClosed:
                assert (await shop.order_now(order)).status.final
        for _ in range(20):
            await stage.clock.advance(minutes=1)
            if (await shop.order_now(order)).status.final:
                break
        await stage.clock.advance(minutes=1)
        ended = await shop.order_now(order)
        assert ended.status.final
        await check(shop.inventory, shop.payments, stage.provider.books())
        return ended
