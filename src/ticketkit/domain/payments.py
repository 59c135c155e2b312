"""Decisions of payments about charges, and about its own copy of each order.

The order of a purchase (each arrow a commit before the next call of the provider):

    begin → provider prepares → prepared → provider authorizes → authorized → (orders pins) → order_heard
    → provider captures → captured

A charge that ends without money owes the provider a void of whatever that has, recorded in the commit that ends it: of
what was given up, and of what was declined, which a buyer could try again at some providers. A void that is refused,
since the money was taken at once, becomes a refund (`ticketkit.domain.refunds`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from ticketkit.domain.decision import Changes, Command, Fact, Need, State
from ticketkit.domain.entities import (
    CancelReason,
    Charge,
    ChargeStatus,
    Key,
    OrderCopy,
    OrderStatus,
    key_of,
)
from ticketkit.domain.errors import ChargeClosed, Conflict, NotFound, OrderClosed
from ticketkit.domain.money import Money
from ticketkit.domain.policy import OnDecline

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

PATIENCE: Final = timedelta(seconds=30)
"""How long a charge or refund may stand still before the reconciler looks after it."""
SOONEST: Final = timedelta(seconds=5)
LATEST: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNews:
    """What an event says about an order.

    Attributes:
        sellers: Who listed its tickets, each once; empty when the event does not say.
        on_decline: What a declined payment does to it.
        released: Whether it has none of its tickets any more, though it is completed.
    """

    id: str
    buyer_id: str
    status: OrderStatus
    reason: CancelReason | None
    total: Money
    expires_at: datetime
    charge_id: str | None
    version: int
    sellers: tuple[str, ...] = ()
    on_decline: OnDecline = OnDecline.CANCEL
    released: bool = False


def order_heard(state: State, news: OrderNews) -> Changes | Need:
    """Keep the newest copy of an order; give its open charge up when the order is gone for it.

    Gone is: cancelled, completed, pinned by another charge, or of another total than the charge's amount.
    """
    copy = state.get(OrderCopy, news.id)
    if copy is not None and copy.order_version >= news.version:
        return Changes()
    if need := state.missing(_open(copy)):
        return need
    charge = None if copy is None or copy.open_charge_id is None else state.get(Charge, copy.open_charge_id)
    copy = OrderCopy(
        id=news.id,
        buyer_id=news.buyer_id,
        status=news.status,
        reason=news.reason,
        total=news.total,
        expires_at=news.expires_at,
        charge_id=news.charge_id,
        sellers=news.sellers,
        on_decline=news.on_decline,
        order_version=news.version,
        charges=copy.charges if copy else (),
        open_charge_id=copy.open_charge_id if copy else None,
        version=copy.version if copy else 0,
    )
    if charge is None or charge.status.final:
        return Changes(put=(copy,), answer=(copy,))
    if code := _gone(copy, charge):
        return _given_up(state, charge, copy, code)
    if copy.status is OrderStatus.AWAITING_PAYMENT:
        charge = replace(charge, due_at=state.now)
        return Changes(put=(copy, charge), answer=(copy, charge))
    return Changes(put=(copy,), answer=(copy,))


def begin(
    state: State, command: Command, *, order_id: str, buyer_id: str, provider: str, token: str | None
) -> Changes | Need:
    """Begin a charge for an order, before the provider is called; its id is the command's first fresh one.

    Raises:
        NotFound: Payments has no copy of such an order of this buyer.
        OrderClosed: It is cancelled, expired, being paid, or paid.
        Conflict: Another charge for it is open.
    """
    copy = state.get(OrderCopy, order_id)
    if copy is None or copy.buyer_id != buyer_id:
        msg = f"There is no order {order_id}."
        raise NotFound(msg, code="order_not_found", order_id=order_id)
    _check_payable(state, copy)
    charge = Charge(
        id=command.fresh[0],
        order_id=order_id,
        buyer_id=buyer_id,
        amount=copy.total,
        provider=provider,
        token=token,
        due_at=state.now + PATIENCE,
        created_at=state.now,
    )
    copy = replace(copy, charges=(*copy.charges, charge.id), open_charge_id=charge.id)
    return Changes(put=(charge, copy), facts=(Fact("charge.created", key_of(charge)),), answer=(charge, copy))


def prepared(state: State, charge_id: str, *, reference: str) -> Changes | Need:
    """Note the provider's reference: from now on a void finds it.

    A charge that was given up meanwhile owes a void of it.
    """
    charge = state.require(Charge, charge_id)
    if charge.reference is not None:
        return Changes(answer=(charge,))
    charge = replace(charge, reference=reference, due_at=state.now + PATIENCE)
    if charge.status is ChargeStatus.FAILED:
        charge = replace(charge, owes_void=True, due_at=state.now)
    return Changes(put=(charge,), answer=(charge,))


def authorized(state: State, charge_id: str, *, taken: bool = False) -> Changes | Need:
    """The provider holds the money, or has taken it at once. A charge that was given up meanwhile owes a void."""
    charge = state.require(Charge, charge_id)
    if charge.status is ChargeStatus.FAILED:
        if charge.refund_ids:  # it is being given back already
            return Changes(answer=(charge,))
        charge = replace(charge, owes_void=True, taken=charge.taken or taken, due_at=state.now)
        return Changes(put=(charge,), answer=(charge,))
    if charge.status not in (ChargeStatus.CREATED, ChargeStatus.REQUIRES_ACTION):
        return Changes(answer=(charge,))
    charge = replace(charge, status=ChargeStatus.AUTHORIZED, taken=taken, action=None, due_at=state.now + PATIENCE)
    return Changes(put=(charge,), facts=(Fact("charge.authorized", key_of(charge)),), answer=(charge,))


def action_required(state: State, charge_id: str, *, action: Mapping[str, Any]) -> Changes | Need:
    """The buyer has to act before the provider decides (3-D Secure)."""
    charge = state.require(Charge, charge_id)
    if charge.status is not ChargeStatus.CREATED:
        return Changes(answer=(charge,))
    charge = replace(charge, status=ChargeStatus.REQUIRES_ACTION, action=action, due_at=state.now + PATIENCE)
    return Changes(put=(charge,), facts=(Fact("charge.requires_action", key_of(charge)),), answer=(charge,))


def declined(state: State, charge_id: str, *, code: str) -> Changes | Need:
    """The provider said no to the authorization.

    Its object is to be voided all the same: at Stripe a declined payment could be tried again by the buyer's browser
    (docs.stripe.com/payments/paymentintents/lifecycle). Void for a charge that has been authorized since: a worker may
    still have the old answer in hand.
    """
    charge = state.require(Charge, charge_id)
    if charge.status not in (ChargeStatus.CREATED, ChargeStatus.REQUIRES_ACTION):
        return Changes(answer=(charge,))
    if need := state.missing((OrderCopy.key(charge.order_id),)):
        return need
    return _failed(state, replace(charge, declined=True), None, code, owes_void=charge.reference is not None)


def capture_refused(state: State, charge_id: str, *, code: str) -> Changes | Need:
    """The provider said no, for good, to the capture: what is held still has to be let go."""
    charge = state.require(Charge, charge_id)
    if charge.status is not ChargeStatus.AUTHORIZED or charge.taken:
        return Changes(answer=(charge,))
    if need := state.missing((OrderCopy.key(charge.order_id),)):
        return need
    return _failed(state, replace(charge, declined=True), None, code, owes_void=True)


def captured(state: State, charge_id: str) -> Changes | Need:
    """The provider took the money.

    Raises:
        ChargeClosed: The charge was not authorized: money moved without a reason, and people must look at it.
    """
    charge = state.require(Charge, charge_id)
    if charge.status is ChargeStatus.COMPLETED:
        return Changes(answer=(charge,))
    if charge.status is not ChargeStatus.AUTHORIZED:
        msg = f"The provider captured a charge that is {charge.status.value}."
        raise ChargeClosed(msg, code="captured_unexpectedly", charge_id=charge_id, status=charge.status.value)
    if need := state.missing((OrderCopy.key(charge.order_id),)):
        return need
    charge = replace(charge, status=ChargeStatus.COMPLETED, token=None, due_at=None)
    copy = _without(state, charge)
    return Changes(put=(charge, *copy), facts=(Fact("charge.completed", key_of(charge)),), answer=(charge,))


def voided(state: State, charge_id: str) -> Changes | Need:
    """The provider's object is void: nothing is owed any more. An `authorized` charge has failed by it."""
    charge = state.require(Charge, charge_id)
    if charge.status is ChargeStatus.COMPLETED or (charge.status is ChargeStatus.FAILED and not charge.owes_void):
        return Changes(answer=(charge,))
    if need := state.missing((OrderCopy.key(charge.order_id),)):
        return need
    if charge.status is ChargeStatus.FAILED:
        charge = replace(charge, owes_void=False, due_at=None)
        return Changes(put=(charge,), answer=(charge,))
    return _failed(state, charge, None, "voided", owes_void=False)


