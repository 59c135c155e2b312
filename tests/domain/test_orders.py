from datetime import timedelta

import pytest
from tests.domain.world import START, World, usd

from ticketkit.domain.entities import (
    CancelReason,
    Line,
    LineKind,
    Order,
    OrderStatus,
    Ticket,
    TicketStatus,
)
from ticketkit.domain.errors import (
    Conflict,
    DomainError,
    InvalidInput,
    InvalidMoney,
    LimitReached,
    NotFound,
    NotOnSale,
    OrderClosed,
    TicketUnavailable,
)
from ticketkit.domain.money import MAX_MINOR, Money
from ticketkit.domain.policy import Policy

HOLD = Policy().hold
MOMENT = timedelta(microseconds=1)


@pytest.fixture
def world() -> World:
    world = World()
    world.list("t1", price="19.99", seat="1")
    world.list("t2", "t3", "t4", price="5")
    return world


def refused(error: DomainError) -> tuple[str, dict[str, object]]:
    return error.code, error.values


# --- placing ---


def test_an_order_locks_its_tickets(world: World) -> None:
    before = len(world.events)
    order = world.place("o1", "t2", "t1")
    assert (order.status, order.version, order.buyer_id) == (OrderStatus.CREATED, 1, "buyer")
    assert order.expires_at == order.placed_until == START + timedelta(minutes=15)
    assert order.ticket_ids == ("t2", "t1")
    assert order.total == usd("24.99")
    assert order.lines[1] == Line(title="Row A", amount=usd("19.99"), ticket_id="t1", seat="1", seller_id="seller")
    for id in order.ticket_ids:
        ticket = world.ticket(id)
        assert (ticket.status, ticket.order_id, ticket.version) == (TicketStatus.LOCKED, "o1", 2)
    assert world.on_hold("buyer") == 2
    assert world.told(before) == [("order.created", "o1"), ("ticket.locked", "t2"), ("ticket.locked", "t1")]


def test_the_price_of_an_order_is_the_price_when_it_was_placed(world: World) -> None:
    world.place("o1", "t1")
    world.cancel("o1")
    world.edit("t1", price="99")
    assert world.order("o1").total == usd("19.99")


def test_fees_and_taxes_are_part_of_the_total(world: World) -> None:
    lines = [
        Line(kind=LineKind.FEE, title="Service", amount=usd("2.50")),
        Line(kind=LineKind.TAX, title="VAT", amount=usd("0.51"), ticket_id="t1"),
    ]
    order = world.place("o1", "t1", lines=lines)
    assert order.total == usd("23")
    assert order.ticket_ids == ("t1",)
    assert world.on_hold("buyer") == 1  # a fee for a ticket is not a ticket


