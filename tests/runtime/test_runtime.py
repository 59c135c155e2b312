"""A running marketplace: its backends go and come back, handlers fail, and it is stopped in the middle."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.services.books import check
from tests.services.shop import Shop
from tests.services.stage import Faulty, Stage

from ticketkit.backends.errors import Unavailable
from ticketkit.domain.decision import Changes, Fact, Keys
from ticketkit.domain.entities import OrderStatus, Ticket
from ticketkit.events.catalogue import OrderCompleted, OrderCreated, TicketUpdated
from ticketkit.events.envelope import Envelope
from ticketkit.ids import new_id
from ticketkit.marketplace import Marketplace
from ticketkit.services.commands import Commands

if TYPE_CHECKING:
    from ticketkit.events.envelope import Event

BUSES = pytest.mark.parametrize("bus", ["memory:", "stage:bus"], ids=["inside the process", "between processes"])


class Poison:
    """An app's handler that fails until it is told otherwise."""

    def __init__(self, market: Marketplace, *, consumer: str = "receipts") -> None:
        self.bad: set[str] = set()
        self.tries: list[str] = []
        self.seen: list[str] = []
        market.on(OrderCreated, consumer=consumer)(self.handle)

    async def handle(self, event: Event[OrderCreated]) -> None:
        self.tries.append(event.data.id)
        if event.data.id in self.bad or "all" in self.bad:
            message = "it is poison"
            raise RuntimeError(message)
        self.seen.append(event.data.id)


# --- stopping --------------------------------------------------------------------------------------------------------


@BUSES
async def test_a_stop_finishes_what_is_under_way(bus: str) -> None:
    stage = Stage()
    market = stage.market(bus=bus, drain=5)
    heard: list[str] = []

    @market.on(OrderCompleted, consumer="receipts")
    async def receipt(event: Event[OrderCompleted]) -> None:
        await anyio.sleep(0.05)
        heard.append(event.data.id)

    async with market:
        shop = Shop(market)
        order = await shop.order()
        async with anyio.create_task_group() as group:
            group.start_soon(partial(market.payments.pay, "buyer", order.id, token="tok_visa"))
            while not stage.provider.books().charges:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    assert heard == [order.id]
    assert (await stage.storage().inner.totals()).unpublished == 0
    [booked] = stage.provider.books().charges
    assert booked.captured == order.total.minor


