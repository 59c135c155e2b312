"""A provider with a budget of calls: who would have their turn after the expiry is told so, and nothing is begun."""

from __future__ import annotations

import pytest
from tests.services.shop import Shop

from ticketkit.domain.entities import ChargeStatus, OrderStatus
from ticketkit.services.payments import PaymentsBusy


@pytest.fixture
def waits(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that calls of the provider wait for their turn: the last of them."""
    found = [0.0]
    monkeypatch.setattr(shop.provider, "wait_for", lambda _calls: found[-1], raising=False)
    return found


async def test_a_payment_whose_turn_comes_after_the_expiry_is_refused_before_anything_is_begun(
    shop: Shop, waits: list[float]
) -> None:
    order = await shop.order()
    waits.append(15 * 60)
    with pytest.raises(PaymentsBusy) as refused:
        await shop.pay(order)
    assert refused.value.retry_after == 15 * 60
    assert await shop.charges(order) == []
    assert shop.provider.books().charges == ()
    assert (await shop.order_now(order)).status is OrderStatus.CREATED, "it can be paid later"
    waits.append(0)
    assert (await shop.pay(order)).status is ChargeStatus.COMPLETED


async def test_a_payment_whose_turn_comes_in_time_is_begun_and_the_closer_the_expiry_the_less_it_may_wait(
    shop: Shop, waits: list[float]
) -> None:
    order, later = await shop.order(), await shop.order(buyer="another")
    waits.append(120)
    assert (await shop.pay(order)).status is ChargeStatus.COMPLETED
    await shop.clock.advance(minutes=13)
    with pytest.raises(PaymentsBusy):
        await shop.pay(later)


async def test_who_pays_before_payments_has_heard_of_the_order_is_told_as_well(shop: Shop, waits: list[float]) -> None:
    (ticket,) = await shop.tickets()
    waits.append(15 * 60)
    order = (await shop.market.orders.place("buyer", [ticket.id])).order
    with pytest.raises(PaymentsBusy):
        await shop.pay(order)
    assert await shop.charges(order) == []


async def test_less_than_a_second_is_no_reason(shop: Shop, waits: list[float]) -> None:
    order = await shop.order()
    await shop.clock.advance(minutes=14, seconds=59.5)
    waits.append(0.9)
    assert (await shop.pay(order)).status is ChargeStatus.COMPLETED
