"""A buyer whose card is declined, and whose order goes on (`on_decline = keep`): another card, while the lock lives."""

from __future__ import annotations

import pytest
from tests.services.shop import Shop

from ticketkit.backends.payments import ProviderStatus
from ticketkit.domain.entities import CancelReason, ChargeStatus, OrderStatus, TicketStatus
from ticketkit.domain.errors import OrderClosed
from ticketkit.domain.policy import OnDecline, Policy

pytestmark = pytest.mark.parametrize(
    "market_options", [pytest.param({"policy": Policy(on_decline=OnDecline.KEEP)}, id="keep")]
)
DECLINED = "tok_chargeDeclined"


async def test_another_card_is_another_charge_and_the_declined_one_is_ended_at_the_provider(shop: Shop) -> None:
    order = await shop.order("25")
    declined = [await shop.pay(order, DECLINED), await shop.pay(order, DECLINED, key="click")]
    paid = await shop.pay(order, key="another click")
    assert [charge.id for charge in await shop.charges(order)] == [declined[0].id, declined[1].id, paid.id]
    await shop.clock.advance(seconds=1)
    assert [shop.booked(charge).status for charge in declined] == [ProviderStatus.VOID] * 2, "nobody can try it again"
    assert (shop.booked(paid).captured, shop.booked(paid).status) == (2500, ProviderStatus.CAPTURED)
    now = await shop.order_now(order)
    assert (now.status, now.charge_id) == (OrderStatus.COMPLETED, paid.id)


async def test_a_card_that_needs_the_buyer_and_is_refused_by_them_leaves_the_order_open(shop: Shop) -> None:
    order = await shop.order()
    charge = await shop.pay(order, "tok_threeDSecure")
    await shop.provider.confirm_action(str(charge.reference), approved=False)
    await shop.clock.settle()
    assert (await shop.charge_now(charge)).code == "authentication_failed"
    assert (await shop.order_now(order)).status is OrderStatus.CREATED
    assert (await shop.pay(order)).status is ChargeStatus.COMPLETED


async def test_after_the_lock_has_ended_there_is_no_other_card(shop: Shop) -> None:
    order = await shop.order()
    await shop.pay(order, DECLINED)
    until = (await shop.order_now(order)).expires_at
    await shop.clock.advance(seconds=(until - shop.clock.now()).total_seconds())
    with pytest.raises(OrderClosed) as refused:
        await shop.pay(order)
    assert refused.value.code == "order_expired"
    assert len(await shop.charges(order)) == 1
    now = await shop.order_now(order)
    assert (now.status, now.reason) == (OrderStatus.CANCELLED, CancelReason.EXPIRED)
    assert {ticket.status for ticket in await shop.tickets_now(order)} == {TicketStatus.AVAILABLE}


async def test_however_many_cards_are_tried_the_lock_gets_one_grace(shop: Shop) -> None:
    order = await shop.order()
    for minutes in (14, 1, 0.5):
        await shop.clock.advance(minutes=minutes)
        assert (await shop.pay(order, DECLINED)).status is ChargeStatus.FAILED
    policy = (await shop.order_now(order)).policy
    assert (await shop.order_now(order)).expires_at == order.expires_at + policy.payment_grace
    await shop.clock.advance(minutes=1)
    assert (await shop.order_now(order)).reason is CancelReason.EXPIRED
