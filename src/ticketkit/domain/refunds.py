"""Decisions of payments about refunds: money given back that people ask for, that a failed charge owes, that was noted.

A refund is on record before the provider is called, and counted in its charge by the same commit: however many are
asked for at once, they never exceed what was taken.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from ticketkit.domain import payments
from ticketkit.domain.decision import Changes, Command, Fact, Need, State
from ticketkit.domain.entities import (
    CancelReason,
    Charge,
    ChargeStatus,
    OrderCopy,
    OrderStatus,
    Refund,
    RefundStatus,
    key_of,
)
from ticketkit.domain.errors import ChargeClosed, Conflict, Forbidden, InvalidMoney, NotFound
from ticketkit.domain.money import Money
from ticketkit.domain.payments import PATIENCE

if TYPE_CHECKING:
    from datetime import timedelta

    from ticketkit.domain.payments import OrderNews

CALLED_OFF: Final = "The live event is cancelled."
"""Why money is given back, for people."""


def begin(
    state: State,
    command: Command,
    *,
    charge_id: str,
    seller_id: str | None = None,
    amount: Money | Decimal | None = None,
    reason: str = "",
) -> Changes | Need:
    """Begin to give back a charge whose money was taken, all that is left or part.

    The refund's id is the command's first fresh one. Usually the charge is `completed`; a failed one whose money was
    taken at once is given back by itself, and here again if the provider refused that.

    Args:
        state: Starts with the charge; asks for the copy of its order.
        command: Brings the refund's id.
        charge_id: Of what.
        seller_id: Who asks; None for an operator.
        amount: Money, or a number of major units of the charge's currency; None for all that is left.
        reason: For people.

    Raises:
        NotFound: There is no such charge, or the seller has nothing to do with it.
        Forbidden: Tickets of other sellers are in the order too, or the buyer asks.
        ChargeClosed: It is not completed.
        InvalidMoney: Another currency, more digits than it has, or nothing.
        Conflict: More than is left, or nothing is.
    """
    charge = state.require(Charge, charge_id)
    if seller_id is not None:
        if need := state.missing((OrderCopy.key(charge.order_id),)):
            return need
        _check_seller(charge, state.get(OrderCopy, charge.order_id), seller_id)
    if charge.status is not ChargeStatus.COMPLETED and not (charge.status is ChargeStatus.FAILED and charge.taken):
        msg = "Only a completed charge can be refunded."
        raise ChargeClosed(msg, code="charge_not_completed", charge_id=charge_id, status=charge.status.value)
    left = Money(charge.amount.minor - charge.refunded, charge.amount.currency)
    wanted = left if amount is None else _wanted(amount, left.currency)
    if wanted.minor > left.minor or not left.minor:
        msg = f"Only {left} of this charge is left to refund."
        raise Conflict(msg, code="refund_above_charge", charge_id=charge_id, left=str(left.major))
    new = Refund(
        id=command.fresh[0],
        charge_id=charge_id,
        order_id=charge.order_id,
        amount=wanted,
        reason=reason,
        due_at=state.now + PATIENCE,
        created_at=state.now,
    )
    charge = replace(charge, refunded=charge.refunded + wanted.minor, refund_ids=(*charge.refund_ids, new.id))
    return Changes(put=(new, charge), facts=(Fact("refund.created", key_of(new)),), answer=(new, charge))


def give_back(state: State, command: Command, charge_id: str) -> Changes | Need:
    """The provider has the money of a charge that failed, so that no void helps: begin to refund all of it.

    The refund's id is the command's first fresh one. Void for a charge that owes nothing.
    """
    charge = state.require(Charge, charge_id)
    if charge.status is not ChargeStatus.FAILED or not charge.owes_void:
        return Changes(answer=(charge,))
    back = Refund(
        id=command.fresh[0],
        charge_id=charge_id,
        order_id=charge.order_id,
        amount=charge.amount,
        reason=charge.code or "",
        due_at=state.now,
        created_at=state.now,
    )
    charge = replace(
        charge,
        taken=True,
        owes_void=False,
        due_at=None,
        refunded=charge.amount.minor,
        refund_ids=(*charge.refund_ids, back.id),
    )
    return Changes(put=(back, charge), facts=(Fact("refund.created", key_of(back)),), answer=(back, charge))


def order_heard(state: State, command: Command, news: OrderNews) -> Changes | Need:
    """`ticketkit.domain.payments.order_heard`; and what a paid order is owed whose live event is cancelled.

    The refund is begun in the commit that keeps the news, and news are kept once: so it is begun once, whatever comes
    twice, late or in another order. It is of what was void with these news, and at most of what is left of the charge:
    what was given back before, or is under way, counts. Its id is the command's first fresh one.
    """
    old = state.get(OrderCopy, news.id)
    changes = payments.order_heard(state, news)
    if isinstance(changes, Need) or not changes.put or not _void(news) or news.charge_id is None:
        return changes
    if need := state.missing((Charge.key(news.charge_id),)):
        return need
    charge = state.get(Charge, news.charge_id)
    if charge is None or charge.status is not ChargeStatus.COMPLETED:
        return changes
    costs = 0 if news.released else news.total.minor
    copies = tuple(
        replace(one, total=replace(one.total, minor=costs)) if isinstance(one, OrderCopy) else one
        for one in changes.put
    )
    cost = charge.amount.minor if old is None or not _void(old) else old.total.minor
    amount = min(cost - costs, charge.amount.minor - charge.refunded)
    if amount <= 0:
        return replace(changes, put=copies, answer=copies)
    back = Refund(
        id=command.fresh[0],
        charge_id=charge.id,
        order_id=news.id,
        amount=Money(amount, charge.amount.currency),
        reason=CALLED_OFF,
        due_at=state.now + PATIENCE,
        created_at=state.now,
    )
    charge = replace(charge, refunded=charge.refunded + amount, refund_ids=(*charge.refund_ids, back.id))
    put = (*copies, back, charge)
    return Changes(put=put, facts=(*changes.facts, Fact("refund.created", key_of(back))), answer=put)


def refunded(state: State, refund_id: str, *, reference: str) -> Changes | Need:
    """The provider gave the money back."""
    old = state.require(Refund, refund_id)
    if old.status is not RefundStatus.CREATED:
        return Changes(answer=(old,))
    if need := state.missing((Charge.key(old.charge_id), OrderCopy.key(old.order_id))):
        return need
    new = replace(old, status=RefundStatus.COMPLETED, reference=reference, due_at=None)
    charge = state.require(Charge, old.charge_id)
    charge = replace(charge, given_back=charge.given_back + old.amount.minor)
    if charge.given_back >= _owed(charge, state.get(OrderCopy, old.order_id)):
        charge = replace(charge, due_at=None)
    facts = (Fact("refund.completed", key_of(new)), Fact("charge.refunded", key_of(charge)))
    return Changes(put=(new, charge), facts=facts, answer=(new,))


def failed(state: State, refund_id: str, *, code: str) -> Changes | Need:
    """The provider refused the refund for good: its amount can be refunded again.

    What has to be given back is looked after until it was, by another refund or by hand: of a failed charge, and of a
    completed one whose order is void since its live event is cancelled.
    """
    old = state.require(Refund, refund_id)
    if old.status is not RefundStatus.CREATED:
        return Changes(answer=(old,))
    if need := state.missing((Charge.key(old.charge_id), OrderCopy.key(old.order_id))):
        return need
    charge = state.require(Charge, old.charge_id)
    charge = replace(charge, refunded=charge.refunded - old.amount.minor)
    if charge.refunded < _owed(charge, state.get(OrderCopy, old.order_id)):
        charge = replace(charge, due_at=state.now + PATIENCE)
    new = replace(old, status=RefundStatus.FAILED, code=code, due_at=None)
    return Changes(put=(new, charge), facts=(Fact("refund.failed", key_of(new)),), answer=(new,))


def returned(state: State, charge_id: str) -> Changes | Need:
    """The provider has nothing left of a failed charge that it had taken: nobody has to look after it any more.

    Said of what people gave back by hand, after the provider had refused the refund.
    """
    charge = state.require(Charge, charge_id)
    if charge.status is not ChargeStatus.FAILED or charge.owes_void or charge.due_at is None:
        return Changes(answer=(charge,))
    charge = replace(charge, due_at=None)
    return Changes(put=(charge,), answer=(charge,))


def note(state: State, command: Command, charge_id: str, *, given_back: int) -> Changes | Need:
    """Put on record what was given back at the provider, by hand, and not by a refund of ours.

    Args:
        state: Starts with the charge.
        command: Brings the id of the refund that is noted for it.
        charge_id: Of a completed charge; void for others.
        given_back: What the provider's books say in all, minor units. Refunds under way count as given back: they may
            be among it.
    """
    charge = state.require(Charge, charge_id)
    more = given_back - charge.refunded
    if charge.status is not ChargeStatus.COMPLETED or more <= 0:
        return Changes(answer=(charge,))
    noted = Refund(
        id=command.fresh[0],
        charge_id=charge_id,
        order_id=charge.order_id,
        amount=Money.of(more, charge.amount.currency),
        reason="Given back at the payment provider.",
        status=RefundStatus.COMPLETED,
        created_at=state.now,
    )
    charge = replace(
        charge,
        refunded=charge.refunded + more,
        given_back=charge.given_back + more,
        refund_ids=(*charge.refund_ids, noted.id),
    )
    if charge.given_back >= charge.amount.minor:
        charge = replace(charge, due_at=None)
    facts = (Fact("refund.completed", key_of(noted)), Fact("charge.refunded", key_of(charge)))
    return Changes(put=(noted, charge), facts=facts, answer=(noted, charge))


def look_again(state: State, refund_id: str, *, after: timedelta) -> Changes | Need:
    """Let the reconciler come back to an open refund later."""
    open_refund = state.require(Refund, refund_id)
    if open_refund.due_at is None:
        return Changes(answer=(open_refund,))
    open_refund = replace(open_refund, due_at=state.now + after)
    return Changes(put=(open_refund,), answer=(open_refund,))


def sold_all(copy: OrderCopy | None, user_id: str) -> bool:
    """Whether somebody is the seller of all tickets of an order."""
    return copy is not None and copy.sellers == (user_id,)


def _void(order: OrderNews | OrderCopy) -> bool:
    """Whether tickets of a paid order, or all, are void since their live event is cancelled."""
    return order.status is OrderStatus.COMPLETED and order.reason is CancelReason.EVENT_CANCELLED


def _owed(charge: Charge, copy: OrderCopy | None) -> int:
    """How much of a charge has to be given back in all, minor units."""
    if charge.status is ChargeStatus.FAILED:
        return charge.amount.minor
    return charge.amount.minor - copy.total.minor if copy is not None and _void(copy) else 0


def _wanted(amount: Money | Decimal, currency: str) -> Money:
    """What is asked to be given back."""
    if isinstance(amount, Decimal):
        try:
            amount = Money.parse(amount, currency)
        except InvalidMoney as error:
            error.field = "amount"
            raise
    if amount.currency != currency or amount.minor <= 0:
        msg = f"A refund is more than 0 and in {currency}."
        raise InvalidMoney(msg, field="amount")
    return amount


def _check_seller(charge: Charge, copy: OrderCopy | None, seller_id: str) -> None:
    if sold_all(copy, seller_id):
        return
    if copy is not None and seller_id in copy.sellers:
        msg = "Other sellers' tickets are in this order too: only an operator can refund it."
        raise Forbidden(msg, code="several_sellers", charge_id=charge.id)
    if seller_id == charge.buyer_id:
        msg = "Only the seller of all its tickets, or an operator, can refund an order: ask them."
        raise Forbidden(msg, code="not_the_seller", charge_id=charge.id)
    msg = f"There is no charge {charge.id}."
    raise NotFound(msg, code="charge_not_found", charge_id=charge.id)
