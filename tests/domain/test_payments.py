from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.domain.world import START, World, usd

from ticketkit.domain import payments
from ticketkit.domain.entities import (
    CancelReason,
    Charge,
    ChargeStatus,
    Order,
    OrderCopy,
    OrderStatus,
)
from ticketkit.domain.errors import ChargeClosed, Conflict, DomainError, NotFound, OrderClosed
from ticketkit.domain.payments import PATIENCE, OrderNews

STEPS: dict[str, Callable[[World], Any]] = {
    "created": lambda _: None,
    "prepared": lambda world: world.charged(payments.prepared, "c1", reference="ref"),
    "requires_action": lambda world: world.charged(payments.action_required, "c1", action={"type": "redirect"}),
    "authorized": lambda world: world.charged(payments.authorized, "c1"),
    "failed": lambda world: world.charged(payments.declined, "c1", code="card_declined"),
    "completed": lambda world: world.charged(payments.captured, "c1"),
}
WAYS = {
    "created": ("created",),
    "prepared": ("prepared",),
    "requires_action": ("prepared", "requires_action"),
    "authorized": ("prepared", "authorized"),
    "failed": ("prepared", "failed"),
    "completed": ("prepared", "authorized", "completed"),
}


def begun(state: str = "created") -> World:
    """An order of 20 USD with one charge in some state."""
    world = World()
    world.list("t1", "t2", price="10")
    world.place("o1", "t1", "t2")
    world.hear_orders()
    world.begin("c1", "o1")
    for step in WAYS[state]:
        STEPS[step](world)
    return world


def refused(error: DomainError) -> tuple[str, dict[str, object]]:
    return error.code, error.values


# --- beginning ---


def test_a_charge_is_for_the_whole_order() -> None:
    world = begun()
    charge = world.charge("c1")
    assert (charge.status, charge.amount, charge.token) == (ChargeStatus.CREATED, usd("20"), "tok_visa")
    assert charge.due_at == START + PATIENCE
    assert (world.copy("o1").charges, world.copy("o1").open_charge_id) == (("c1",), "c1")
    assert world.told()[-1] == ("charge.created", "c1")
    assert b"tok_visa" not in world.events[-1].data


def test_only_ones_own_order_that_payments_knows_can_be_paid() -> None:
    world = World()
    world.list("t1")
    world.place("o1", "t1")
    with pytest.raises(NotFound) as refusal:
        world.begin("c1", "o1")
    assert refused(refusal.value) == ("order_not_found", {"order_id": "o1"})
    world.hear_orders()
    with pytest.raises(NotFound):
        world.begin("c1", "o1", buyer="other")
    world.begin("c1", "o1")


def test_an_order_has_one_open_charge() -> None:
    world = begun()
    with pytest.raises(Conflict, match="under way") as refusal:
        world.begin("c2", "o1")
    assert refused(refusal.value) == (
        "payment_under_way",
        {"order_id": "o1", "status": "created", "charge_id": "c1"},
    )
    world.charged(payments.declined, "c1", code="card_declined")
    assert world.begin("c2", "o1").id == "c2"
    assert world.copy("o1").charges == ("c1", "c2")


def test_paying_begins_before_the_lock_ends() -> None:
    world = World()
    world.list("t1")
    end = world.place("o1", "t1").expires_at
    world.hear_orders()
    world.now = end
    with pytest.raises(OrderClosed, match="You were not charged") as refusal:
        world.begin("c1", "o1")
    assert refused(refusal.value) == ("order_expired", {"order_id": "o1", "status": "created"})
    world.now = end - timedelta(microseconds=1)
    world.begin("c1", "o1")


@pytest.mark.parametrize(
    ("end", "error", "code"),
    [
        ("cancel", OrderClosed, "order_cancelled"),
        ("expire", OrderClosed, "order_expired"),
        ("pin", Conflict, "payment_under_way"),
        ("pay", OrderClosed, "order_completed"),
    ],
)
def test_an_order_that_is_not_open_is_not_paid(end: str, error: type[DomainError], code: str) -> None:
    world = World()
    world.list("t1")
    world.place("o1", "t1")
    if end == "cancel":
        world.cancel("o1")
    elif end == "expire":
        world.wait(minutes=15)
        world.expire("o1")
    elif end == "pin":
        world.authorize("c1", "o1")
    else:
        world.pay("c1", "o1")
    world.hear_all()
    with pytest.raises(error) as refusal:
        world.begin("c2", "o1")
    assert refusal.value.code == code


# --- what the provider says ---


def test_the_reference_is_noted_once() -> None:
    world = begun("prepared")
    charge = world.charge("c1")
    assert (charge.reference, charge.status) == ("ref", ChargeStatus.CREATED)
    assert world.charged(payments.prepared, "c1", reference="other") == charge


def test_a_charge_that_was_given_up_while_it_was_prepared_owes_a_void() -> None:
    world = begun()
    assert world.charged(payments.give_up, "c1", code="timeout").owes_void is False  # there is nothing to void yet
    charge = world.charged(payments.prepared, "c1", reference="ref")
    assert (charge.owes_void, charge.due_at) == (True, world.now)


