"""What orders does when it hears of a charge: prolong the lock, pin, complete, decline.

The rule behind it: an order is pinned by one charge, and only that one completes or fails it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ticketkit.domain.decision import Changes, Fact, Need, State
from ticketkit.domain.entities import CancelReason, ChargeStatus, Extension, Order, OrderStatus, key_of
from ticketkit.domain.orders import called_off, cancelled, completed, event_keys, holds_all, order_keys, refunded, stale
from ticketkit.domain.policy import OnDecline, OnRefund

if TYPE_CHECKING:
    from datetime import datetime

    from ticketkit.domain.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeNews:
    """What an event says about a charge.

    Attributes:
        given_back: Minor units that were refunded.
    """

    id: str
    order_id: str
    version: int
    status: ChargeStatus
    amount: Money
    declined: bool = False
    given_back: int = 0


def charge_heard(state: State, news: ChargeNews) -> Changes | Need:
    """Apply news of a charge to its order; void when newer news of that charge were heard.

    - `created`, in time: the lock gets the policy's grace, once; `requires_action`: the payment window, once.
    - `authorized`: pins an order that is open, in time, still holds every ticket, and costs what was authorized;
      an open order for which one of these is not so is cancelled, and so is one of a cancelled live event.
    - `completed` by the pinning charge: the order is completed and its tickets are sold, or void when their live event
      was cancelled meanwhile.
    - `failed`: the pinning charge cancels the order; a declined one does if the policy says so.
    - `completed` and all given back: the tickets of the order that it paid are for sale again, if the policy says so.
    """
    order = state.get(Order, news.order_id)
    if order is None:
        return Changes()
    if order.status.final:
        return refunded(state, order) if _releases(order, news) else Changes()
    if news.version <= dict(order.seen).get(news.id, 0):
        return Changes()
    moves = news.status in (ChargeStatus.AUTHORIZED, ChargeStatus.COMPLETED)
    if need := state.missing(order_keys(order), shared=event_keys(order) if moves else ()):
        return need
    order = replace(order, seen=tuple({**dict(order.seen), news.id: news.version}.items()))
    changes = _react(state, order, news)
    return changes if changes is not None else Changes(put=(order,))


def _react(state: State, order: Order, news: ChargeNews) -> Changes | Need | None:
    waiting = order.status is OrderStatus.CREATED
    mine = order.status is OrderStatus.AWAITING_PAYMENT and order.charge_id == news.id
    match news.status:
        case ChargeStatus.CREATED if waiting:
            return _extended(state, order, Extension.GRACE)
        case ChargeStatus.REQUIRES_ACTION if waiting:
            return _extended(state, order, Extension.WINDOW)
        case ChargeStatus.AUTHORIZED if waiting:
            return _pinned(state, order, news)
        case ChargeStatus.COMPLETED if mine:
            return completed(state, order, released=_releases(order, news))
        case ChargeStatus.FAILED if reason := _lost(order, news, mine=mine):
            return cancelled(state, order, reason)
    return None


def _releases(order: Order, news: ChargeNews) -> bool:
    """Whether a full refund of what paid the order frees its tickets."""
    return (
        order.charge_id == news.id
        and order.status is not OrderStatus.CANCELLED
        and order.policy.on_refund is OnRefund.RELEASE
        and news.status is ChargeStatus.COMPLETED
        and news.given_back >= news.amount.minor > 0
    )


def _lost(order: Order, news: ChargeNews, *, mine: bool) -> CancelReason | None:
    """Why a failed charge ends its order, if it does."""
    if mine:
        return CancelReason.PAYMENT_FAILED
    waiting = order.status is OrderStatus.CREATED
    if waiting and news.declined and order.policy.on_decline is OnDecline.CANCEL:
        return CancelReason.PAYMENT_DECLINED
    return None


def _extended(state: State, order: Order, extension: Extension) -> Changes | None:
    rank = list(Extension)
    if stale(order, state.now) or rank.index(order.extension) >= rank.index(extension):
        return None
    more = order.policy.payment_grace if extension is Extension.GRACE else order.policy.payment_window
    until: datetime = max(order.expires_at, order.asked_until + more)
    order = replace(order, extension=extension, expires_at=until)
    return Changes(put=(order,), facts=(Fact("order.extended", key_of(order)),), answer=(order,))


def _pinned(state: State, order: Order, news: ChargeNews) -> Changes | Need:
    if stale(order, state.now):
        return cancelled(state, order, CancelReason.EXPIRED)
    if off := called_off(state, order):
        return cancelled(state, order, CancelReason.EVENT_CANCELLED, off=off)
    if not holds_all(state, order) or news.amount != order.total:
        return cancelled(state, order, CancelReason.PAYMENT_FAILED)
    order = replace(order, status=OrderStatus.AWAITING_PAYMENT, charge_id=news.id)
    return Changes(put=(order,), facts=(Fact("order.awaiting_payment", key_of(order)),), answer=(order,))
