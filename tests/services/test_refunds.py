"""Money given back: all or part, never more than was paid, and what becomes of the tickets."""

from __future__ import annotations

from functools import partial

import anyio
import pytest
from tests.services.shop import Shop, patiently

from ticketkit.domain.entities import ChargeStatus, OrderStatus, RefundStatus, TicketStatus
from ticketkit.domain.errors import ChargeClosed, Conflict
from ticketkit.domain.money import Money
from ticketkit.domain.policy import OnRefund, Policy
from ticketkit.memory.faults import Operation

KEEP = pytest.param({"policy": Policy(on_refund=OnRefund.KEEP)}, id="keep")


async def test_a_charge_is_refunded_in_whole(shop: Shop) -> None:
    charge = await shop.pay(await shop.order("25"))
    refund = await shop.refund(charge)
    assert (refund.status, refund.amount) == (RefundStatus.COMPLETED, Money(2500, "USD"))
    assert shop.booked(charge).refunded == 2500


async def test_a_charge_is_refunded_in_parts_and_never_more_than_was_paid(shop: Shop) -> None:
    charge = await shop.pay(await shop.order("25"))
    await shop.refund(charge, "10")
    with pytest.raises(Conflict) as refused:
        await shop.refund(charge, "15.01")
    assert refused.value.code == "refund_above_charge"
    await shop.refund(charge, "15")
    with pytest.raises(Conflict) as refused:
        await shop.refund(charge)
    assert refused.value.code == "refund_above_charge"
    found, refunds = await shop.market.payments.get("buyer", charge.id)
    assert found.refunded == 2500
    assert [refund.amount.minor for refund in refunds] == [1000, 1500]


async def test_of_two_refunds_at_once_that_together_are_too_much_one_is_refused(shop: Shop) -> None:
    charge = await shop.pay(await shop.order("25"))
    shop.provider.faults.slow(1)
    outcomes: list[object] = []

    async def give_back() -> None:
        try:
            amount = Money.parse("20", "USD")
            outcomes.append((await shop.market.payments.refund(charge.id, actor="seller", amount=amount)).status)
        except Conflict as error:
            outcomes.append(error.code)

    async with anyio.create_task_group() as group:
        group.start_soon(give_back)
        group.start_soon(give_back)
        await shop.clock.advance(seconds=5)
    assert sorted(map(str, outcomes)) == ["completed", "refund_above_charge"]


async def test_one_command_key_is_one_refund(shop: Shop) -> None:
    charge = await shop.pay(await shop.order("25"))
    first, second = [await shop.refund(charge, "10", key="return") for _ in range(2)]
    assert first.id == second.id
    assert shop.booked(charge).refunded == 1000


async def test_a_refused_refund_fails_and_its_amount_can_be_refunded_again(shop: Shop) -> None:
    charge = await shop.pay(await shop.order("25"))
    shop.provider.faults.decline(Operation.REFUND, code="refund_not_possible")
    refused = await shop.refund(charge)
    assert (refused.status, refused.code) == (RefundStatus.FAILED, "refund_not_possible")
    assert (await shop.charge_now(charge)).refunded == 0
    assert (await shop.refund(charge)).status is RefundStatus.COMPLETED


async def test_a_refund_is_carried_out_when_the_provider_is_back(shop: Shop) -> None:
    charge = await shop.pay(await shop.order("25"))
    shop.provider.faults.unavailable()
    refund = await shop.refund(charge)
    assert refund.status is RefundStatus.CREATED
    await shop.clock.advance(minutes=3)
    shop.provider.faults.available()
    await shop.clock.advance(seconds=40)
    assert shop.booked(charge).refunded == 2500


async def test_only_a_completed_charge_can_be_refunded(shop: Shop) -> None:
    charge = await shop.pay(await shop.order(), "tok_threeDSecure")
    with pytest.raises(ChargeClosed):
        await shop.refund(charge)


async def test_of_many_refunds_at_once_no_more_than_was_paid_is_given_back(shop: Shop) -> None:
    charge = await shop.pay(await shop.order("25"))
    shop.provider.faults.slow(0.5)
    outcomes: list[str] = []

    async def give_back(minor: int) -> None:
        amount = Money(minor, "USD")
        try:
            outcomes.append((await shop.market.payments.refund(charge.id, actor="seller", amount=amount)).status)
        except Conflict as error:
            outcomes.append(error.code)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(give_back, 300)
        await shop.clock.advance(seconds=15)
    assert (outcomes.count("completed"), outcomes.count("refund_above_charge")) == (8, 12)
    assert shop.booked(charge).refunded == 2400
    assert len(shop.provider.books().refunds) == 8


async def test_one_command_key_is_one_refund_also_at_once(shop: Shop) -> None:
    charge = await shop.pay(await shop.order("25"))
    shop.provider.faults.slow(1)
    ids: list[str] = []

    async def give_back() -> None:
        refund = partial(shop.market.payments.refund, charge.id, actor="seller", amount=Money(1000, "USD"))
        ids.append((await refund(command_key="return")).id)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(give_back)
        await shop.clock.advance(seconds=15)
    assert len(ids) == 5
    assert len(set(ids)) == 1
    assert shop.booked(charge).refunded == 1000


async def test_when_all_is_given_back_the_tickets_are_for_sale_and_the_next_buyer_pays_anew(shop: Shop) -> None:
    order = await shop.order("10", "15")
    charge = await shop.pay(order)
    await shop.refund(charge, "10")
    await shop.clock.settle()
    assert {ticket.status for ticket in await shop.tickets_now(order)} == {TicketStatus.SOLD}, "part of it frees none"
    await shop.refund(charge)
    await shop.clock.settle()
    assert {ticket.status for ticket in await shop.tickets_now(order)} == {TicketStatus.AVAILABLE}
    assert (await shop.order_now(order)).status is OrderStatus.COMPLETED, "it was paid"
    again = (await shop.market.orders.place("somebody else", order.ticket_ids)).order
    assert (await shop.pay(again)).status is ChargeStatus.COMPLETED
    assert {ticket.order_id for ticket in await shop.tickets_now(order)} == {again.id}


@pytest.mark.parametrize("market_options", [KEEP])
async def test_with_policy_keep_the_tickets_stay_sold_when_all_is_given_back(shop: Shop) -> None:
    order = await shop.order("25")
    charge = await shop.pay(order)
    await shop.refund(charge)
    await shop.clock.advance(minutes=1)
    assert {(ticket.status, ticket.order_id) for ticket in await shop.tickets_now(order)} == {("sold", order.id)}
    with pytest.raises(Conflict):
        await patiently(shop.clock, shop.market.orders.place("somebody else", order.ticket_ids))
