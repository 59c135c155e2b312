"""Operations: locks are listed and released; a cancelled live event gives everybody their money back, once."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.services.books import check
from tests.services.shop import Shop, patiently
from tests.services.stage import Stage

from ticketkit.backends.storage import TicketQuery
from ticketkit.domain import live_events
from ticketkit.domain.decision import Changes, Command, Keys, State
from ticketkit.domain.entities import CancelReason, ChargeStatus, LiveEvent, LiveEventStatus, OrderStatus, TicketStatus
from ticketkit.domain.errors import NotFound, OrderClosed
from ticketkit.domain.money import Money
from ticketkit.domain.policy import OnRefund, Policy
from ticketkit.domain.tickets import Listing
from ticketkit.runtime.runtime import NotRunning
from ticketkit.services.comparison import Trouble

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ticketkit.domain.entities import Charge, Order


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
    market = stage.market()
    with pytest.raises(NotRunning, match="not running"):
        _ = market.operations


# --- a live event is cancelled, and everybody gets their money back ---


async def gig(shop: Shop) -> LiveEvent:
    start = shop.clock.now() + timedelta(days=30)
    return await shop.market.tickets.announce("promoter", name="Hamlet", venue="Globe", starts_at=start)


async def bought(shop: Shop, event: LiveEvent, *prices: str, buyer: str = "buyer") -> tuple[Order, Charge]:
    order = await ordered(shop, event, *prices, buyer=buyer)
    return order, await shop.pay(order)


async def ordered(shop: Shop, event: LiveEvent, *prices: str, buyer: str = "buyer") -> Order:
    tickets = await shop.tickets(*prices, event_id=event.id)
    placed = await shop.market.orders.place(buyer, [ticket.id for ticket in tickets])
    await shop.clock.settle()
    return placed.order


async def statuses(shop: Shop, event: LiveEvent) -> set[str]:
    found = await shop.market.tickets.find(TicketQuery(event_id=event.id, limit=1000))
    return {ticket.status.value for ticket in found.items}


async def test_a_cancellation_says_first_what_it_would_do_and_writes_nothing(shop: Shop) -> None:
    event, other = await gig(shop), await gig(shop)
    await bought(shop, event, "10", "20", buyer="ada")
    _, charge = await bought(shop, event, "30", buyer="bob")
    await shop.refund(charge, "5")
    await ordered(shop, event, "40", buyer="cem")
    await shop.tickets("50", "60", "70", event_id=event.id)
    await bought(shop, other, "80", buyer="dia")
    paying = await ordered(shop, event, "90", buyer="eve")
    commits = (await shop.inventory.totals()).by_status
    async with pinned(shop, paying):
        found = await shop.market.operations.cancellation(event.id)
        assert (found.for_sale, found.open_orders, found.being_paid, found.to_refund) == (3, 1, 1, 2)
        assert [str(amount) for amount in found.amounts] == ["60.00 USD"]
        assert (found.live_event, found.over) == (event, False)
    assert (await shop.inventory.totals()).by_status["live_event", "cancelled"] == 0
    assert (await shop.inventory.totals()).by_status["ticket", "available"] == commits["ticket", "available"]
    with pytest.raises(NotFound):
        await shop.market.operations.cancellation("nothing")


async def test_everybody_gets_their_money_back_and_nothing_stays_for_sale(shop: Shop) -> None:
    event, other = await gig(shop), await gig(shop)
    paid = [await bought(shop, event, "10", "20.50", buyer=buyer) for buyer in ("ada", "bob")]
    _, partly = paid[1]
    await shop.refund(partly, "5")
    unpaid = await ordered(shop, event, "40", buyer="cem")
    acting = await ordered(shop, event, "45", buyer="fay")
    charge = await shop.pay(acting, "tok_threeDSecure")
    await shop.tickets("50", "60", event_id=event.id)
    _, elsewhere = await bought(shop, other, "80", buyer="dia")
    steps: list[tuple[int, int]] = []
    done = await shop.market.operations.cancel(event.id, actor="olga", on_step=lambda *step: steps.append(step))
    assert (done.for_sale, done.open_orders, done.being_paid, done.to_refund) == (2, 2, 0, 2)
    assert ([str(amount) for amount in done.amounts], steps[-1]) == (["61.00 USD"], (6, 6))
    await shop.clock.advance(seconds=10)
    for order, charge_of in paid:
        now = await shop.order_now(order)
        assert (now.status, now.reason, now.released) == (OrderStatus.COMPLETED, CancelReason.EVENT_CANCELLED, True)
        assert shop.booked(charge_of).refunded == 3050
        with pytest.raises(OrderClosed, match="Only a paid order has passes"):
            await shop.market.orders.passes(order.buyer_id, order.id)
    _, refunds = await shop.market.payments.get("bob", partly.id)
    assert [(refund.amount.minor, refund.reason) for refund in refunds] == [
        (500, ""),
        (2550, "The live event is cancelled."),
    ]
    for order in (unpaid, acting):
        now = await shop.order_now(order)
        assert (now.status, now.reason) == (OrderStatus.CANCELLED, CancelReason.EVENT_CANCELLED)
    assert shop.booked(charge).captured == 0
    assert shop.booked(elsewhere).refunded == 0
    assert await statuses(shop, event) == {"withdrawn"}
    assert await statuses(shop, other) == {"sold"}


async def test_cancelled_again_and_again_it_is_cancelled_once(shop: Shop) -> None:
    event = await gig(shop)
    _, charge = await bought(shop, event, "30")
    for _ in range(2):
        await shop.market.operations.cancel(event.id, actor="olga")
        await shop.clock.advance(minutes=2)
    again = await shop.market.operations.cancel(event.id, actor="olga")
    assert again.over
    assert again.live_event.status is LiveEventStatus.CANCELLED
    assert (await shop.market.operations.cancellation(event.id)).over
    assert len((await shop.charge_now(charge)).refund_ids) == 1
    assert shop.booked(charge).refunded == 3000


async def test_one_that_was_cancelled_without_refunds_is_finished_by_orders_at_once(shop: Shop) -> None:
    event = await gig(shop)
    order, charge = await bought(shop, event, "30")
    await shop.tickets("50", event_id=event.id)
    await shop.market.tickets.call_off(event.id, owner_id="promoter")
    await shop.clock.advance(seconds=5)
    assert (await shop.order_now(order)).released
    assert shop.booked(charge).refunded == 3000
    assert await statuses(shop, event) == {"withdrawn"}


async def test_one_of_which_no_news_came_is_found_within_a_minute(shop: Shop) -> None:
    event = await gig(shop)
    order, charge = await bought(shop, event, "30")

    def silently(state: State) -> Changes:
        return replace(live_events.call_off(state, event.id, owner_id=None), facts=())

    await shop.inventory.decide(Keys.of(LiveEvent.key(event.id)), silently, Command(id="silent"))
    await shop.clock.advance(seconds=65)
    assert (await shop.order_now(order)).released
    assert shop.booked(charge).refunded == 3000


async def test_the_services_of_several_processes_do_it_together() -> None:
    stage = Stage()
    options = {"payment_storage": "stage:money", "bus": "stage:bus", "timers": "stage:timers"}
    async with (
        stage.market(services=["tickets"], **options) as tickets,
        stage.market(services=["orders"], **options) as orders,
        stage.market(services=["orders"], **options) as others,
        stage.market(services=["payments"], **options) as payments,
    ):
        start = stage.clock.now() + timedelta(days=30)
        event = await tickets.tickets.announce("promoter", name="Hamlet", venue="Globe", starts_at=start)
        listings = [Listing(title="Row A", price=Money.parse("30", "USD"), event_id=event.id)] * 3
        for ticket in await tickets.tickets.list("sam", listings):
            order = (await orders.orders.place("ada", [ticket.id])).order
            await patiently(stage.clock, payments.payments.pay("ada", order.id, token="tok_visa"))
        await tickets.tickets.call_off(event.id, owner_id="promoter")
        await others.operations.cancel(event.id, actor="olga")
        await stage.clock.advance(seconds=10)
        books = stage.provider.books()
        assert [booked.refunded for booked in books.charges] == [3000] * 3
        assert len(books.refunds) == 3


async def test_an_order_that_is_being_paid_is_refunded_when_its_money_was_taken(shop: Shop) -> None:
    event = await gig(shop)
    orders = [await ordered(shop, event, "30", buyer=buyer) for buyer in ("ada", "bob")]
    async with pinned(shop, *orders):
        done = await shop.market.operations.cancel(event.id, actor="olga")
        assert (done.being_paid, done.to_refund) == (2, 0)
        assert [(await shop.order_now(order)).status for order in orders] == [OrderStatus.AWAITING_PAYMENT] * 2
    await shop.clock.advance(seconds=10)
    for order in orders:
        [charge] = await shop.charges(order)
        assert (await shop.order_now(order)).reason is CancelReason.EVENT_CANCELLED
        assert (shop.booked(charge).captured, shop.booked(charge).refunded) == (3000, 3000)
    assert await statuses(shop, event) == {"withdrawn"}


async def test_nobody_is_charged_whose_charge_is_authorized_after_the_cancellation(shop: Shop) -> None:
    event = await gig(shop)
    order = await ordered(shop, event, "30")
    shop.provider.faults.slow(5)
    async with anyio.create_task_group() as group:
        group.start_soon(partial(shop.market.payments.pay, "buyer", order.id, token="tok_visa"))
        await shop.clock.advance(seconds=7)  # prepared, and being authorized
        await shop.market.tickets.call_off(event.id, owner_id=None)
        shop.provider.faults.slow(0)
        await shop.clock.advance(seconds=20)
    [charge] = await shop.charges(order)
    assert (await shop.order_now(order)).reason is CancelReason.EVENT_CANCELLED
    assert shop.booked(charge).captured == 0


@pytest.mark.parametrize("market_options", [{"policy": Policy(on_refund=policy)} for policy in OnRefund])
async def test_tickets_stay_off_the_market_whatever_a_refund_does_elsewhere(shop: Shop) -> None:
    event = await gig(shop)
    _, charge = await bought(shop, event, "30")
    await shop.market.operations.cancel(event.id, actor="olga")
    await shop.clock.advance(minutes=5)
    assert (await shop.charge_now(charge)).given_back == 3000
    assert await statuses(shop, event) == {"withdrawn"}


async def test_what_is_for_another_live_event_stays_with_its_buyer(shop: Shop) -> None:
    event, other = await gig(shop), await gig(shop)
    tickets = [*await shop.tickets("30", event_id=event.id), *await shop.tickets("45", event_id=other.id)]
    order = (await shop.market.orders.place("buyer", [ticket.id for ticket in tickets])).order
    await shop.clock.settle()
    charge = await shop.pay(order)
    found = await shop.market.operations.cancellation(event.id)
    assert [str(amount) for amount in found.amounts] == ["30.00 USD"]
    await shop.market.operations.cancel(event.id, actor="olga")
    await shop.clock.advance(seconds=10)
    assert (await shop.charge_now(charge)).given_back == 3000
    assert set(await shop.market.orders.passes("buyer", order.id)) == {tickets[1].id}
    await shop.market.operations.cancel(other.id, actor="olga")
    await shop.clock.advance(seconds=10)
    assert (await shop.charge_now(charge)).given_back == 7500
    assert await statuses(shop, event) == await statuses(shop, other) == {"withdrawn"}


async def test_a_refund_that_the_provider_refuses_is_somebodys_business_until_it_is_given_back(shop: Shop) -> None:
    event = await gig(shop)
    _, charge = await bought(shop, event, "30")
    shop.provider.faults.decline("refund", code="insufficient_balance")
    await shop.market.operations.cancel(event.id, actor="olga")
    await shop.clock.advance(minutes=2)
    [finding] = shop.market.payments.to_repair
    assert (finding.trouble, finding.charge_id) == (Trouble.REFUND_REFUSED, charge.id)
    assert finding.what == (
        "The live event of its order is cancelled, and the refund of 30.00 USD was refused (insufficient_balance)."
    )
    await shop.refund(charge)
    await shop.clock.advance(minutes=2)
    assert shop.market.payments.to_repair == ()
    assert shop.booked(charge).refunded == 3000


@pytest.mark.parametrize("lost", ["refund", "none"])
async def test_each_refund_is_given_once_though_answers_are_lost(shop: Shop, lost: str) -> None:
    event = await gig(shop)
    charges = [(await bought(shop, event, "30", buyer=buyer))[1] for buyer in ("ada", "bob", "cem")]
    if lost == "refund":
        shop.provider.faults.time_out_after_effect("refund", times=3)
    else:
        shop.provider.faults.unavailable(5)
    await shop.market.operations.cancel(event.id, actor="olga")
    await shop.clock.advance(minutes=3)
    assert [shop.booked(charge).refunded for charge in charges] == [3000] * 3
    assert len(shop.provider.books().refunds) == 3


@pytest.mark.parametrize(
    "stop_after",
    [
        pytest.param(False, id="before the commit"),
        pytest.param(True, id="after the commit", marks=pytest.mark.proof),
    ],
)
@pytest.mark.parametrize("where", ["stage:market", "stage:money"])
async def test_a_crash_at_any_commit_of_a_cancellation_loses_no_refund_and_doubles_none(
    where: str, *, stop_after: bool
) -> None:
    number = 0
    while True:
        number += 1
        stage = Stage()
        options = {"payment_storage": "stage:money", "bus": "stage:bus"}
        storage = stage.storage(where.partition(":")[2])
        async with stage.market(drain=0, **options) as market:
            shop = Shop(market)
            event = await gig(shop)
            charges = [(await bought(shop, event, "30", buyer=buyer))[1] for buyer in ("ada", "bob")]
            await shop.refund(charges[0], "10")
            await ordered(shop, event, "40", buyer="cem")
            await shop.tickets("50", event_id=event.id)
            storage.stop_at, storage.stop_after = storage.commits + number, stop_after
            async with anyio.create_task_group() as group:
                group.start_soon(partial(market.operations.cancel, event.id, actor="olga"))
                await stage.clock.advance(seconds=5)
                group.cancel_scope.cancel()
        stopped = storage.stopped.is_set()
        storage.go_on()
        async with stage.market(**options) as market:
            shop = Shop(market)
            if (await market.tickets.live_event(event.id)).status is LiveEventStatus.SCHEDULED:
                await market.operations.cancel(event.id, actor="olga")
            await stage.clock.advance(minutes=3)
            assert [shop.booked(charge).refunded for charge in charges] == [3000] * 2
            assert await statuses(shop, event) == {"withdrawn"}
            assert (await market.operations.cancellation(event.id)).over
            await check(shop.inventory, shop.payments, stage.provider.books())
        if not stopped:
            break
    assert number > 3