def give_up(state: State, charge_id: str, *, code: str) -> Changes | Need:
    """Fail a charge that the provider has not decided; the void that it owes is recorded in the same commit.

    Void for an `authorized` charge: only its order, or the provider, ends that one.
    """
    charge = state.require(Charge, charge_id)
    if charge.status not in (ChargeStatus.CREATED, ChargeStatus.REQUIRES_ACTION):
        return Changes(answer=(charge,))
    if need := state.missing((OrderCopy.key(charge.order_id),)):
        return need
    return _given_up(state, charge, None, code)


def pause(age: timedelta) -> timedelta:
    """How long the reconciler leaves alone what it could not finish: a thirtieth of its age, 5 seconds to 5 minutes.

    So what waits in vain is asked for ever less often, and what can go on does so at most 3 % later than it could have.
    """
    return min(max(age / 30, SOONEST), LATEST)


def look_again(state: State, charge_id: str, *, after: timedelta) -> Changes | Need:
    """Let the reconciler come back to an open charge later."""
    charge = state.require(Charge, charge_id)
    if charge.due_at is None:
        return Changes(answer=(charge,))
    charge = replace(charge, due_at=state.now + after)
    return Changes(put=(charge,), answer=(charge,))


def may_capture(charge: Charge, copy: OrderCopy) -> bool:
    """Whether the order waits for just this charge's money."""
    return (
        charge.status is ChargeStatus.AUTHORIZED
        and copy.status is OrderStatus.AWAITING_PAYMENT
        and copy.charge_id == charge.id
        and copy.total == charge.amount
    )


