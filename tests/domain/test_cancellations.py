"""A cancelled live event: its orders lose their tickets, and what was paid for them is owed back, once."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from tests.domain.world import World, usd

from ticketkit.domain import payments, refunds, tickets
from ticketkit.domain.entities import (
    CancelReason,
    ChargeStatus,
    Line,
    LineKind,
    OrderStatus,
    Refund,
    RefundStatus,
    Ticket,
    TicketStatus,
)
from ticketkit.domain.policy import OnRefund, Policy

OFF = CancelReason.EVENT_CANCELLED


def gig(*ids: str, **policy: Any) -> World:
    """Tickets of 20 USD of the live event "gig" in order o1, and one of "show" for sale."""
    world = World()
    world.announce("gig")
    world.announce("show")
    world.list(*(ids or ("t1", "t2")), event_id="gig")
    world.list("s1", event_id="show", price="30")
    world.place("o1", *(ids or ("t1", "t2")), policy=Policy(**policy))
    return world


def mixed(*, lines: tuple[Line, ...] = ()) -> World:
    """A paid order of t1 (gig, 20 USD) and s1 (show, 30 USD)."""
    world = World()
    world.announce("gig")
    world.announce("show")
    world.list("t1", event_id="gig")
    world.list("s1", event_id="show", price="30")
    world.place("o1", "t1", "s1", lines=lines)
    world.pay("c1", "o1")
    return world


def owed(world: World) -> list[int]:
    """Minor units of the refunds that are begun or done, oldest first."""
    return [refund.amount.minor for refund in world.every(Refund) if refund.status is not RefundStatus.FAILED]


def give_back_all(world: World) -> None:
    for refund in world.every(Refund):
        if refund.status is RefundStatus.CREATED:
            world.refund_ended(refunds.refunded, refund.id, reference="re")
    world.hear_all()


def fee(amount: str, ticket_id: str | None = None) -> Line:
    return Line(kind=LineKind.FEE, title="Fee", amount=usd(amount), ticket_id=ticket_id)


def test_an_order_that_nobody_pays_is_cancelled_and_its_tickets_are_withdrawn() -> None:
    world = gig()
    world.call_off("gig")
    order = world.void("o1")
    assert (order.status, order.reason, order.released) == (OrderStatus.CANCELLED, OFF, False)
    assert {world.ticket(id).status for id in ("t1", "t2")} == {TicketStatus.WITHDRAWN}
    assert world.on_hold("buyer", "gig") == 0
    assert world.told()[-3:] == [("order.cancelled", "o1"), ("ticket.withdrawn", "t1"), ("ticket.withdrawn", "t2")]


@pytest.mark.parametrize("on_refund", OnRefund)
def test_a_paid_order_is_void_and_all_of_it_is_owed_back(on_refund: OnRefund) -> None:
    world = gig(on_refund=on_refund)
    world.pay("c1", "o1")
    world.call_off("gig")
    order = world.void("o1")
    assert (order.status, order.reason, order.released) == (OrderStatus.COMPLETED, OFF, True)
    assert world.told()[-3:] == [("order.updated", "o1"), ("ticket.withdrawn", "t1"), ("ticket.withdrawn", "t2")]
    world.hear_all()
    assert owed(world) == [4000]
    assert world.every(Refund)[0].reason == "The live event is cancelled."
    give_back_all(world)
    assert world.charge("c1").given_back == 4000
    assert {world.ticket(id).status for id in ("t1", "t2")} == {TicketStatus.WITHDRAWN}


def test_nothing_is_void_of_a_live_event_that_takes_place() -> None:
    world = gig()
    before = world.order("o1")
    assert world.void("o1") == before
    world.pay("c1", "o1")
    world.call_off("show")
    assert world.void("o1").reason is None
    assert world.ticket("t1").status is TicketStatus.SOLD


def test_what_is_void_is_void_once() -> None:
    world = gig()
    world.pay("c1", "o1")
    world.call_off("gig")
    void = world.void("o1")
    assert world.void("o1") == void
    world.hear_all()
    for event in tuple(world.events):
        world.hear(event)
    assert owed(world) == [4000]


def test_the_refund_is_begun_once_in_whatever_order_the_news_come() -> None:
    world = gig()
    world.authorize("c1", "o1")
    world.hear_all()
    world.charged(payments.captured, "c1")
    for event in tuple(world.events):
        if event.name == "charge.completed":
            world.hear(event)
    world.call_off("gig")
    world.void("o1")
    news = [event for event in world.events if event.name in ("order.awaiting_payment", "order.completed")]
    news += [event for event in world.events if event.name == "order.updated"]
    for order in permutations(news):
        other = World(world.now)
        other.entities, other.events = dict(world.entities), []
        for event in (*order, *order):
            other.hear(event)
        assert owed(other) == [4000]


def test_what_was_given_back_before_is_not_given_back_again() -> None:
    world = gig()
    world.pay("c1", "o1")
    world.refund("r1", "c1", usd("7.50"))
    world.refund_ended(refunds.refunded, "r1", reference="re")
    world.refund("r2", "c1", usd("2.50"))  # still under way
    world.call_off("gig")
    world.void("o1")
    world.hear_all()
    assert owed(world) == [750, 250, 3000]
    give_back_all(world)
    assert world.charge("c1").given_back == world.charge("c1").refunded == 4000


@pytest.mark.parametrize("on_refund", OnRefund)
def test_an_order_that_was_refunded_in_whole_is_owed_nothing(on_refund: OnRefund) -> None:
    world = gig(on_refund=on_refund)
    world.pay("c1", "o1")
    world.refund("r1", "c1")
    world.refund_ended(refunds.refunded, "r1", reference="re")
    world.hear_all()
    kept = on_refund is OnRefund.KEEP
    assert world.ticket("t1").status is (TicketStatus.SOLD if kept else TicketStatus.AVAILABLE)
    world.call_off("gig")
    assert world.void("o1").released
    world.hear_all()
    assert owed(world) == [4000]
    world.decide(lambda state: tickets.take_off(state, ["t1", "t2"]), Ticket.key("t1"), Ticket.key("t2"))
    assert {world.ticket(id).status for id in ("t1", "t2")} == {TicketStatus.WITHDRAWN}


def test_an_order_that_is_being_paid_is_void_in_the_commit_that_completes_it() -> None:
    world = gig()
    world.authorize("c1", "o1")
    world.hear_all()
    world.call_off("gig")
    assert world.void("o1").status is OrderStatus.AWAITING_PAYMENT
    world.charged(payments.captured, "c1")
    world.hear_all()
    order = world.order("o1")
    assert (order.status, order.reason, order.released) == (OrderStatus.COMPLETED, OFF, True)
    assert {world.ticket(id).status for id in ("t1", "t2")} == {TicketStatus.WITHDRAWN}
    assert "ticket.sold" not in {name for name, _ in world.told()}
    assert owed(world) == [4000]


def test_no_money_is_taken_for_a_live_event_that_is_cancelled_before_the_order_is_pinned() -> None:
    world = gig()
    world.authorize("c1", "o1")
    world.call_off("gig")
    world.hear_all()
    assert (world.order("o1").status, world.order("o1").reason) == (OrderStatus.CANCELLED, OFF)
    assert {world.ticket(id).status for id in ("t1", "t2")} == {TicketStatus.WITHDRAWN}
    assert (world.charge("c1").status, world.charge("c1").owes_void) == (ChargeStatus.FAILED, True)
    assert owed(world) == []


def test_tickets_of_other_live_events_stay_with_their_buyer_and_only_the_difference_is_owed() -> None:
    world = mixed(lines=(fee("2", "t1"), fee("3", "s1"), fee("5")))
    world.call_off("gig")
    order = world.void("o1")
    assert (order.status, order.reason, order.released) == (OrderStatus.COMPLETED, OFF, False)
    assert (order.ticket_ids, order.total.minor) == (("s1",), 3800)
    assert [world.ticket(id).status for id in ("t1", "s1")] == [TicketStatus.WITHDRAWN, TicketStatus.SOLD]
    world.hear_all()
    assert owed(world) == [2200]
    assert world.void("o1") == order
    give_back_all(world)
    assert world.ticket("s1").status is TicketStatus.SOLD


@pytest.mark.parametrize("late", [False, True], ids=["heard in between", "heard late"])
def test_when_the_other_live_event_is_cancelled_too_the_rest_is_owed(*, late: bool) -> None:
    world = mixed(lines=(fee("5"),))
    world.call_off("gig")
    world.void("o1")
    if not late:
        give_back_all(world)
    world.call_off("show")
    order = world.void("o1")
    assert (order.released, order.ticket_ids) == (True, ("s1",))
    for event in reversed(tuple(world.events)):
        world.hear(event)
    assert owed(world) == ([5500] if late else [2000, 3500])
    give_back_all(world)
    assert world.charge("c1").given_back == world.charge("c1").amount.minor == 5500
    assert world.copy("o1").total.minor == 0


def test_a_part_is_owed_up_to_what_is_left() -> None:
    world = mixed()
    world.refund("r1", "c1", usd("45"))
    world.refund_ended(refunds.refunded, "r1", reference="re")
    world.call_off("gig")
    world.void("o1")
    world.hear_all()
    assert owed(world) == [4500, 500]
    give_back_all(world)
    assert world.ticket("s1").status is TicketStatus.AVAILABLE  # all was given back, and the show takes place


def test_somebody_looks_after_a_refund_that_is_refused_until_it_was_given_back() -> None:
    world = gig()
    world.pay("c1", "o1")
    world.call_off("gig")
    world.void("o1")
    world.hear_all()
    [refund] = world.every(Refund)
    world.refund_ended(refunds.failed, refund.id, code="insufficient_balance")
    assert world.charge("c1").due_at == world.now + payments.PATIENCE
    world.refund("r2", "c1", usd("15"))
    world.refund_ended(refunds.refunded, "r2", reference="re")
    assert world.charge("c1").due_at is not None
    world.refund("r3", "c1")
    world.refund_ended(refunds.refunded, "r3", reference="re")
    assert (world.charge("c1").due_at, world.charge("c1").given_back) == (None, 4000)


def test_a_refund_that_was_under_way_and_is_refused_is_looked_after_too() -> None:
    world = gig()
    world.pay("c1", "o1")
    world.refund("r1", "c1")
    world.call_off("gig")
    world.void("o1")
    world.hear_all()
    assert owed(world) == [4000]
    world.refund_ended(refunds.failed, "r1", code="expired_card")
    assert world.charge("c1").due_at is not None


def test_only_available_tickets_of_cancelled_live_events_are_taken_off() -> None:
    world = gig("t1")
    world.list("t3", "t4", event_id="gig")
    world.list("free")
    ids = ["t1", "t3", "t4", "s1", "free", "unknown"]
    assert world.decide(lambda s: tickets.take_off(s, ids), *map(Ticket.key, ids)).entities == ()
    world.call_off("gig")
    taken = world.decide(lambda s: tickets.take_off(s, ids), *map(Ticket.key, ids)).every(Ticket)
    assert [(ticket.id, ticket.status) for ticket in taken] == [
        ("t3", TicketStatus.WITHDRAWN),
        ("t4", TicketStatus.WITHDRAWN),
    ]
    assert world.told()[-2:] == [("ticket.withdrawn", "t3"), ("ticket.withdrawn", "t4")]