@pytest.mark.parametrize(
    ("ids", "code", "values"),
    [
        pytest.param((), "no_tickets", {}, id="none"),
        pytest.param(("t1", "t2", "t1"), "ticket_twice", {}, id="twice"),
        pytest.param(("t1", "t2", "t3"), "too_many_tickets", {"most": 2}, id="too many"),
    ],
)
def test_an_order_has_one_to_as_many_tickets_as_its_policy_says(
    world: World, ids: tuple[str, ...], code: str, values: dict[str, object]
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        world.place("o1", *ids, policy=Policy(tickets_per_order=2))
    assert refused(refusal.value) == (code, values)
    assert refusal.value.field == "ticket_ids"
    assert world.every(Order) == []


def test_an_order_may_have_exactly_as_many_tickets_as_its_policy_says(world: World) -> None:
    assert len(world.place("o1", "t1", "t2", policy=Policy(tickets_per_order=2)).ticket_ids) == 2


def test_all_tickets_are_locked_or_none(world: World) -> None:
    world.place("o1", "t2", buyer="first")
    with pytest.raises(TicketUnavailable, match="Somebody is buying this ticket") as refusal:
        world.place("o2", "t1", "t2")
    assert refused(refusal.value) == ("ticket_locked", {"ticket_id": "t2"})
    assert world.ticket("t1").status is TicketStatus.AVAILABLE
    assert world.on_hold("buyer") == 0


def test_an_unknown_ticket_is_not_found(world: World) -> None:
    with pytest.raises(NotFound) as refusal:
        world.place("o1", "t1", "t9")
    assert refused(refusal.value) == ("ticket_not_found", {"ticket_id": "t9"})


def test_a_sold_ticket_is_not_sold_again(world: World) -> None:
    world.place("o1", "t1")
    world.pay("c1", "o1")
    world.wait(days=1)
    with pytest.raises(TicketUnavailable, match="sold") as refusal:
        world.place("o2", "t1", buyer="other")
    assert refused(refusal.value) == ("ticket_sold", {"ticket_id": "t1"})


def test_sellers_can_not_buy_their_own_unless_the_policy_says_so(world: World) -> None:
    with pytest.raises(Conflict) as refusal:
        world.place("o1", "t1", buyer="seller")
    assert refused(refusal.value) == ("own_ticket", {"ticket_id": "t1"})
    world.place("o1", "t1", buyer="seller", policy=Policy(own_tickets=True))


def test_an_order_has_one_currency(world: World) -> None:
    world.list("yen", price=Money(500, "JPY"))
    with pytest.raises(InvalidMoney) as refusal:
        world.place("o1", "t1", "yen")
    assert refusal.value.code == "mixed_currencies"
    with pytest.raises(InvalidMoney):
        world.place("o1", "t1", lines=[Line(kind=LineKind.FEE, title="Fee", amount=Money(5, "JPY"))])


def test_a_total_that_is_too_large_is_refused(world: World) -> None:
    world.list("big1", "big2", price=Money(MAX_MINOR, "USD"))
    with pytest.raises(InvalidMoney) as refusal:
        world.place("o1", "big1", "big2")
    assert refusal.value.code == "amount_out_of_range"
    assert world.ticket("big1").status is TicketStatus.AVAILABLE


# --- when a live event sells ---


def test_tickets_are_on_sale_from_a_moment_to_the_start() -> None:
    world = World()
    opens, starts = START + timedelta(days=1), START + timedelta(days=2)
    world.announce("gig", on_sale_at=opens, starts_at=starts)
    world.list("t1", "t2", event_id="gig")
    world.now = opens - MOMENT
    with pytest.raises(NotOnSale, match="on sale from 2026-03-02T12:00:00") as refusal:
        world.place("o1", "t1")
    values = {"ticket_id": "t1", "live_event_id": "gig"}
    assert refused(refusal.value) == ("not_on_sale_yet", {**values, "on_sale_at": opens.isoformat()})
    world.now = opens
    world.place("o1", "t1")
    world.now = starts - MOMENT
    world.place("o2", "t2")
    world.now = starts + HOLD
    with pytest.raises(NotOnSale) as refusal:
        world.place("o3", "t1")
    assert refused(refusal.value) == ("live_event_started", values)


def test_nothing_sells_exactly_at_the_start() -> None:
    world = World()
    world.announce("gig", starts_at=START + timedelta(days=1))
    world.list("t1", event_id="gig")
    world.wait(days=1)
    with pytest.raises(NotOnSale) as refusal:
        world.place("o1", "t1")
    assert refusal.value.code == "live_event_started"


def test_nothing_of_a_cancelled_live_event_is_ordered() -> None:
    world = World()
    world.announce("gig")
    world.list("t1", event_id="gig")
    world.call_off("gig")
    with pytest.raises(NotOnSale) as refusal:
        world.place("o1", "t1")
    assert refused(refusal.value) == ("live_event_cancelled", {"ticket_id": "t1", "live_event_id": "gig"})


# --- the limit of a buyer ---


def test_a_buyer_has_no_more_on_hold_than_the_limit(world: World) -> None:
    policy = Policy(tickets_on_hold=2)
    world.place("o1", "t1", policy=policy)
    with pytest.raises(LimitReached, match="at most 2 tickets on hold") as refusal:
        world.place("o2", "t2", "t3", policy=policy)
    assert refused(refusal.value) == ("too_many_on_hold", {"most": 2, "on_hold": 1, "live_event_id": None})
    world.place("o2", "t2", policy=policy)
    world.place("o3", "t3", "t4", policy=policy, buyer="other")  # each buyer has their own


def test_a_buyers_own_stale_order_does_not_count_for_the_limit_and_ends_in_the_same_commit(world: World) -> None:
    policy = Policy(tickets_on_hold=2)
    world.place("o1", "t1", policy=policy)
    world.place("o2", "t2", policy=policy)
    world.wait(minutes=15)
    world.place("o3", "t3", "t4", policy=policy)
    assert [(world.order(id).status, world.order(id).reason) for id in ("o1", "o2")] == [
        (OrderStatus.CANCELLED, CancelReason.EXPIRED)
    ] * 2
    assert world.ticket("t1").status is TicketStatus.AVAILABLE
    assert world.on_hold("buyer") == 2


def test_a_stale_order_that_is_in_nobodys_way_is_left_to_expiry(world: World) -> None:
    world.place("o1", "t1")
    world.wait(minutes=15)
    world.place("o2", "t2")
    assert world.order("o1").status is OrderStatus.CREATED


@pytest.mark.parametrize("way", ["cancel", "expire", "keep", "pay"])
def test_what_is_not_on_hold_any_more_does_not_count(world: World, way: str) -> None:
    policy = Policy(tickets_on_hold=2)
    world.place("o1", "t1", "t2", policy=policy)
    if way == "cancel":
        world.cancel("o1")
    elif way == "expire":
        world.wait(minutes=15)
        world.expire("o1")
    elif way == "keep":
        world.keep("o1", "t1")
    else:
        world.pay("c1", "o1")
    assert world.on_hold("buyer") == (way == "keep")
    world.place("o2", "t3", policy=policy)


def test_the_limit_counts_each_live_event_of_an_order_by_itself() -> None:
    world, policy = World(), Policy(tickets_on_hold=2)
    world.announce("gig")
    world.announce("match")
    world.list("g1", "g2", "g3", event_id="gig")
    world.list("m1", "m2", event_id="match")
    world.list("n1", "n2")
    world.place("o1", "g1", "g2", "m1", "n1", policy=policy)
    counts = [world.on_hold("buyer", id) for id in ("gig", "match", None)]
    assert counts == [2, 1, 1]
    with pytest.raises(LimitReached) as refusal:
        world.place("o2", "m2", "g3", policy=policy)
    assert refusal.value.values["live_event_id"] == "gig"
    world.place("o2", "m2", "n2", policy=policy)
    world.keep("o1", "m1", "n1")
    assert [world.on_hold("buyer", id) for id in ("gig", "match", None)] == [0, 2, 2]
    world.place("o3", "g3", policy=policy)


# --- taking over a stale lock ---


def test_a_lock_ends_exactly_at_its_time(world: World) -> None:
    world.place("o1", "t1")
    world.now = START + HOLD - MOMENT
    with pytest.raises(TicketUnavailable):
        world.place("o2", "t1", buyer="other")
    world.now = START + HOLD
    world.place("o2", "t1", buyer="other")
    assert world.ticket("t1").order_id == "o2"


def test_taking_over_cancels_the_stale_order_and_frees_its_other_tickets(world: World) -> None:
    world.place("o1", "t1", "t2", "t3")
    world.wait(minutes=15)
    before = len(world.events)
    world.place("o2", "t2", buyer="other")
    old = world.order("o1")
    assert (old.status, old.reason, old.version) == (OrderStatus.CANCELLED, CancelReason.TAKEN_OVER, 2)
    found = {ticket.id: (ticket.status, ticket.order_id, ticket.version) for ticket in world.every(Ticket)}
    free = (TicketStatus.AVAILABLE, None, 3)
    assert found == {"t1": free, "t2": (TicketStatus.LOCKED, "o2", 3), "t3": free, "t4": ("available", None, 1)}
    assert (world.on_hold("buyer"), world.on_hold("other")) == (0, 1)
    assert sorted(world.told(before)) == [
        ("order.cancelled", "o1"),
        ("order.created", "o2"),
        ("ticket.locked", "t2"),
        ("ticket.unlocked", "t1"),
        ("ticket.unlocked", "t3"),
    ]


def test_one_order_takes_over_several_stale_ones(world: World) -> None:
    world.place("o1", "t1", "t2", buyer="first")
    world.place("o2", "t3", buyer="second")
    world.wait(minutes=15)
    world.place("o3", "t1", "t3", "t4")
    assert {world.order(id).reason for id in ("o1", "o2")} == {CancelReason.TAKEN_OVER}
    assert world.ticket("t2").status is TicketStatus.AVAILABLE
    assert [world.on_hold(who) for who in ("first", "second", "buyer")] == [0, 0, 3]


def test_buyers_take_over_their_own_stale_order(world: World) -> None:
    policy = Policy(tickets_on_hold=2)
    world.place("o1", "t1", "t2", policy=policy)
    world.wait(minutes=15)
    world.place("o2", "t1", "t2", policy=policy)
    assert world.order("o1").status is OrderStatus.CANCELLED
    assert world.on_hold("buyer") == 2


def test_a_takeover_that_is_refused_leaves_the_stale_order(world: World) -> None:
    world.place("o1", "t1", "t2", buyer="first")
    world.place("o2", "t3", buyer="second")
    world.wait(minutes=14)
    world.place("o3", "t4", buyer="third")
    world.wait(minutes=1)
    with pytest.raises(TicketUnavailable):
        world.place("o4", "t1", "t4")
    assert world.order("o1").status is OrderStatus.CREATED
    assert world.ticket("t1").order_id == "o1"


def test_a_stale_order_never_touches_a_ticket_that_another_order_has(world: World) -> None:
    world.place("o1", "t1", "t2")
    world.wait(minutes=15)
    world.place("o2", "t1", buyer="other")
    before = dict(world.entities)
    world.expire("o1")
    world.cancel("o1")
    with pytest.raises(OrderClosed):
        world.keep("o1", "t2")
    assert world.entities == before


def test_an_order_that_is_being_paid_is_not_taken_over(world: World) -> None:
    world.place("o1", "t1")
    world.authorize("c1", "o1")
    world.hear_all()
    world.wait(days=1)
    with pytest.raises(TicketUnavailable) as refusal:
        world.place("o2", "t1", buyer="other")
    assert refusal.value.code == "ticket_locked"


# --- keeping some ---


def test_what_is_not_kept_is_free_at_once(world: World) -> None:
    world.place("o1", "t1", "t2", "t3")
    before = len(world.events)
    answer = world.keep("o1", "t3", "t1")
    order = answer.one(Order)
    assert (order.ticket_ids, order.total, order.version) == (("t1", "t3"), usd("24.99"), 2)
    assert [ticket.id for ticket in answer.every(Ticket)] == ["t1", "t3"]
    assert world.ticket("t2").status is TicketStatus.AVAILABLE
    assert world.on_hold("buyer") == 2
    assert world.told(before) == [("order.updated", "o1"), ("ticket.unlocked", "t2")]
    assert order.expires_at == START + HOLD


def test_a_ticket_takes_its_fee_with_it(world: World) -> None:
    fees = [Line(kind=LineKind.FEE, title="Fee", amount=usd("1"), ticket_id=id) for id in ("t1", "t2")]
    world.place("o1", "t1", "t2", lines=fees)
    world.keep("o1", "t2")
    assert world.order("o1").total == usd("6")


def test_keeping_all_changes_nothing(world: World) -> None:
    order = world.place("o1", "t1", "t2")
    answer = world.keep("o1", "t2", "t1")
    assert answer.one(Order) == world.order("o1") == order


@pytest.mark.parametrize(
    ("ids", "code", "values"),
    [
        pytest.param((), "no_tickets", {}, id="none"),
        pytest.param(("t1", "t4"), "ticket_not_in_order", {"ticket_ids": ["t4"]}, id="strange"),
    ],
)
def test_only_tickets_of_the_order_can_be_kept(
    world: World, ids: tuple[str, ...], code: str, values: dict[str, object]
) -> None:
    world.place("o1", "t1", "t2")
    with pytest.raises(InvalidInput) as refusal:
        world.keep("o1", *ids)
    assert refused(refusal.value) == (code, values)
    assert world.order("o1").version == 1


def test_an_order_past_its_time_keeps_nothing(world: World) -> None:
    world.place("o1", "t1", "t2")
    world.now = START + HOLD - MOMENT
    world.keep("o1", "t1")
    world.now = START + HOLD
    with pytest.raises(OrderClosed, match="time is over") as refusal:
        world.keep("o1", "t1")
    assert refused(refusal.value) == ("order_expired", {"order_id": "o1", "status": "created"})


# --- cancelling and expiring ---


def test_a_cancelled_order_frees_its_tickets(world: World) -> None:
    world.place("o1", "t1", "t2")
    before = len(world.events)
    order = world.cancel("o1")
    assert (order.status, order.reason, order.version) == (OrderStatus.CANCELLED, CancelReason.BUYER, 2)
    assert {world.ticket(id).status for id in ("t1", "t2")} == {TicketStatus.AVAILABLE}
    assert world.told(before) == [("order.cancelled", "o1"), ("ticket.unlocked", "t1"), ("ticket.unlocked", "t2")]
    assert world.cancel("o1") == order  # again changes nothing


@pytest.mark.parametrize("act", ["cancel", "keep"])
def test_anothers_order_does_not_exist(world: World, act: str) -> None:
    world.place("o1", "t1", buyer="other")
    for id in ("o1", "o9"):
        with pytest.raises(NotFound) as refusal:
            getattr(world, act)(id)
        assert refused(refusal.value) == ("order_not_found", {"order_id": id})


@pytest.mark.parametrize("act", ["cancel", "keep"])
@pytest.mark.parametrize(
    ("paid", "code", "message"),
    [
        (False, "order_awaiting_payment", "The order is being paid."),
        (True, "order_completed", "The order is paid."),
    ],
)
def test_an_order_that_is_paid_is_not_changed(world: World, act: str, paid: bool, code: str, message: str) -> None:  # noqa: FBT001
    world.place("o1", "t1")
    if paid:
        world.pay("c1", "o1")
    else:
        world.authorize("c1", "o1")
        world.hear_all()
    before = world.order("o1")
    with pytest.raises(OrderClosed, match=message) as refusal:
        getattr(world, act)("o1")
    assert refused(refusal.value) == (code, {"order_id": "o1", "status": before.status.value})
    assert world.order("o1") == before


def test_an_order_expires_exactly_at_its_time(world: World) -> None:
    world.place("o1", "t1")
    world.now = START + HOLD - MOMENT
    assert world.expire("o1").entities == ()
    assert world.order("o1").status is OrderStatus.CREATED
    world.now = START + HOLD
    order = world.expire("o1").one(Order)
    assert (order.status, order.reason) == (OrderStatus.CANCELLED, CancelReason.EXPIRED)
    assert world.ticket("t1").status is TicketStatus.AVAILABLE
    with pytest.raises(OrderClosed, match="expired") as refusal:
        world.keep("o1", "t1")
    assert refusal.value.code == "order_expired"


def test_nothing_but_an_order_past_its_time_expires(world: World) -> None:
    world.place("o1", "t1")
    world.authorize("c1", "o1")
    world.hear_all()
    world.place("o2", "t2")
    world.cancel("o2")
    world.wait(days=1)
    before = dict(world.entities)
    for id in ("o1", "o2", "unknown"):
        assert world.expire(id).entities == ()
    assert world.entities == before
