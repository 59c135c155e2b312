from datetime import timedelta

import pytest
from tests.domain.world import START, World, charge_news, usd

from ticketkit.domain import payments, settlement
from ticketkit.domain.entities import (
    CancelReason,
    ChargeStatus,
    Extension,
    Order,
    OrderStatus,
    TicketStatus,
)
from ticketkit.domain.money import Money
from ticketkit.domain.policy import OnDecline, Policy
from ticketkit.domain.settlement import ChargeNews
from ticketkit.events.catalogue import ChargeCompleted

MOMENT = timedelta(microseconds=1)
HOLD = Policy().hold


def placed(policy: Policy | None = None) -> World:
    world = World()
    world.list("t1", "t2", price="20")
    world.place("o1", "t1", policy=policy)
    return world


def hear(world: World, status: str, version: int, *, charge: str = "c1", amount: Money | None = None) -> Order:
    """Tell orders of a charge; `declined` is a failed one that the provider refused."""
    news = ChargeNews(
        id=charge,
        order_id="o1",
        version=version,
        status=ChargeStatus.FAILED if status == "declined" else ChargeStatus(status),
        amount=amount or usd("20"),
        declined=status == "declined",
    )
    world.decide(lambda state: settlement.charge_heard(state, news), Order.key("o1"))
    return world.order("o1")


def test_a_charge_begun_in_time_gives_one_grace() -> None:
    world = placed()
    world.wait(minutes=14)
    order = hear(world, "created", 1)
    assert (order.extension, order.expires_at) == (Extension.GRACE, START + HOLD + timedelta(seconds=60))
    assert order.placed_until == START + HOLD
    assert world.told()[-1] == ("order.extended", "o1")
    again = hear(world, "created", 1, charge="c2")
    assert again.expires_at == order.expires_at


def test_a_charge_that_needs_an_action_gives_the_payment_window() -> None:
    world = placed()
    hear(world, "created", 1)
    order = hear(world, "requires_action", 2)
    assert (order.extension, order.expires_at) == (Extension.WINDOW, START + HOLD + timedelta(minutes=5))
    later = hear(world, "created", 1, charge="c2")
    assert (later.extension, later.expires_at) == (Extension.WINDOW, order.expires_at)


def test_a_lock_never_becomes_shorter() -> None:
    policy = Policy(payment_grace=timedelta(minutes=10), payment_window=timedelta(minutes=5))
    world = placed(policy)
    hear(world, "created", 1)
    assert hear(world, "requires_action", 2).expires_at == START + HOLD + timedelta(minutes=10)


@pytest.mark.parametrize("status", ["created", "requires_action"])
def test_a_charge_begun_too_late_gives_nothing(status: str) -> None:
    world = placed()
    world.now = START + HOLD
    order = hear(world, status, 1)
    assert (order.extension, order.expires_at) == (Extension.NONE, START + HOLD)


def test_an_authorized_charge_pins_an_order_in_time() -> None:
    world = placed()
    world.now = START + HOLD - MOMENT
    order = hear(world, "authorized", 3)
    assert (order.status, order.charge_id) == (OrderStatus.AWAITING_PAYMENT, "c1")
    assert world.ticket("t1").status is TicketStatus.LOCKED
    assert world.told()[-1] == ("order.awaiting_payment", "o1")


def test_a_late_payer_pays_nothing() -> None:
    world = placed()
    world.now = START + HOLD
    order = hear(world, "authorized", 3)
    assert (order.status, order.reason, order.charge_id) == (OrderStatus.CANCELLED, CancelReason.EXPIRED, None)
    assert world.ticket("t1").status is TicketStatus.AVAILABLE


def test_grace_counts_to_its_very_end() -> None:
    for late, status in ((timedelta(0), OrderStatus.CANCELLED), (-MOMENT, OrderStatus.AWAITING_PAYMENT)):
        world = placed()
        hear(world, "created", 1)
        world.now = START + HOLD + timedelta(seconds=60) + late
        assert hear(world, "authorized", 3).status is status


@pytest.mark.parametrize("amount", [usd("19.99"), usd("20.01"), Money(2000, "EUR")])
def test_another_amount_does_not_pay_an_order(amount: Money) -> None:
    order = hear(placed(), "authorized", 3, amount=amount)
    assert (order.status, order.reason) == (OrderStatus.CANCELLED, CancelReason.PAYMENT_FAILED)


