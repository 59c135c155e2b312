"""Operations: locks are listed and released; what is being paid is left alone."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.services.shop import Shop
from tests.services.stage import Stage

from ticketkit.domain.entities import CancelReason, ChargeStatus, OrderStatus, TicketStatus
from ticketkit.domain.errors import NotFound, OrderClosed
from ticketkit.runtime.runtime import NotRunning

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ticketkit.domain.entities import Order


@asynccontextmanager
async def pinned(shop: Shop, *orders: Order) -> AsyncIterator[None]:
    """Inside, the orders are pinned by charges whose capture is under way; after it they are completed."""
    shop.provider.faults.slow(10)
    async with anyio.create_task_group() as group:
        for order in orders:
            group.start_soon(partial(shop.market.payments.pay, order.buyer_id, order.id, token="tok_visa"))
        await shop.clock.advance(seconds=25)
        for order in orders:
            assert (await shop.order_now(order)).status is OrderStatus.AWAITING_PAYMENT
        yield
        shop.provider.faults.slow(0)
        await shop.clock.advance(seconds=10)
        for order in orders:
            assert (await shop.order_now(order)).status is OrderStatus.COMPLETED


async def test_locks_are_listed_by_their_end_soonest_first_page_by_page(shop: Shop) -> None:
    placed: list[Order] = []
    for number in range(5):
        placed.append(await shop.order(buyer=f"buyer-{number}"))
        await shop.clock.advance(seconds=1)
    await shop.market.orders.prolong("buyer-0", placed[0].id)
    await shop.market.orders.cancel("buyer-2", placed[2].id)
    soonest = [placed[n].id for n in (1, 3, 4, 0)]
    found, cursor = [], None
    for _ in range(2):
        page = await shop.market.operations.locks(limit=2, cursor=cursor)
        found += [order.id for order in page.items]
        cursor = page.next
    assert (found, cursor) == (soonest, None)
    assert [order.id for order in (await shop.market.operations.locks()).items] == soonest


async def test_a_released_lock_frees_its_tickets_at_once_and_says_who_did_it(shop: Shop) -> None:
    order = await shop.order("10", "20")
    released = await shop.market.operations.release(order.id, actor="olga")
    assert (released.status, released.reason) == (OrderStatus.CANCELLED, CancelReason.EXPIRED)
    assert released.extra == {"ticketkit": {"releasedBy": "olga"}}
    assert {ticket.status for ticket in await shop.tickets_now(order)} == {TicketStatus.AVAILABLE}
    assert (await shop.market.operations.locks()).items == ()
    again = await shop.market.operations.release(order.id, actor="otto")
    assert again == released


async def test_a_charge_that_was_begun_for_a_released_lock_takes_no_money(shop: Shop) -> None:
    order = await shop.order()
    charge = await shop.pay(order, "tok_threeDSecure")
    assert charge.status is ChargeStatus.REQUIRES_ACTION
    await shop.market.operations.release(order.id, actor="olga")
    await shop.clock.advance(minutes=1)
    assert (await shop.charge_now(charge)).status is ChargeStatus.FAILED
    assert shop.booked(charge).captured == 0


async def test_what_is_being_paid_or_paid_is_not_released(shop: Shop) -> None:
    order = await shop.order()
    async with pinned(shop, order):
        assert [one.id for one in (await shop.market.operations.locks()).items] == [order.id]
        with pytest.raises(OrderClosed) as refused:
            await shop.market.operations.release(order.id, actor="olga")
        assert refused.value.code == "order_awaiting_payment"
    with pytest.raises(OrderClosed) as refused:
        await shop.market.operations.release(order.id, actor="olga")
    assert refused.value.code == "order_completed"
    with pytest.raises(NotFound):
        await shop.market.operations.release("nothing", actor="olga")


@pytest.mark.parametrize("limit", [0, 1001])
async def test_a_page_of_locks_is_bounded(shop: Shop, limit: int) -> None:
    with pytest.raises(ValueError, match="1 to 1,000"):
        await shop.market.operations.locks(limit=limit)


async def test_operations_are_where_the_inventory_is() -> None:
    stage = Stage()
    for service, there in (("tickets", True), ("orders", True), ("payments", False), ("expiration", False)):
        async with stage.market(services=[service], bus="stage:bus", timers="stage:timers") as market:
            if there:
                assert (await market.operations.locks()).items == ()
            else:
                with pytest.raises(NotRunning, match="the inventory is elsewhere"):
                    _ = market.operations
    with pytest.raises(NotRunning, match="not running"):
        _ = market.operations
