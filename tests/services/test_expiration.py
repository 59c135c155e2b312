from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.services.books import check
from tests.services.shop import Shop
from tests.services.stage import Stage

from ticketkit.domain.entities import CancelReason, Order, OrderStatus
from ticketkit.domain.money import Money
from ticketkit.domain.tickets import Listing
from ticketkit.events.catalogue import Amount, OrderState
from ticketkit.events.envelope import Envelope, Event
from ticketkit.ids import new_id
from ticketkit.memory import MemoryBus, MemoryTimers, VirtualClock
from ticketkit.services.expiration import Expiration

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(minutes=15)
LATER = END + timedelta(seconds=60)
LISTING = Listing(title="A seat", price=Money(100, "USD"))


def heard(version: int, status: OrderStatus, expires_at: datetime) -> Event[Any]:
    data = OrderState(
        id="order",
        version=version,
        user_id="buyer",
        status=status,
        expires_at=expires_at,
        total=Amount(minor=1, currency="USD"),
        lines=(),
    )
    envelope = Envelope(
        id=new_id(),
        type="ticketkit.order.created.v1",
        source="/test",
        subject="order",
        time=START,
        aggregateversion=version,
        data=b"{}",
    )
    return Event(envelope, data)


CREATED = heard(1, OrderStatus.CREATED, END)
EXTENDED = heard(2, OrderStatus.CREATED, LATER)
OVER = heard(3, OrderStatus.COMPLETED, LATER)


class Watched:
    """An expiration service, and what it says."""

    def __init__(self) -> None:
        self.clock = VirtualClock(start=START)
        self.bus = MemoryBus(self.clock)
        self.expiration = Expiration(MemoryTimers(self.clock, new_id), self.bus, clock=self.clock, new_id=new_id)

    async def said(self) -> list[datetime]:
        """When it said that the order is due, minute by minute over twenty."""
        found = []
        async with self.bus.subscribe("test", ["order.expiration_due"]) as subscription:
            for _ in range(20 * 60):
                await self.clock.advance(seconds=1)
                if await self.expiration.fire():
                    assert all(one.event.subject == "order" for one in await subscription.receive(10))
                    found.append(self.clock.now())
        return found


@pytest.mark.parametrize("events", list(itertools.permutations([CREATED, EXTENDED])))
async def test_a_prolonged_lock_is_said_to_be_due_at_its_end_whatever_came_first(
    events: tuple[Event[Any], ...],
) -> None:
    watched = Watched()
    for event in (*events, *events):
        await watched.expiration.handle_order(event)
    assert await watched.said() == [END, LATER]


async def test_an_order_that_is_over_is_not_due_at_its_last_end() -> None:
    watched = Watched()
    for event in (CREATED, EXTENDED, OVER):
        await watched.expiration.handle_order(event)
    assert await watched.said() == [END]


async def test_a_lock_is_never_said_to_be_due_early() -> None:
    watched = Watched()
    await watched.expiration.handle_order(CREATED)
    await watched.clock.advance(minutes=14, seconds=59)
    assert await watched.expiration.fire() == 0
    await watched.clock.advance(seconds=1)
    assert await watched.expiration.fire() == 1


# --- in a whole marketplace ------------------------------------------------------------------------------------------


async def due(stage: Stage, order: Order) -> None:
    """What expiration says, whether it is so or not."""
    expiration = Expiration(MemoryTimers(stage.clock, new_id), stage.bus(), clock=stage.clock, new_id=new_id)
    await stage.bus().publish([expiration._event(order.id, order.expires_at)])
    await stage.clock.settle()


async def test_orders_expire_also_when_all_timers_are_lost() -> None:
    stage = Stage()
    async with stage.market(timers="stage:timers") as market:
        shop = Shop(market)
        order = await shop.order()
        stage.timers["timers"]._timers.clear()
        await stage.clock.advance(minutes=14, seconds=59)
        assert (await shop.order_now(order)).status is OrderStatus.CREATED
        await stage.clock.advance(seconds=6)
        now = await shop.order_now(order)
        assert (now.status, now.reason) == (OrderStatus.CANCELLED, CancelReason.EXPIRED)


async def test_orders_expire_while_nobody_runs_expiration() -> None:
    stage = Stage()
    async with stage.market(services=["tickets", "orders"], bus="stage:bus") as market:
        [ticket] = await Shop(market).tickets()
        order = (await market.orders.place("buyer", [ticket.id])).order
        await stage.clock.advance(minutes=15, seconds=6)
        assert (await market.orders.get("buyer", order.id)).order.reason is CancelReason.EXPIRED


async def test_an_early_timer_is_harmless() -> None:
    stage = Stage()
    async with stage.market(bus="stage:bus") as market:
        shop = Shop(market)
        order = await shop.order()
        for _ in range(3):
            await stage.clock.advance(minutes=4)
            await due(stage, order)
            assert (await shop.order_now(order)).version == order.version


async def test_a_late_or_repeated_timer_is_harmless() -> None:
    stage = Stage()
    async with stage.market(bus="stage:bus") as market:
        shop = Shop(market)
        paid, expired = await shop.order(), await shop.order()
        await shop.pay(paid)
        await stage.clock.advance(minutes=15)
        before = [await shop.order_now(order) for order in (paid, expired)]
        assert [order.status for order in before] == [OrderStatus.COMPLETED, OrderStatus.CANCELLED]
        for _ in range(2):
            for order in (paid, expired):
                await due(stage, order)
            await stage.clock.advance(minutes=1)
        assert [await shop.order_now(order) for order in (paid, expired)] == before
        await due(stage, replace(paid, id="unknown"))
        assert await stage.bus().inner.dead_letters(10) == []
        await check(shop.inventory, shop.payments, stage.provider.books())


async def test_a_timer_that_could_not_be_said_is_said_when_the_bus_is_back() -> None:
    stage = Stage()
    async with stage.market(services=["expiration"], bus="stage:bus", timers="stage:timers"):
        await stage.timers["timers"].schedule("order", stage.clock.now() + timedelta(minutes=1))
        stage.bus().goes("publish")
        async with stage.bus().inner.subscribe("test", ["order.expiration_due"]) as subscription:
            await stage.clock.advance(minutes=10)
            stage.bus().comes_back()
            await stage.clock.advance(seconds=31)
            [delivery] = await subscription.receive(10)
            assert delivery.event.subject == "order"
            assert stage.timers["timers"]._timers == {}


async def test_a_thousand_locks_end_in_time() -> None:
    stage = Stage()
    async with stage.market(timers="stage:timers") as market:
        shop = Shop(market)
        for batch in range(20):
            tickets = await market.tickets.import_all("seller", [LISTING] * 50)
            for number, ticket in enumerate(tickets):
                await market.orders.place(f"buyer {batch}/{number}", [ticket.id])
        await stage.clock.advance(minutes=15)
        counts = (await shop.inventory.totals()).by_status
        assert counts["order", "cancelled"] == counts["ticket", "available"] == 1000