def test_authorized_money_waits_for_the_order() -> None:
    world = begun("requires_action")
    charge = world.charged(payments.authorized, "c1")
    assert (charge.status, charge.action) == (ChargeStatus.AUTHORIZED, None)
    assert world.told()[-1] == ("charge.authorized", "c1")
    assert not payments.may_capture(charge, world.copy("o1"))
    assert world.charged(payments.authorized, "c1") == charge


def test_money_that_is_authorized_after_all_is_let_go() -> None:
    world = begun("failed")
    world.charged(payments.voided, "c1")
    assert not world.charge("c1").owes_void
    charge = world.charged(payments.authorized, "c1")
    assert (charge.status, charge.owes_void, charge.due_at) == (ChargeStatus.FAILED, True, world.now)
    assert world.charged(payments.voided, "c1").due_at is None


def test_the_buyer_is_asked_to_act_while_the_charge_is_created() -> None:
    world = begun("requires_action")
    charge = world.charge("c1")
    assert (charge.status, charge.action) == (ChargeStatus.REQUIRES_ACTION, {"type": "redirect"})
    assert b"redirect" not in world.events[-1].data
    assert world.charged(payments.action_required, "c1", action={"type": "other"}) == charge


def test_a_declined_charge_fails_with_the_providers_code() -> None:
    world = begun("failed")
    charge = world.charge("c1")
    assert (charge.status, charge.code, charge.declined) == (ChargeStatus.FAILED, "card_declined", True)
    assert (charge.owes_void, charge.due_at, charge.token) == (True, world.now, None), "it could be tried again"
    assert world.copy("o1").open_charge_id is None
    assert world.told()[-1] == ("charge.failed", "c1")


def test_a_refused_capture_lets_the_held_money_go() -> None:
    world = begun("authorized")
    charge = world.charged(payments.capture_refused, "c1", code="amount_too_large")
    assert (charge.status, charge.declined, charge.owes_void) == (ChargeStatus.FAILED, True, True)


def test_an_old_decline_is_void_once_the_money_is_held() -> None:
    world = begun("authorized")
    assert world.charged(payments.declined, "c1", code="card_declined").status is ChargeStatus.AUTHORIZED


def test_only_a_held_payment_can_have_its_capture_refused() -> None:
    world = begun()
    assert world.charged(payments.capture_refused, "c1", code="x").status is ChargeStatus.CREATED


def test_a_captured_charge_is_completed() -> None:
    world = begun("completed")
    charge = world.charge("c1")
    assert (charge.status, charge.token, charge.due_at) == (ChargeStatus.COMPLETED, None, None)
    assert world.copy("o1").open_charge_id is None
    assert world.charged(payments.captured, "c1") == charge


@pytest.mark.parametrize("state", ["created", "requires_action", "failed"])
def test_money_that_moved_without_a_reason_is_said_aloud(state: str) -> None:
    world = begun(state)
    with pytest.raises(ChargeClosed) as refusal:
        world.charged(payments.captured, "c1")
    assert refused(refusal.value) == ("captured_unexpectedly", {"charge_id": "c1", "status": state})


@pytest.mark.parametrize("state", ["prepared", "requires_action", "authorized"])
def test_a_charge_that_the_provider_voided_has_failed(state: str) -> None:
    world = begun(state)
    charge = world.charged(payments.voided, "c1")
    assert (charge.status, charge.code, charge.declined, charge.owes_void) == ("failed", "voided", False, False)
    assert world.copy("o1").open_charge_id is None


@pytest.mark.parametrize(("state", "owes"), [("created", False), ("prepared", True), ("requires_action", True)])
def test_a_charge_that_is_given_up_owes_a_void(state: str, owes: bool) -> None:  # noqa: FBT001
    world = begun(state)
    charge = world.charged(payments.give_up, "c1", code="timeout")
    assert (charge.status, charge.code, charge.owes_void, charge.declined) == ("failed", "timeout", owes, False)
    assert charge.due_at == (world.now if owes else None)
    assert world.copy("o1").open_charge_id is None


def test_money_that_is_held_is_not_given_up_by_time() -> None:
    world = begun("authorized")
    before = world.charge("c1")
    assert world.charged(payments.give_up, "c1", code="timeout") == before


@pytest.mark.parametrize("state", ["failed", "completed"])
def test_nothing_changes_the_status_of_a_final_charge(state: str) -> None:
    world = begun(state)
    acts: list[tuple[Any, dict[str, Any]]] = [
        (payments.prepared, {"reference": "other"}),
        (payments.authorized, {}),
        (payments.action_required, {"action": {}}),
        (payments.declined, {"code": "x"}),
        (payments.capture_refused, {"code": "x"}),
        (payments.voided, {}),
        (payments.give_up, {"code": "x"}),
        (payments.look_again, {"after": timedelta(seconds=5)}),
    ]
    for act, what in acts:
        charge = world.charged(act, "c1", **what)
        assert (charge.status, charge.reference) == (state, "ref")
        assert charge.code == ("card_declined" if state == "failed" else None)


