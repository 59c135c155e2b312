"""What may never be true, may never happen, and may not stay true."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.domain.interleaving.point import PRICE, Point
from tests.domain.world import START

from ticketkit.domain.entities import (
    Charge,
    ChargeStatus,
    Holds,
    Order,
    OrderStatus,
    RefundStatus,
    TicketStatus,
    holds_id,
)
from ticketkit.domain.policy import OnRefund

PAID = (OrderStatus.AWAITING_PAYMENT, OrderStatus.COMPLETED)


def wrong(at: Point) -> str | None:
    """What may never be true: somebody loses money or a seat."""
    if sum(_kept(at, i, charge) for i, charge in enumerate(at.charges)) > PRICE:
        return "A paid twice"
    for i, charge in enumerate(at.charges):
        if why := _wrong_money(at, i, charge):
            return why
    if _lost_by_b(at):
        return "B lost her seat"
    return None


def untidy(at: Point) -> str | None:
    """What may never be true either: entities that contradict one another, or that nobody looks after."""
    holds = at.entities[Holds.key(holds_id("A", at.ticket.event_id))]
    status, charges = at.a.status, at.charges
    assert isinstance(holds, Holds)
    mine = at.ticket.order_id == "A" and at.ticket.status is not TicketStatus.AVAILABLE
    sold = mine and at.ticket.status is TicketStatus.SOLD
    released = not mine and (_may_be_released(at) or at.void)
    refunds = [refund for i, _ in enumerate(charges) for refund in at.refunds(i)]
    found = {
        "the order and its ticket disagree": mine == (status is OrderStatus.CANCELLED or released),
        "the order and its ticket disagree about the sale": sold != (status is OrderStatus.COMPLETED and not released),
        "the order does not know that its ticket was released": at.a.released
        != (status is OrderStatus.COMPLETED and not mine),
        "the count of tickets on hold is off": holds.count != (not status.final),
        "two charges are open": sum(not charge.status.final for charge in charges) > 1,
        "nobody looks after a charge": any((not c.status.final or c.owes_void) and c.due_at is None for c in charges),
        "nobody looks after a refund": any(r.status is RefundStatus.CREATED and r.due_at is None for r in refunds),
        "a void is owed that has no reference": any(c.owes_void and c.reference is None for c in charges),
        "the refunds of a charge do not add up": any(not _adds_up(at, i, c) for i, c in enumerate(charges)),
    }
    return next((why for why, so in found.items() if so), None)


def unfinished(at: Point) -> str | None:  # noqa: PLR0911 - one a verdict
    """What may not stay true."""
    if any(booked.status in ("authorized", "refused") for booked in at.provider):
        return "money is still held"
    if not at.a.status.final or any(not c.status.final or c.owes_void for c in at.charges):
        return "something never ends"
    if any(r.status is RefundStatus.CREATED for i, _ in enumerate(at.charges) for r in at.refunds(i)):
        return "a refund never ends"
    if any(at.given(i) != charge.given_back for i, charge in enumerate(at.charges)):
        return "the provider gave back what we don't know of"
    if at.a.status is OrderStatus.COMPLETED and not at.provider[_paying(at)].paid:
        return "captured and completed disagree"
    if any(_net(at, i) > 0 and not _pays(at, charge) for i, charge in enumerate(at.charges)):
        return "money is kept for nothing"
    if _may_be_released(at) and at.ticket.order_id == "A":
        return "all is refunded, and the seat is still A's"
    if at.off and any(_net(at, i) > 0 for i, _ in enumerate(at.charges)):
        return "money is kept for a live event that is cancelled"
    if at.off and at.ticket.status is not TicketStatus.WITHDRAWN:
        return "a ticket of a cancelled live event is on the market"
    return "a worker has an answer in hand" if at.hands else None


def untimely(at: Point, to: Point, late: timedelta) -> str | None:  # noqa: PLR0911 - one a verdict
    """What may not happen from one state to the next."""
    if (
        START + late >= at.a.expires_at
        and at.a.status is OrderStatus.CREATED
        and to.a.status is OrderStatus.AWAITING_PAYMENT
    ):
        return "pinned by a payment that was too late"
    reason = at.a.reason if to.void else to.a.reason
    if at.a.status.final and replace(to.a, released=at.a.released, reason=reason, version=at.a.version) != at.a:
        return "a final order changed"
    if at.a.released and not to.a.released:
        return "a released order has its ticket again"
    for i, (was, now) in enumerate(zip(at.charges, to.charges, strict=False)):
        if was.status.final and now.status is not was.status:
            return "a final charge changed"
        if now.given_back < was.given_back:
            return "what was given back became less"
        if any(
            old.status is not RefundStatus.CREATED and new != old
            for old, new in zip(at.refunds(i), to.refunds(i), strict=False)
        ):
            return "a final refund changed"
    return None


def _wrong_money(at: Point, i: int, charge: Charge) -> str | None:
    booked = at.provider[i]
    pays = at.a.charge_id == charge.id and at.a.status in PAID
    if booked.status == "captured" and not pays:
        return "A paid, the order does not wait for it"
    if booked.given and not booked.paid:
        return "money was given back that was never taken"
    if at.given(i) > PRICE:
        return "more was given back than was taken"
    if at.given(i) > charge.refunded:
        return "money was given back before it was counted"
    if booked.paid and pays and at.ticket.order_id != "A" and not (_may_be_released(at) or at.void):
        return "A paid for B's seat"
    return None


def _kept(at: Point, i: int, charge: Charge) -> int:
    """What the provider has of A's money, and nobody is going to give back."""
    return PRICE - charge.refunded if at.provider[i].paid and not charge.owes_void else 0


def _net(at: Point, i: int) -> int:
    return PRICE - at.given(i) if at.provider[i].paid else 0


def _pays(at: Point, charge: Charge) -> bool:
    return at.a.status is OrderStatus.COMPLETED and at.a.charge_id == charge.id


def _paying(at: Point) -> int:
    return next(i for i, charge in enumerate(at.charges) if charge.id == at.a.charge_id)


def _may_be_released(at: Point) -> bool:
    """Whether all that paid A's order was given back, so that its ticket is for sale again by policy."""
    order: Order = at.a
    return (
        order.status is OrderStatus.COMPLETED
        and order.policy.on_refund is OnRefund.RELEASE
        and at.charges[_paying(at)].given_back == PRICE
    )


def _lost_by_b(at: Point) -> bool:
    if at.b is None or at.b.status is OrderStatus.CANCELLED:
        return False
    status = TicketStatus.SOLD if at.b.status is OrderStatus.COMPLETED else TicketStatus.LOCKED
    return (at.ticket.order_id, at.ticket.status) != ("B", status)


def _adds_up(at: Point, i: int, charge: Charge) -> bool:
    by_status = dict.fromkeys(RefundStatus, 0)
    for refund in at.refunds(i):
        by_status[refund.status] += refund.amount.minor
    given = by_status[RefundStatus.COMPLETED]
    promised = given + by_status[RefundStatus.CREATED]
    may_be = charge.status is ChargeStatus.COMPLETED or charge.taken
    return (given, promised) == (charge.given_back, charge.refunded) and promised <= PRICE and (may_be or not promised)
