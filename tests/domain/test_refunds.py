"""Money given back: what is asked for, what failed charges owe, and what people did at the provider."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from tests.domain.world import START, World, usd

from ticketkit.domain import payments, refunds
from ticketkit.domain.entities import Charge, ChargeStatus, OrderCopy, Refund, RefundStatus
from ticketkit.domain.errors import ChargeClosed, Conflict, InvalidMoney
from ticketkit.domain.money import Money
from ticketkit.domain.payments import PATIENCE, OrderNews
from ticketkit.domain.policy import OnDecline


def charged(*, taken: bool = False) -> World:
    """An order of 20 USD whose charge is authorized."""
    world = World()
    world.list("t1", "t2", price="10")
    world.place("o1", "t1", "t2")
    world.hear_orders()
    world.begin("c1", "o1")
    world.charged(payments.prepared, "c1", reference="ref")
    world.charged(payments.authorized, "c1", taken=taken)
    return world


def completed() -> World:
    world = charged()
    world.charged(payments.captured, "c1")
    return world


def kept() -> World:
    """A failed charge whose money was taken, and whose refund r1 the provider refused."""
    world = charged(taken=True)
    world.cancel("o1")
    world.hear_orders()
    give_back(world, "r1")
    world.refund_ended(refunds.failed, "r1", code="insufficient_balance")
    return world


def give_back(world: World, id: str) -> Refund:
    command = world.command(id)
    return world.decide(lambda s: refunds.give_back(s, command, "c1"), Charge.key("c1"), command=command).one(Refund)


def noted(world: World, id: str, given_back: int) -> tuple[Charge, list[Refund]]:
    command = world.command(id)
    answer = world.decide(
        lambda s: refunds.note(s, command, "c1", given_back=given_back), Charge.key("c1"), command=command
    )
    return answer.one(Charge), list(answer.every(Refund))


def test_a_refund_gives_back_what_is_left() -> None:
    world = completed()
    part = world.refund("r1", "c1", usd("5"))
    assert (part.status, part.amount, part.order_id, part.due_at) == ("created", usd("5"), "o1", START + PATIENCE)
    assert world.refund("r2", "c1").amount == usd("15")
    assert (world.charge("c1").refunded, world.charge("c1").refund_ids) == (2000, ("r1", "r2"))
    assert world.told()[-1] == ("refund.created", "r2")


@pytest.mark.parametrize(
    ("amount", "code"),
    [(usd("20.01"), "refund_above_charge"), (usd("0"), "invalid_money"), (Money(1, "EUR"), "invalid_money")],
)
def test_no_more_is_given_back_than_was_taken(amount: Money, code: str) -> None:
    world = completed()
    with pytest.raises((Conflict, InvalidMoney)) as refusal:
        world.refund("r1", "c1", amount)
    assert refusal.value.code == code
    assert world.every(Refund) == []


def test_nothing_is_left_after_all_was_given_back() -> None:
    world = completed()
    world.refund("r1", "c1")
    for amount in (None, usd("0.01")):
        with pytest.raises((Conflict, InvalidMoney)):
            world.refund("r2", "c1", amount)
    assert world.charge("c1").refunded == 2000


@pytest.mark.parametrize("state", ["authorized", "failed"])
def test_only_a_completed_charge_is_refunded(state: str) -> None:
    world = charged()
    if state == "failed":
        world.charged(payments.capture_refused, "c1", code="card_declined")
    with pytest.raises(ChargeClosed) as refusal:
        world.refund("r1", "c1")
    assert refusal.value.code == "charge_not_completed"
    assert refusal.value.values == {"charge_id": "c1", "status": state}


def test_a_refund_ends_once() -> None:
    world = completed()
    world.refund("r1", "c1", usd("5"))
    done = world.refund_ended(refunds.refunded, "r1", reference="re_1")
    assert (done.status, done.reference, done.due_at) == (RefundStatus.COMPLETED, "re_1", None)
    assert world.refund_ended(refunds.failed, "r1", code="x") == done
    assert world.refund_ended(refunds.refunded, "r1", reference="re_2") == done
    assert world.charge("c1").refunded == 500


def test_a_refund_that_failed_can_be_tried_again() -> None:
    world = completed()
    world.refund("r1", "c1")
    failed = world.refund_ended(refunds.failed, "r1", code="no")
    assert (failed.status, failed.code, failed.due_at) == (RefundStatus.FAILED, "no", None)
    assert world.charge("c1").refunded == 0
    assert world.refund_ended(refunds.refunded, "r1", reference="re_1") == failed
    assert world.refund("r2", "c1").amount == usd("20")


def test_only_an_open_refund_is_looked_at_again() -> None:
    world = completed()
    world.refund("r1", "c1")
    again = world.refund_ended(refunds.look_again, "r1", after=timedelta(seconds=5))
    assert again.due_at == world.now + timedelta(seconds=5)
    done = world.refund_ended(refunds.refunded, "r1", reference="re_1")
    assert world.refund_ended(refunds.look_again, "r1", after=timedelta(seconds=5)) == done


@pytest.mark.parametrize(("amount", "minor"), [(Decimal(5), 500), (Decimal("5.5"), 550), (Decimal("20.00"), 2000)])
def test_a_number_is_of_the_currency_of_the_charge(amount: Decimal, minor: int) -> None:
    assert completed().refund("r1", "c1", amount).amount == Money(minor, "USD")


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (Decimal("0.001"), "too_many_digits"),
        (Decimal(0), "invalid_money"),
        (Decimal(-1), "amount_out_of_range"),
        (Decimal("NaN"), "invalid_money"),
    ],
)
def test_a_number_that_is_no_amount_names_the_field(amount: Decimal, code: str) -> None:
    with pytest.raises(InvalidMoney) as refusal:
        completed().refund("r1", "c1", amount)
    assert (refusal.value.code, refusal.value.field) == (code, "amount")


def test_when_nothing_is_left_that_is_what_is_said() -> None:
    world = completed()
    world.refund("r1", "c1")
    with pytest.raises(Conflict) as refusal:
        world.refund("r2", "c1")
    assert refusal.value.code == "refund_above_charge"


def test_a_failed_charge_that_keeps_money_has_a_deadline_until_it_is_given_back() -> None:
    world = kept()
    assert (world.charge("c1").status, world.charge("c1").due_at) == (ChargeStatus.FAILED, world.now + PATIENCE)
    world.refund("r2", "c1")
    assert world.charge("c1").due_at is not None
    world.refund_ended(refunds.refunded, "r2", reference="re")
    assert (world.charge("c1").due_at, world.charge("c1").given_back) == (None, 2000)


def test_part_of_it_is_not_all() -> None:
    world = kept()
    world.refund("r2", "c1", usd("5"))
    world.refund_ended(refunds.refunded, "r2", reference="re")
    assert world.charge("c1").due_at is not None


def test_what_people_gave_back_by_hand_ends_the_looking() -> None:
    world = kept()
    assert world.charged(refunds.returned, "c1").due_at is None
    before = world.charge("c1")
    assert world.charged(refunds.returned, "c1") == before


@pytest.mark.parametrize("make", [charged, completed])
def test_only_a_failed_charge_that_owes_no_void_is_returned(make: object) -> None:
    world: World = make()  # type: ignore[operator]
    before = world.charge("c1")
    assert world.charged(refunds.returned, "c1") == before


def test_a_refund_made_at_the_provider_is_put_on_record_once() -> None:
    world = completed()
    world.refund("r1", "c1", usd("5"))
    charge, [refund] = noted(world, "n1", 1200)
    assert (charge.refunded, charge.given_back, charge.refund_ids) == (1200, 700, ("r1", "n1"))
    assert (refund.status, refund.amount, refund.due_at) == (RefundStatus.COMPLETED, usd("7"), None)
    assert world.told()[-2:] == [("refund.completed", "n1"), ("charge.refunded", "c1")]
    again, more = noted(world, "n2", 1200)
    assert (again, more) == (charge, [])
    assert world.now == START


def test_nothing_is_noted_for_a_charge_that_is_not_completed() -> None:
    world = charged()
    assert noted(world, "n1", 500) == (world.charge("c1"), [])


@pytest.mark.parametrize("on_decline", OnDecline)
def test_the_copy_of_an_order_knows_whether_another_card_may_be_tried(on_decline: OnDecline) -> None:
    world = World()
    world.list("t1")
    order = world.place("o1", "t1")
    news = OrderNews(
        id="o1",
        buyer_id="buyer",
        status=order.status,
        reason=None,
        total=order.total,
        expires_at=order.expires_at,
        charge_id=None,
        version=order.version,
        on_decline=on_decline,
    )
    copy = world.decide(lambda s: payments.order_heard(s, news), OrderCopy.key("o1")).one(OrderCopy)
    may = on_decline is OnDecline.KEEP
    assert payments.another_card(copy, world.now) == may
    assert not payments.another_card(copy, copy.expires_at)