def another_card(copy: OrderCopy, now: datetime) -> bool:
    """Whether an order goes on after a declined payment, so that another card can be tried."""
    return copy.status is OrderStatus.CREATED and copy.on_decline is OnDecline.KEEP and now < copy.expires_at


def _check_payable(state: State, copy: OrderCopy) -> None:
    values = {"order_id": copy.id, "status": copy.status.value}
    if copy.reason is CancelReason.EXPIRED or (
        copy.status is OrderStatus.CREATED and state.now >= copy.expires_at and copy.open_charge_id is None
    ):
        msg = "The order has expired. You were not charged."
        raise OrderClosed(msg, code="order_expired", **values)
    if copy.status is OrderStatus.COMPLETED:
        msg = "The order is paid already."
        raise OrderClosed(msg, code="order_completed", **values)
    if copy.status is OrderStatus.CANCELLED:
        msg = "The order is cancelled."
        raise OrderClosed(msg, code="order_cancelled", **values)
    if copy.open_charge_id is not None or copy.status is OrderStatus.AWAITING_PAYMENT:
        msg = "A payment for this order is under way."
        raise Conflict(msg, code="payment_under_way", charge_id=copy.open_charge_id or copy.charge_id, **values)


def _gone(copy: OrderCopy, charge: Charge) -> str | None:
    if copy.status is OrderStatus.CANCELLED:
        return "order_expired" if copy.reason is CancelReason.EXPIRED else "order_cancelled"
    if copy.status is not OrderStatus.CREATED and copy.charge_id != charge.id:
        return "superseded"
    if copy.total != charge.amount:
        return "order_changed"
    return None


def _given_up(state: State, charge: Charge, copy: OrderCopy | None, code: str) -> Changes:
    return _failed(state, charge, copy, code, owes_void=charge.reference is not None)


def _failed(state: State, charge: Charge, copy: OrderCopy | None, code: str, *, owes_void: bool) -> Changes:
    charge = replace(
        charge,
        status=ChargeStatus.FAILED,
        code=code,
        action=None,
        token=None,
        owes_void=owes_void,
        due_at=state.now if owes_void else None,
    )
    copies = _without(state, charge) if copy is None else (replace(copy, open_charge_id=None),)
    return Changes(put=(charge, *copies), facts=(Fact("charge.failed", key_of(charge)),), answer=(charge, *copies))


def _without(state: State, charge: Charge) -> tuple[OrderCopy, ...]:
    copy = state.get(OrderCopy, charge.order_id)
    if copy is None or copy.open_charge_id != charge.id:
        return ()
    return (replace(copy, open_charge_id=None),)


def _open(copy: OrderCopy | None) -> tuple[Key, ...]:
    return (Charge.key(copy.open_charge_id),) if copy is not None and copy.open_charge_id is not None else ()
