"""Payments that arrive within 200 ms of their order's expiry, on the virtual clock: 5 s later none is in between."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

import anyio
import pytest
from tests.services.books import check, every
from tests.services.shop import Shop

from ticketkit.backends.payments import ProviderStatus
from ticketkit.domain.entities import Charge, ChargeStatus, Order, OrderStatus
from ticketkit.domain.errors import Conflict
from ticketkit.domain.policy import Policy

NUMBER = 80
APART = 0.2
"""Seconds, before or after the expiry."""
SLOW = 0.05
"""Seconds that each call of the provider takes."""
HOLD = timedelta(seconds=10)
POLICIES = [
    pytest.param({"policy": Policy(hold=HOLD)}, id="with a grace that suffices"),
    pytest.param({"policy": Policy(hold=HOLD, payment_grace=timedelta(seconds=0.06))}, id="with one that is too short"),
]


async def pay(shop: Shop, order: Order, after: float, ends: Counter[str]) -> None:
    await shop.clock.sleep(after)
    try:
        charge = await shop.market.payments.pay(order.buyer_id, order.id, token="tok_visa")
    except Conflict as error:
        ends[error.code] += 1
    else:
        ends[charge.status if charge.status is ChargeStatus.COMPLETED else str(charge.code)] += 1


@pytest.mark.parametrize("market_options", POLICIES)
async def test_none_is_in_between_five_seconds_after_its_expiry(shop: Shop) -> None:
    chance, ends = random.Random(1), Counter[str]()
    orders = [await shop.order(buyer=f"buyer {number}") for number in range(NUMBER)]
    shop.provider.faults.slow(SLOW)
    until = (orders[0].expires_at - shop.clock.now()).total_seconds()
    async with anyio.create_task_group() as group:
        for order in orders:
            group.start_soon(pay, shop, order, until + chance.uniform(-APART, APART), ends)
        await shop.clock.settle()
        await shop.clock.advance(seconds=until + APART + 5)
    found, charges = await every(shop.inventory, Order), await every(shop.payments, Charge)
    assert {order.status for order in found.values()} == {OrderStatus.COMPLETED, OrderStatus.CANCELLED}
    assert all(charge.status.final and not charge.owes_void for charge in charges.values())
    over = {ProviderStatus.CAPTURED, ProviderStatus.VOID}
    assert {booked.status for booked in shop.provider.books().charges} <= over, "no money is held for nothing"
    await check(shop.inventory, shop.payments, shop.provider.books())
    completed = sum(order.status is OrderStatus.COMPLETED for order in found.values())
    assert ends["completed"] == completed > 10, "who was told that it is paid has their tickets"
    assert ends["order_expired"] == NUMBER - completed > 10, "and who has none was told that they were not charged"
