"""Every way a payment can go, and what the provider's own books say afterwards."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest
from tests.services.shop import Shop, patiently

from ticketkit.backends.errors import CommandReused
from ticketkit.backends.payments import ProviderStatus
from ticketkit.domain.entities import CancelReason, ChargeStatus, Order, OrderStatus, RefundStatus, TicketStatus
from ticketkit.domain.errors import Conflict, NotFound, OrderClosed
from ticketkit.domain.money import Money
from ticketkit.domain.policy import OnDecline, Policy
from ticketkit.memory.faults import Operation

DECLINES = {
    "tok_chargeDeclined": "card_declined",
    "tok_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "tok_chargeDeclinedExpiredCard": "expired_card",
    "tok_chargeDeclinedIncorrectCvc": "incorrect_cvc",
    "tok_chargeDeclinedProcessingError": "processing_error",
    "tok_nonsense": "invalid_token",
}
KEEP = {"policy": Policy(on_decline=OnDecline.KEEP)}
keeping = pytest.mark.parametrize("market_options", [pytest.param(KEEP, id="keep")])


async def is_completed(shop: Shop, order: Order) -> None:
    assert (await shop.order_now(order)).status is OrderStatus.COMPLETED
    assert {ticket.status for ticket in await shop.tickets_now(order)} == {TicketStatus.SOLD}


async def is_cancelled(shop: Shop, order: Order, reason: CancelReason) -> None:
    now = await shop.order_now(order)
    assert (now.status, now.reason) == (OrderStatus.CANCELLED, reason)
    assert {ticket.status for ticket in await shop.tickets_now(order)} == {TicketStatus.AVAILABLE}


# --- a card that pays, or not ----------------------------------------------------------------------------------------


async def test_a_good_card_completes_the_order_and_is_charged_its_total_once(shop: Shop) -> None:
    order = await shop.order("19.99", "30.01")
    charge = await shop.pay(order)
    assert (charge.status, charge.amount) == (ChargeStatus.COMPLETED, Money(5000, "USD"))
    await is_completed(shop, order)
    booked = shop.booked(charge)
    assert (booked.status, booked.captured) == (ProviderStatus.CAPTURED, 5000)


async def test_who_is_told_that_the_payment_is_completed_sees_the_order_completed(shop: Shop) -> None:
    order = await shop.order()
    await shop.market.payments.pay("buyer", order.id, token="tok_visa")
    assert (await shop.order_now(order)).status is OrderStatus.COMPLETED


@pytest.mark.parametrize(("token", "code"), DECLINES.items(), ids=DECLINES.values())
async def test_a_declined_card_cancels_the_order_and_frees_its_tickets(shop: Shop, token: str, code: str) -> None:
    order = await shop.order("10", "20")
    charge = await shop.pay(order, token)
    assert (charge.status, charge.code, charge.declined) == (ChargeStatus.FAILED, code, True)
    await shop.clock.settle()
    await is_cancelled(shop, order, CancelReason.PAYMENT_DECLINED)
    with pytest.raises(OrderClosed) as refused:
        await shop.pay(order)
    assert refused.value.code == "order_cancelled"


@keeping
@pytest.mark.parametrize(("token", "code"), DECLINES.items(), ids=DECLINES.values())
async def test_with_policy_keep_another_card_works_after_a_decline(shop: Shop, token: str, code: str) -> None:
    order = await shop.order()
    declined = await shop.pay(order, token)
    assert declined.code == code
    await shop.clock.settle()
    assert (await shop.order_now(order)).status is OrderStatus.CREATED
    assert (await shop.pay(order)).status is ChargeStatus.COMPLETED
    await is_completed(shop, order)


@pytest.mark.parametrize("operation", [Operation.PREPARE, Operation.AUTHORIZE])
async def test_a_provider_that_refuses_before_money_is_held_is_a_decline(shop: Shop, operation: Operation) -> None:
    order = await shop.order()
    shop.provider.faults.decline(operation, code="amount_too_large")
    charge = await shop.pay(order)
    assert (charge.status, charge.code) == (ChargeStatus.FAILED, "amount_too_large")
    await shop.clock.settle()
    await is_cancelled(shop, order, CancelReason.PAYMENT_DECLINED)


async def test_a_capture_that_is_refused_for_good_cancels_the_order(shop: Shop) -> None:
    order = await shop.order()
    shop.provider.faults.decline(Operation.CAPTURE, code="authorization_lost")
    charge = await shop.pay(order)
    assert (charge.status, charge.code) == (ChargeStatus.FAILED, "authorization_lost")
    await shop.clock.settle()
    await is_cancelled(shop, order, CancelReason.PAYMENT_FAILED)


async def test_a_stranger_cant_pay_or_see_somebody_elses_order(shop: Shop) -> None:
    order = await shop.order()
    with pytest.raises(NotFound):
        await shop.pay(order, buyer="stranger")
    charge = await shop.pay(order)
    with pytest.raises(NotFound):
        await shop.market.payments.get("stranger", charge.id)


async def test_a_paid_order_cant_be_paid_again_nor_cancelled(shop: Shop) -> None:
    order = await shop.order()
    await shop.pay(order)
    with pytest.raises(OrderClosed) as refused:
        await shop.pay(order)
    assert refused.value.code == "order_completed"
    with pytest.raises(OrderClosed):
        await shop.market.orders.cancel("buyer", order.id)


async def test_an_expired_order_cant_be_paid(shop: Shop) -> None:
    order = await shop.order()
    await shop.clock.advance(minutes=15)
    with pytest.raises(OrderClosed) as refused:
        await shop.pay(order)
    assert refused.value.code == "order_expired"
    assert shop.provider.books().charges == ()


# --- a buyer who has to act ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["tok_threeDSecure", None], ids=["3-D Secure", "the provider's own form"])
async def test_a_payment_that_the_buyer_confirms_is_completed(shop: Shop, token: str | None) -> None:
    order = await shop.order()
    charge = await shop.pay(order, token)
    assert charge.status is ChargeStatus.REQUIRES_ACTION
    assert charge.action is not None
    await shop.clock.advance(minutes=2)
    await shop.provider.confirm_action(charge.action["reference"])
    await shop.clock.settle()
    assert (await shop.charge_now(charge)).status is ChargeStatus.COMPLETED
    await is_completed(shop, order)


async def test_a_payment_that_the_buyer_refuses_is_declined(shop: Shop) -> None:
    order = await shop.order()
    charge = await shop.pay(order, "tok_threeDSecure")
    await shop.provider.confirm_action(str(charge.reference), approved=False)
    await shop.clock.settle()
    assert (await shop.charge_now(charge)).code == "authentication_failed"
    await is_cancelled(shop, order, CancelReason.PAYMENT_DECLINED)


async def test_an_order_waits_for_the_payment_window_for_a_buyer_who_has_to_act(shop: Shop) -> None:
    order = await shop.order()
    await shop.clock.advance(minutes=14)
    charge = await shop.pay(order, "tok_threeDSecure")
    await shop.clock.advance(minutes=5)
    assert (await shop.order_now(order)).status is OrderStatus.CREATED
    await shop.provider.confirm_action(str(charge.reference))
    await shop.clock.settle()
    await is_completed(shop, order)


async def test_an_action_that_is_ignored_ends_with_expiry_and_a_void(shop: Shop) -> None:
    order = await shop.order()
    charge = await shop.pay(order, "tok_threeDSecure")
    await shop.clock.advance(minutes=20, seconds=1)
    await is_cancelled(shop, order, CancelReason.EXPIRED)
    ended = await shop.charge_now(charge)
    assert (ended.status, ended.code) == (ChargeStatus.FAILED, "order_expired")
    assert shop.booked(charge).status is ProviderStatus.VOID


async def test_who_confirms_after_the_order_expired_is_not_charged(shop: Shop) -> None:
    order = await shop.order()
    charge = await shop.pay(order, "tok_threeDSecure")
    shop.provider.faults.unavailable()
    await shop.clock.advance(minutes=20, seconds=1)
    await shop.provider.confirm_action(str(charge.reference))
    assert shop.booked(charge).status is ProviderStatus.AUTHORIZED
    shop.provider.faults.available()
    await shop.clock.advance(minutes=1)
    assert shop.booked(charge).status is ProviderStatus.VOID
    await is_cancelled(shop, order, CancelReason.EXPIRED)


# --- a bank that takes its time --------------------------------------------------------------------------------------


@pytest.mark.parametrize("webhooks", ["once", "twice", "late", "never"])
@pytest.mark.parametrize("authorized", [True, False], ids=["paid", "declined"])
async def test_a_pending_payment_is_decided_later(shop: Shop, webhooks: str, *, authorized: bool) -> None:
    order = await shop.order()
    shop.provider.faults.webhooks(webhooks, seconds=90)
    charge = await shop.pay(order, "tok_pending")
    assert charge.status is ChargeStatus.CREATED
    await shop.clock.advance(minutes=1)
    await shop.provider.resolve(str(charge.reference), authorized=authorized)
    await shop.clock.advance(seconds=40)
    ended = await shop.charge_now(charge)
    assert ended.status is (ChargeStatus.COMPLETED if authorized else ChargeStatus.FAILED)
    if authorized:
        await is_completed(shop, order)
    else:
        await is_cancelled(shop, order, CancelReason.PAYMENT_DECLINED)


async def test_a_webhook_ends_a_pending_payment_at_once(shop: Shop) -> None:
    order = await shop.order()
    charge = await shop.pay(order, "tok_pending")
    await shop.provider.resolve(str(charge.reference))
    await shop.clock.settle()
    await is_completed(shop, order)


async def test_a_pending_payment_that_is_never_decided_ends_with_expiry(shop: Shop) -> None:
    order = await shop.order()
    charge = await shop.pay(order, "tok_pending")
    await shop.clock.advance(minutes=16, seconds=1)
    await is_cancelled(shop, order, CancelReason.EXPIRED)
    assert shop.booked(charge).status is ProviderStatus.VOID


# --- a provider in trouble -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.5, 3, 8, 12, 25])
async def test_a_slow_provider_is_waited_for(shop: Shop, seconds: float) -> None:
    order = await shop.order()
    shop.provider.faults.slow(seconds)
    began = shop.clock.now()
    charge = await shop.pay(order)
    assert (shop.clock.now() - began).total_seconds() <= 11.5, "a buyer waits 10 s at most, and 1 s for the order"
    await shop.clock.advance(minutes=2)
    assert (await shop.charge_now(charge)).status is ChargeStatus.COMPLETED
    await is_completed(shop, order)


@pytest.mark.parametrize("operation", [Operation.PREPARE, Operation.AUTHORIZE, Operation.CAPTURE])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("webhooks", ["once", "never"])
async def test_a_lost_answer_of_the_provider_charges_once(
    shop: Shop, operation: Operation, times: int, webhooks: str
) -> None:
    order = await shop.order()
    shop.provider.faults.webhooks(webhooks)
    shop.provider.faults.time_out_after_effect(operation, times=times)
    charge = await shop.pay(order)
    await shop.clock.advance(minutes=1)
    assert (await shop.charge_now(charge)).status is ChargeStatus.COMPLETED
    assert shop.booked(charge).captured == order.total.minor
    await is_completed(shop, order)


@pytest.mark.parametrize("times", [1, 3])
async def test_a_lost_answer_to_a_void_is_asked_for_again(shop: Shop, times: int) -> None:
    order = await shop.order()
    charge = await shop.pay(order, "tok_threeDSecure")
    shop.provider.faults.time_out_after_effect(Operation.VOID, times=times)
    await shop.market.orders.cancel("buyer", order.id)
    await shop.clock.advance(minutes=1)
    assert shop.booked(charge).status is ProviderStatus.VOID
    assert not (await shop.charge_now(charge)).owes_void


async def test_a_lost_answer_to_a_refund_gives_back_once(shop: Shop) -> None:
    charge = await shop.pay(await shop.order("25"))
    shop.provider.faults.time_out_after_effect(Operation.REFUND)
    refund = await shop.refund(charge, "10")
    await shop.clock.advance(minutes=1)
    _, [found] = await shop.market.payments.get("buyer", charge.id)
    assert (found.id, found.status) == (refund.id, RefundStatus.COMPLETED)
    assert shop.booked(charge).refunded == 1000


async def test_a_provider_that_is_away_for_a_while_is_paid_when_it_is_back(shop: Shop) -> None:
    order = await shop.order()
    shop.provider.faults.unavailable()
    charge = await shop.pay(order)
    assert charge.status is ChargeStatus.CREATED, "it is answered as undecided"
    await shop.clock.advance(minutes=5)
    assert (await shop.order_now(order)).status is OrderStatus.CREATED
    shop.provider.faults.available()
    await shop.clock.advance(seconds=20)
    assert (await shop.charge_now(charge)).status is ChargeStatus.COMPLETED
    await is_completed(shop, order)


async def test_a_provider_that_is_away_too_long_charges_nobody(shop: Shop) -> None:
    order = await shop.order()
    shop.provider.faults.unavailable()
    charge = await shop.pay(order)
    await shop.clock.advance(minutes=17)
    await is_cancelled(shop, order, CancelReason.EXPIRED)
    shop.provider.faults.available()
    await shop.clock.advance(minutes=1)
    assert (await shop.charge_now(charge)).code == "order_expired"
    assert shop.provider.books().charges == ()


async def test_a_provider_that_goes_away_between_authorization_and_capture_is_paid_later(shop: Shop) -> None:
    order = await shop.order()
    shop.provider.faults.slow(2)
    async with anyio.create_task_group() as group:
        group.start_soon(partial(shop.market.payments.pay, "buyer", order.id, token="tok_visa"))
        await shop.clock.advance(seconds=4.5)
        assert (await shop.order_now(order)).status is OrderStatus.AWAITING_PAYMENT
        shop.provider.faults.unavailable()
        await shop.clock.advance(hours=3)
        now = await shop.order_now(order)
        assert now.status is OrderStatus.AWAITING_PAYMENT, "what is being paid does not expire"
        shop.provider.faults.available()
        shop.provider.faults.slow(0)
        await shop.clock.advance(minutes=5)
    await is_completed(shop, order)


# --- a buyer who changes their mind while paying ---------------------------------------------------------------------


@pytest.mark.parametrize("moment", [0, 1, 2.5, 3.9])
async def test_who_cancels_while_paying_is_not_charged(shop: Shop, moment: float) -> None:
    order = await shop.order()
    shop.provider.faults.slow(2)
    charge, cancelled = await _meanwhile(shop, order, moment, shop.market.orders.cancel("buyer", order.id))
    await shop.clock.advance(minutes=1)
    assert cancelled.status is OrderStatus.CANCELLED
    assert (charge.status, charge.code) == (ChargeStatus.FAILED, "order_cancelled")
    assert shop.booked(charge).captured == 0
    await is_cancelled(shop, order, CancelReason.BUYER)


async def test_who_cancels_when_the_money_is_held_is_told_that_it_is_too_late(shop: Shop) -> None:
    order = await shop.order()
    shop.provider.faults.slow(2)
    with pytest.raises(OrderClosed) as refused:
        await _meanwhile(shop, order, 4.5, shop.market.orders.cancel("buyer", order.id))
    assert refused.value.code == "order_awaiting_payment"
    await shop.clock.advance(seconds=5)
    await is_completed(shop, order)


async def test_who_drops_tickets_while_paying_is_not_charged_the_old_total(shop: Shop) -> None:
    order = await shop.order("10", "20")
    shop.provider.faults.slow(2)
    keep = shop.market.orders.keep("buyer", order.id, [order.ticket_ids[0]])
    charge, kept = await _meanwhile(shop, order, 2.5, keep)
    assert kept.order.total == Money(1000, "USD")
    assert (charge.status, charge.code) == (ChargeStatus.FAILED, "order_changed")
    shop.provider.faults.slow(0)
    await shop.clock.advance(seconds=10)
    again = await shop.pay(order)
    assert (again.status, again.amount) == (ChargeStatus.COMPLETED, Money(1000, "USD"))
    assert shop.booked(charge).captured == 0


async def test_an_order_that_expires_while_paying_is_not_charged(shop: Shop) -> None:
    order = await shop.order()
    await shop.clock.advance(minutes=14, seconds=50)
    shop.provider.faults.slow(40)
    charge = await shop.pay(order)
    await shop.clock.advance(minutes=3)
    await is_cancelled(shop, order, CancelReason.EXPIRED)
    ended = await shop.charge_now(charge)
    assert (ended.status, ended.code) == (ChargeStatus.FAILED, "order_expired")
    assert shop.booked(charge).captured == 0


async def test_a_payment_begun_in_the_last_second_gets_its_grace(shop: Shop) -> None:
    order = await shop.order()
    await shop.clock.advance(minutes=14, seconds=59)
    shop.provider.faults.slow(15)
    await shop.pay(order)
    await shop.clock.advance(minutes=1)
    await is_completed(shop, order)


async def test_a_walk_away_from_the_waiting_request_does_not_stop_the_payment(shop: Shop) -> None:
    order = await shop.order()
    shop.provider.faults.slow(2)
    async with anyio.create_task_group() as group:
        group.start_soon(partial(shop.market.payments.pay, "buyer", order.id, token="tok_visa"))
        await shop.clock.advance(seconds=1)
        group.cancel_scope.cancel()
    await shop.clock.advance(seconds=10)
    await is_completed(shop, order)


async def _meanwhile(shop: Shop, order: Order, seconds: float, act: Any) -> tuple[Any, Any]:
    """Pay, and after so many seconds do something else; returns the ended charge and the other answer."""
    charges: list[Any] = []

    async def pay() -> None:
        charges.append(await shop.market.payments.pay(order.buyer_id, order.id, token="tok_visa"))

    async with anyio.create_task_group() as group:
        group.start_soon(pay)
        await shop.clock.advance(seconds=seconds)
        errors: list[Exception] = []
        answer: Any = None
        try:
            answer = await act
        except Exception as error:  # noqa: BLE001 - raised below, outside of the task group
            errors.append(error)
        await shop.clock.advance(seconds=15)
    if errors:
        raise errors[0]
    return await shop.charge_now(charges[0]), answer


# --- more than one payment -------------------------------------------------------------------------------------------


async def test_of_two_tabs_that_pay_at_once_one_is_told_that_a_payment_is_under_way(shop: Shop) -> None:
    order = await shop.order()
    shop.provider.faults.slow(1)
    outcomes: list[object] = []

    async def tab() -> None:
        try:
            outcomes.append((await shop.market.payments.pay("buyer", order.id, token="tok_visa")).status)
        except Conflict as error:
            outcomes.append(error.code)

    async with anyio.create_task_group() as group:
        group.start_soon(tab)
        group.start_soon(tab)
        await shop.clock.advance(seconds=10)
    assert sorted(map(str, outcomes)) == ["completed", "payment_under_way"]
    assert len(shop.provider.books().charges) == 1


async def test_one_command_key_is_one_charge(shop: Shop) -> None:
    order = await shop.order()
    shop.provider.faults.slow(1)
    found: list[str] = []

    async def click() -> None:
        charge = await shop.market.payments.pay("buyer", order.id, token="tok_visa", command_key="click")
        found.append(charge.id)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(click)
        await shop.clock.advance(seconds=10)
    again = await shop.pay(order, key="click")
    assert {again.id, *found} == {again.id}
    assert again.status is ChargeStatus.COMPLETED
    assert len(shop.provider.books().charges) == 1


async def test_one_command_key_with_another_card_is_refused(shop: Shop) -> None:
    order = await shop.order()
    await shop.pay(order, key="click")
    with pytest.raises(CommandReused):
        await shop.pay(order, "tok_pending", key="click")


@keeping
async def test_after_a_decline_the_same_command_key_begins_another_charge(shop: Shop) -> None:
    order = await shop.order()
    shop.provider.faults.decline(Operation.AUTHORIZE, code="try_again_later", times=2)
    declined = [await shop.pay(order, key="click") for _ in range(2)]
    assert [charge.code for charge in declined] == ["try_again_later"] * 2
    paid = await shop.pay(order, key="click")
    assert paid.status is ChargeStatus.COMPLETED
    assert len({paid.id, *(charge.id for charge in declined)}) == 3
    assert (await shop.pay(order, key="click")).id == paid.id


async def test_keys_of_two_buyers_have_nothing_to_do_with_each_other(shop: Shop) -> None:
    mine, yours = await shop.order(buyer="me"), await shop.order(buyer="you")
    paid = [await shop.pay(mine, key="1"), await shop.pay(yours, key="1")]
    assert [charge.order_id for charge in paid] == [mine.id, yours.id]


async def test_a_payment_without_an_order_is_not_found_after_two_seconds(shop: Shop) -> None:
    began = shop.clock.now()
    with pytest.raises(NotFound):
        await patiently(shop.clock, shop.market.payments.pay("buyer", "nothing", token="tok_visa"))
    assert 2 <= (shop.clock.now() - began).total_seconds() < 3