def test_only_what_is_open_is_looked_at_again() -> None:
    world = begun()
    later = world.charged(payments.look_again, "c1", after=timedelta(seconds=5))
    assert later.due_at == world.now + timedelta(seconds=5)
    done = begun("completed")
    before = done.charge("c1")
    assert done.charged(payments.look_again, "c1", after=timedelta(seconds=5)) == before


def test_an_unknown_charge_is_not_found() -> None:
    for act, what in ((payments.authorized, {}), (payments.prepared, {"reference": "x"}), (payments.captured, {})):
        with pytest.raises(NotFound) as refusal:
            World().charged(act, "c1", **what)
        assert refusal.value.code == "charge_not_found"


# --- news of orders ---


def news(world: World, **changes: Any) -> OrderNews:
    """The newest copy, as if something had changed."""
    copy = world.copy("o1")
    found = OrderNews(
        id="o1",
        buyer_id=copy.buyer_id,
        status=copy.status,
        reason=copy.reason,
        total=copy.total,
        expires_at=copy.expires_at,
        charge_id=copy.charge_id,
        version=copy.order_version + 1,
    )
    return replace(found, **changes)


def hear(world: World, heard: OrderNews) -> Charge:
    world.decide(lambda state: payments.order_heard(state, heard), OrderCopy.key("o1"))
    return world.charge("c1")


GONE = [
    ({"status": OrderStatus.CANCELLED, "reason": CancelReason.BUYER}, "order_cancelled"),
    ({"status": OrderStatus.CANCELLED, "reason": CancelReason.EXPIRED}, "order_expired"),
    ({"status": OrderStatus.CANCELLED, "reason": CancelReason.TAKEN_OVER}, "order_cancelled"),
    ({"status": OrderStatus.AWAITING_PAYMENT, "charge_id": "c2"}, "superseded"),
    ({"status": OrderStatus.COMPLETED, "charge_id": "c2"}, "superseded"),
    ({"total": usd("10")}, "order_changed"),
]


@pytest.mark.parametrize("state", ["created", "prepared", "requires_action", "authorized"])
@pytest.mark.parametrize(("what", "code"), GONE)
def test_a_charge_is_given_up_when_its_order_is_gone(state: str, what: dict[str, Any], code: str) -> None:
    world = begun(state)
    charge = hear(world, news(world, **what))
    assert (charge.status, charge.code, charge.owes_void) == ("failed", code, state != "created")
    assert world.copy("o1").open_charge_id is None
    assert world.told()[-1] == ("charge.failed", "c1")


def test_a_charge_that_pins_its_order_is_captured() -> None:
    world = begun("authorized")
    world.wait(seconds=10)
    charge = hear(world, news(world, status=OrderStatus.AWAITING_PAYMENT, charge_id="c1"))
    assert charge.due_at == world.now
    assert payments.may_capture(charge, world.copy("o1"))


@pytest.mark.parametrize(
    ("charge", "copy"),
    [
        ({"status": ChargeStatus.CREATED}, {}),
        ({"status": ChargeStatus.FAILED}, {}),
        ({"status": ChargeStatus.COMPLETED}, {}),
        ({"amount": usd("19.99")}, {}),
        ({}, {"status": OrderStatus.CREATED}),
        ({}, {"status": OrderStatus.CANCELLED}),
        ({}, {"status": OrderStatus.COMPLETED}),
        ({}, {"charge_id": "c2"}),
        ({}, {"charge_id": None}),
    ],
)
def test_nothing_else_is_captured(charge: dict[str, Any], copy: dict[str, Any]) -> None:
    world = begun("authorized")
    hear(world, news(world, status=OrderStatus.AWAITING_PAYMENT, charge_id="c1"))
    assert not payments.may_capture(replace(world.charge("c1"), **charge), replace(world.copy("o1"), **copy))


def test_older_news_of_an_order_are_void() -> None:
    world = begun("authorized")
    hear(world, news(world, version=7))
    before = dict(world.entities)
    for version in (1, 6, 7):
        hear(world, news(world, version=version, status=OrderStatus.CANCELLED, reason=CancelReason.BUYER))
    assert world.entities == before


def test_an_order_that_is_longer_locked_keeps_its_charge() -> None:
    world = begun("prepared")
    later = world.now + timedelta(hours=1)
    charge = hear(world, news(world, expires_at=later))
    assert charge.status is ChargeStatus.CREATED
    assert (world.copy("o1").expires_at, world.copy("o1").open_charge_id) == (later, "c1")


def test_a_final_charge_stays_when_its_order_is_over() -> None:
    world = begun("completed")
    before = world.charge("c1")
    assert hear(world, news(world, status=OrderStatus.COMPLETED, charge_id="c1")) == before


def test_a_copy_is_what_the_event_said() -> None:
    world = begun()
    order = world.get(Order, "o1")
    copy = world.copy("o1")
    assert (copy.total, copy.expires_at, copy.order_version) == (order.total, order.expires_at, order.version)