def test_the_pinning_charge_completes_the_order() -> None:
    world = placed()
    hear(world, "authorized", 3)
    world.wait(days=1)  # it does not expire any more
    before = len(world.events)
    order = hear(world, "completed", 5)
    assert (order.status, order.charge_id) == (OrderStatus.COMPLETED, "c1")
    assert (world.ticket("t1").status, world.ticket("t1").order_id) == (TicketStatus.SOLD, "o1")
    assert world.on_hold("buyer") == 0
    assert world.told(before) == [("order.completed", "o1"), ("ticket.sold", "t1")]


@pytest.mark.parametrize("status", ["failed", "declined"])
def test_the_failure_of_the_pinning_charge_cancels_the_order(status: str) -> None:
    world = placed(Policy(on_decline=OnDecline.KEEP))
    hear(world, "authorized", 3)
    order = hear(world, status, 4)
    assert (order.status, order.reason) == (OrderStatus.CANCELLED, CancelReason.PAYMENT_FAILED)
    assert world.ticket("t1").status is TicketStatus.AVAILABLE


@pytest.mark.parametrize("status", ["created", "requires_action", "authorized", "completed", "failed", "declined"])
def test_another_charge_does_not_touch_a_pinned_order(status: str) -> None:
    world = placed()
    pinned = hear(world, "authorized", 3)
    order = hear(world, status, 9, charge="c2")
    assert (order.status, order.charge_id, order.expires_at) == (pinned.status, "c1", pinned.expires_at)


@pytest.mark.parametrize(
    ("on_decline", "status", "expected"),
    [
        (OnDecline.CANCEL, "declined", OrderStatus.CANCELLED),
        (OnDecline.KEEP, "declined", OrderStatus.CREATED),
        (OnDecline.CANCEL, "failed", OrderStatus.CREATED),
        (OnDecline.KEEP, "failed", OrderStatus.CREATED),
    ],
)
def test_a_declined_payment_does_to_an_open_order_what_the_policy_says(
    on_decline: OnDecline, status: str, expected: OrderStatus
) -> None:
    order = hear(placed(Policy(on_decline=on_decline)), status, 3)
    assert order.status is expected
    assert order.reason is (CancelReason.PAYMENT_DECLINED if expected is OrderStatus.CANCELLED else None)


def test_older_news_of_a_charge_are_void() -> None:
    world = placed(Policy(on_decline=OnDecline.KEEP))
    order = hear(world, "declined", 4)
    for status, version in (("authorized", 3), ("declined", 4), ("created", 1)):
        assert hear(world, status, version) == order
    assert hear(world, "authorized", 3, charge="c2").charge_id == "c2"  # another charge counts for itself


@pytest.mark.parametrize("end", ["cancelled", "completed"])
@pytest.mark.parametrize("status", ["created", "requires_action", "authorized", "completed", "failed", "declined"])
def test_nothing_changes_a_final_order(end: str, status: str) -> None:
    world = placed()
    if end == "completed":
        world.pay("c1", "o1")
    else:
        world.cancel("o1")
    before = dict(world.entities)
    assert world.order("o1").status == end
    hear(world, status, 99)
    hear(world, status, 99, charge="c2")
    assert world.entities == before


def test_news_of_an_unknown_order_are_void() -> None:
    world = World()
    news = ChargeNews(id="c1", order_id="o1", version=1, status=ChargeStatus.AUTHORIZED, amount=usd("1"))
    assert world.decide(lambda state: settlement.charge_heard(state, news), Order.key("o1")).entities == ()


def test_an_order_that_was_taken_over_is_not_pinned() -> None:
    world = placed()
    world.wait(minutes=15)
    world.place("o2", "t1", buyer="other")
    order = hear(world, "authorized", 3)
    assert order.reason is CancelReason.TAKEN_OVER
    assert world.ticket("t1").order_id == "o2"


def test_a_whole_purchase_in_events() -> None:
    world = placed()
    world.pay("c1", "o1")
    assert [name for name, _ in world.told() if not name.startswith("ticket.")] == [
        "order.created",
        "charge.created",
        "charge.authorized",
        "order.extended",
        "order.awaiting_payment",
        "charge.completed",
        "order.completed",
    ]
    last = ChargeCompleted.model_validate_json(next(e for e in world.events if e.name == "charge.completed").data)
    assert charge_news(last).version == world.charge("c1").version
    assert not payments.may_capture(world.charge("c1"), world.copy("o1"))