async def test_a_stop_does_not_wait_longer_than_it_is_told_to(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    market = stage.market(drain=0.1)
    market.on(OrderCreated, consumer="slow")(lambda _: anyio.sleep_forever())
    async with market:
        order = await Shop(market).order()
    assert "go on at the next start" in caplog.text
    again, heard = stage.market(), []

    @again.on(OrderCreated, consumer="slow")
    async def hear(event: Event[OrderCreated]) -> None:
        heard.append(event.data.id)

    async with again:
        await stage.clock.advance(seconds=10)
    assert heard == [order.id], "and they do"


async def test_it_is_not_ready_before_it_runs_nor_while_it_stops() -> None:
    stage = Stage()
    market = stage.market(drain=5)
    seen: list[dict[str, str]] = []

    @market.on(OrderCreated, consumer="receipts")
    async def look(event: Event[OrderCreated]) -> None:
        while not (await market.runtime.ready()):  # noqa: ASYNC110 - until the stop has begun
            await anyio.sleep(0.001)
        seen.append(await market.runtime.ready())

    assert await market.runtime.ready() == {"runtime": "starting"}
    async with market:
        assert await market.runtime.ready() == {}
        tickets = await Shop(market).tickets()
        await market.orders.place("buyer", [tickets[0].id])
        await stage.clock.settle()
    assert seen == [{"runtime": "stopping"}]
    assert await market.runtime.ready() == {"runtime": "starting"}


async def test_it_is_not_ready_while_a_storage_is_away() -> None:
    stage = Stage()
    async with stage.market() as market:
        stage.storage().goes()
        assert list(await market.runtime.ready()) == ["storage inventory+payments"]
        stage.storage().comes_back()
        assert await market.runtime.ready() == {}


async def test_it_is_not_ready_while_it_is_not_subscribed() -> None:
    stage = Stage()
    market = stage.market(bus="stage:bus", drain=0)
    stage.bus().goes("subscribe")
    started = anyio.Event()

    async def run() -> None:
        async with market:
            started.set()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await stage.clock.advance(minutes=1)
        assert not started.is_set()
        assert "not subscribed" in set((await market.runtime.ready()).values())
        stage.bus().comes_back()
        await stage.clock.advance(seconds=10)
        assert started.is_set()
        assert await market.runtime.ready() == {}
        group.cancel_scope.cancel()


# --- backends that go away -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["bus", "storage", "inventory", "payments"])
@pytest.mark.parametrize("minutes", [1, 20])
async def test_what_is_away_for_a_while_loses_nothing_and_buries_nothing(what: str, minutes: float) -> None:
    stage = Stage()
    async with stage.market(
        storage="stage:inventory", payment_storage="stage:payments", bus="stage:bus", timers="stage:timers"
    ) as market:
        shop = Shop(market)
        orders = [await shop.order() for _ in range(4)]
        away: list[Faulty] = {
            "bus": [stage.bus()],
            "inventory": [stage.storage("inventory")],
            "payments": [stage.storage("payments")],
            "storage": [stage.storage("inventory"), stage.storage("payments")],
        }[what]  # type: ignore[assignment]
        async with anyio.create_task_group() as group:
            for order in orders[:3]:
                group.start_soon(_pays, market, order.id)
            for _ in range(6):
                await anyio.lowlevel.checkpoint()
            for backend in away:
                backend.goes()
            await stage.clock.advance(minutes=minutes)
            for backend in away:
                backend.comes_back()
            await stage.clock.advance(minutes=30)
        assert await stage.bus().inner.dead_letters(10) == []
        for order in orders:
            assert (await shop.order_now(order)).status.final
        await check(shop.inventory, shop.payments, stage.provider.books())


async def _pays(market: Marketplace, order_id: str) -> None:
    try:
        await market.payments.pay("buyer", order_id, token="tok_visa")
    except Unavailable:
        return


async def test_a_pause_is_short_once_all_is_back() -> None:
    stage = Stage()
    async with stage.market(bus="stage:bus") as market:
        shop = Shop(market)
        stage.bus().goes()
        order = await shop.order()
        await stage.clock.advance(hours=0.2)
        stage.bus().comes_back()
        await stage.clock.advance(seconds=5)
        charge = await shop.pay(order)
        await stage.clock.advance(seconds=5)
        assert charge.order_id == order.id
        assert (await shop.order_now(order)).status is OrderStatus.COMPLETED


# --- handlers that fail ----------------------------------------------------------------------------------------------


@BUSES
async def test_a_poison_event_is_a_dead_letter_after_eight_tries_and_stalls_no_other(bus: str) -> None:
    stage = Stage()
    market = stage.market(bus=bus)
    poison = Poison(market)
    async with market:
        shop = Shop(market)
        [ticket] = await shop.tickets()
        poison.bad.add("all")
        bad = (await market.orders.place("buyer", [ticket.id])).order
        await stage.clock.settle()
        poison.bad = {bad.id}
        good = [await shop.order() for _ in range(5)]
        assert poison.seen == [order.id for order in good]
        assert await _dead(stage, bus) == []
        await stage.clock.advance(minutes=5)
        assert poison.tries.count(bad.id) == 8
        assert await _dead(stage, bus) == [bad.id]
        await stage.clock.advance(hours=1)
        assert poison.tries.count(bad.id) == 8
        assert (await shop.order_now(bad)).status is OrderStatus.CANCELLED, "other consumers are not concerned"


@BUSES
async def test_a_replayed_dead_letter_is_handled(bus: str) -> None:
    stage = Stage()
    market = stage.market(bus=bus)
    poison = Poison(market)
    async with market:
        shop = Shop(market)
        poison.bad.add("all")
        order = await shop.order()
        await stage.clock.advance(minutes=5)
        assert await _dead(stage, bus) == [order.id]
        poison.bad.clear()
        if bus == "memory:":
            [dead] = await shop.inventory.dead_events(10)
            assert await shop.inventory.replay_event(dead.event.id)
        else:
            [letter] = await stage.bus().inner.dead_letters(10)
            assert await stage.bus().inner.replay_dead_letter(letter.id)
        await stage.clock.advance(seconds=1)
        assert poison.seen == [order.id]
        assert await _dead(stage, bus) == []


async def test_an_event_of_a_newer_release_waits_and_one_that_is_none_is_buried() -> None:
    stage = Stage()
    market = stage.market(bus="stage:bus")
    poison = Poison(market)
    async with market:
        base = Envelope(
            id=new_id(),
            type="ticketkit.order.created.v9",
            source="/ticketkit/orders",
            subject="from tomorrow",
            time=stage.clock.now(),
            aggregateversion=1,
            data=b"{}",
        )
        await stage.bus().publish([base, replace(base, id=new_id(), type="ticketkit.order.created.v1", subject="bad")])
        await stage.clock.advance(hours=1)
        letters = await stage.bus().inner.dead_letters(10)
        assert {(letter.group, letter.event.subject) for letter in letters} == {
            (group, "bad") for group in ("receipts", "payments", "expiration")
        }
        assert poison.tries == []


async def test_a_handler_that_fails_is_logged_with_its_event(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    market = stage.market()
    poison = Poison(market)
    poison.bad.add("all")
    async with market:
        with caplog.at_level(logging.WARNING):
            await Shop(market).order()
    [record, *_] = [record for record in caplog.records if getattr(record, "consumer", None) == "receipts"]
    assert "try 1 of ticketkit.order.created.v1 failed" in record.getMessage()
    assert record.exc_info is not None


# --- what is kept, and for how long ----------------------------------------------------------------------------------


async def test_what_was_kept_long_enough_is_purged() -> None:
    stage = Stage()
    inner, began = stage.storage().inner, stage.clock.now()
    async with stage.market() as market:
        [ticket] = await Shop(market).tickets()
        order = (await market.orders.place("buyer", [ticket.id], command_key="click")).order
    published = set(inner._outbox._published)
    assert published

    def commands() -> list[str | None]:
        return [kept.record.command.consumer for kept in inner._records.values() if kept.at == began]

    await stage.clock.advance(hours=23)
    async with stage.market() as market:
        await stage.clock.settle()
        again = await market.orders.place("buyer", [ticket.id], command_key="click")
        assert again.order.id == order.id, "a key is kept for a day"
    await stage.clock.advance(hours=1, seconds=1)
    async with stage.market():
        await stage.clock.settle()
        assert None not in commands()
        assert published <= set(inner._outbox._published), "events can be replayed for two days"
    await stage.clock.advance(days=1)
    async with stage.market():
        await stage.clock.settle()
        assert not published & set(inner._outbox._published)
        assert "payments" in commands(), "marks outlive what is replayed"
    await stage.clock.advance(days=12)
    async with stage.market():
        await stage.clock.settle()
        assert not published & {kept.record.command.event_id for kept in inner._records.values()}


async def test_purging_a_storage_that_is_away_is_tried_again() -> None:
    stage = Stage()
    async with stage.market():
        stage.storage().goes("purge")
        await stage.clock.advance(minutes=11)
        stage.storage().comes_back()
        stage.storage().calls.clear()
        await stage.clock.advance(seconds=10)
        assert "purge" in stage.storage().calls


# --- events of an app ------------------------------------------------------------------------------------------------


async def test_an_event_for_which_there_is_no_handler_is_published_all_the_same() -> None:
    stage = Stage()
    async with stage.market() as market:
        [ticket] = await Shop(market).tickets()
        await stage.storage().inner.decide(
            Keys.of(Ticket.key(ticket.id)),
            lambda state: Changes(
                put=(replace(state.require(Ticket, ticket.id), title="Another"),),
                facts=(Fact("ticket.updated", Ticket.key(ticket.id)),),
            ),
            Commands(new_id).ask("test", actor=None),
        )
        await stage.clock.settle()
        assert (await stage.storage().inner.totals()).unpublished == 0


async def test_a_handler_can_use_the_marketplace_and_its_events_come_too() -> None:
    stage = Stage()
    market = stage.market()
    titles: list[Any] = []

    @market.on(OrderCreated, consumer="repricing")
    async def reprice(event: Event[OrderCreated]) -> None:
        [other] = [t for t in listed if t.id not in {line.ticket_id for line in event.data.lines}]
        await market.tickets.edit("seller", other.id, title="The last one!", price=other.price)

    @market.on(TicketUpdated, consumer="web")
    async def show(event: Event[TicketUpdated]) -> None:
        titles.append(event.data.title)

    async with market:
        listed = await Shop(market).tickets("1", "2")
        await market.orders.place("buyer", [listed[0].id])
        await stage.clock.settle()
        assert titles == ["The last one!"]


async def _dead(stage: Stage, bus: str) -> list[str]:
    if bus == "memory:":
        return [dead.event.subject for dead in await stage.storage().inner.dead_events(10)]
    return [letter.event.subject for letter in await stage.bus().inner.dead_letters(10)]


def test_what_is_kept_outlives_what_needs_it() -> None:
    from ticketkit.runtime.runtime import KEEP_COMMANDS, KEEP_EVENTS, KEEP_MARKS

    assert timedelta(hours=24) <= KEEP_COMMANDS <= KEEP_EVENTS < KEEP_MARKS
