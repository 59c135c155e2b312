"""Methods that take money at once, and hold none: a success for an order that is gone is given back."""

from __future__ import annotations

import pytest
from tests.services.shop import Shop

from ticketkit.backends.payments import ProviderStatus
from ticketkit.domain.entities import CancelReason, Charge, ChargeStatus, Order, OrderStatus, TicketStatus


async def test_an_order_that_is_paid_at_once_is_completed_and_taken_once(shop: Shop) -> None:
    order = await shop.order("25")
    charge = await shop.pay(order, "tok_taken")
    assert (charge.status, charge.taken) == (ChargeStatus.COMPLETED, True)
    booked = shop.booked(charge)
    assert (booked.status, booked.captured, booked.refunded) == (ProviderStatus.CAPTURED, 2500, 0)
    assert (await shop.order_now(order)).status is OrderStatus.COMPLETED


@pytest.mark.parametrize("token", ["tok_taken_threeDSecure", "tok_taken_pending"])
@pytest.mark.parametrize("end", [CancelReason.BUYER, CancelReason.EXPIRED])
async def test_money_that_comes_when_the_order_is_gone_is_given_back(shop: Shop, token: str, end: CancelReason) -> None:
    order = await shop.order("25")
    charge = await shop.pay(order, token)
    shop.provider.faults.unavailable()  # the void does not reach it before the buyer or the bank has decided
    await ends(shop, order, end)
    await decided(shop, charge)
    assert (shop.booked(charge).captured, shop.booked(charge).refunded) == (2500, 0), "their money is gone"
    shop.provider.faults.available()
    await shop.clock.advance(minutes=6)
    assert (shop.booked(charge).captured, shop.booked(charge).refunded) == (2500, 2500)
    now = await shop.order_now(order)
    assert (now.status, now.reason) == (OrderStatus.CANCELLED, end)
    assert {ticket.status for ticket in await shop.tickets_now(order)} == {TicketStatus.AVAILABLE}
    (found, refunds) = await shop.market.payments.get("buyer", charge.id)
    assert (found.status, found.given_back, found.due_at) == (ChargeStatus.FAILED, 2500, None)
    assert [(refund.status, refund.amount.minor) for refund in refunds] == [("completed", 2500)]


@pytest.mark.parametrize("token", ["tok_taken_threeDSecure", "tok_taken_pending"])
async def test_what_is_decided_in_time_pays_for_the_order(shop: Shop, token: str) -> None:
    order = await shop.order("25")
    charge = await shop.pay(order, token)
    await shop.clock.advance(minutes=2)
    await decided(shop, charge)
    await shop.clock.settle()
    assert (await shop.order_now(order)).status is OrderStatus.COMPLETED
    assert shop.booked(charge).refunded == 0


async def test_a_refund_of_what_was_taken_at_once_frees_the_tickets(shop: Shop) -> None:
    order = await shop.order("25")
    charge = await shop.pay(order, "tok_taken")
    await shop.refund(charge)
    await shop.clock.settle()
    assert {ticket.status for ticket in await shop.tickets_now(order)} == {TicketStatus.AVAILABLE}
    assert shop.booked(charge).refunded == 2500


async def ends(shop: Shop, order: Order, end: CancelReason) -> None:
    if end is CancelReason.EXPIRED:
        await shop.clock.advance(minutes=21)
    else:
        await shop.market.orders.cancel(order.buyer_id, order.id)
        await shop.clock.settle()
    assert (await shop.order_now(order)).reason is end


async def decided(shop: Shop, charge: Charge) -> None:
    """The buyer approves, or the bank decides."""
    if charge.status is ChargeStatus.REQUIRES_ACTION:
        await shop.provider.confirm_action(str(charge.reference))
    else:
        await shop.provider.resolve(str(charge.reference))
