"""The catalogue: every event of ticketkit. Each carries its aggregate's whole public state and its version.

No event carries an e-mail address, a password, a payment token or card data.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field

from ticketkit.domain.entities import (
    CancelReason,
    ChargeStatus,
    LineKind,
    LiveEventStatus,
    OrderStatus,
    RefundStatus,
    TicketStatus,
)
from ticketkit.domain.policy import OnDecline
from ticketkit.events.contract import Contract, Shape


class Amount(Shape):
    """Money: integer minor units of an ISO 4217 currency."""

    minor: int
    currency: str


class UserState(Contract):
    """The public state of a user."""

    roles: tuple[str, ...] = ()
    created_at: datetime


class UserSignedUp(UserState):
    """Somebody created an account."""

    NAME: ClassVar = "user.signed_up"


class UserUpdated(UserState):
    """The roles of a user changed."""

    NAME: ClassVar = "user.updated"


class SessionRevoked(Contract):
    """A session was signed out: its tokens are refused from now on."""

    NAME: ClassVar = "session.revoked"

    user_id: str
    expires_at: datetime


class LiveEventState(Contract):
    """The public state of a live event."""

    name: str
    venue: str
    starts_at: datetime
    zone: str
    on_sale_at: datetime | None = None
    owner_id: str
    status: LiveEventStatus
    paused: bool = False
    extra: dict[str, Any] = Field(default_factory=dict)


class LiveEventCreated(LiveEventState):
    """A live event was announced."""

    NAME: ClassVar = "live_event.created"


class LiveEventUpdated(LiveEventState):
    """A live event was changed."""

    NAME: ClassVar = "live_event.updated"


class LiveEventCancelled(LiveEventState):
    """A live event does not take place."""

    NAME: ClassVar = "live_event.cancelled"


class TicketState(Contract):
    """The public state of a ticket; `orderId` is set while it is locked or sold."""

    title: str
    price: Amount
    seller_id: str
    event_id: str | None = None
    seat: str | None = None
    status: TicketStatus
    order_id: str | None = None
    admitted_at: datetime | None = None
    extra: dict[str, Any] = Field(default_factory=dict)


class TicketCreated(TicketState):
    """A ticket was listed."""

    NAME: ClassVar = "ticket.created"


class TicketUpdated(TicketState):
    """Title or price of a ticket changed."""

    NAME: ClassVar = "ticket.updated"


class TicketLocked(TicketState):
    """A ticket is locked for the buyer of `orderId`."""

    NAME: ClassVar = "ticket.locked"


class TicketUnlocked(TicketState):
    """A ticket is free again."""

    NAME: ClassVar = "ticket.unlocked"


class TicketSold(TicketState):
    """A ticket is sold by `orderId`."""

    NAME: ClassVar = "ticket.sold"


class TicketReleased(TicketState):
    """A sold ticket is for sale again: its order was refunded, and its policy says so."""

    NAME: ClassVar = "ticket.released"


class TicketAdmitted(TicketState):
    """The holder of a sold ticket was let in at the door."""

    NAME: ClassVar = "ticket.admitted"


class TicketWithdrawn(TicketState):
    """A ticket was taken off the market by its seller."""

    NAME: ClassVar = "ticket.withdrawn"


class OrderLine(Shape):
    """One priced line of an order."""

    kind: LineKind
    title: str
    amount: Amount
    ticket_id: str | None = None
    event_id: str | None = None
    seat: str | None = None
    seller_id: str | None = None


class OrderState(Contract):
    """The public state of an order.

    `chargeId` is the charge that pins or paid it; `released` says that a completed one has none of its tickets any
    more: a full refund freed them, or their live events are cancelled; `onDecline` says what a declined payment does.
    """

    user_id: str
    status: OrderStatus
    reason: CancelReason | None = None
    expires_at: datetime
    total: Amount
    lines: tuple[OrderLine, ...]
    charge_id: str | None = None
    released: bool = False
    on_decline: OnDecline = OnDecline.CANCEL
    extra: dict[str, Any] = Field(default_factory=dict)


class OrderCreated(OrderState):
    """Tickets are locked for a buyer."""

    NAME: ClassVar = "order.created"


class OrderUpdated(OrderState):
    """A buyer dropped some tickets of an order; a full refund released those of a completed one, or they are void.

    They are void when their live event is cancelled: `reason` says so, and what was paid for them is owed back.
    """

    NAME: ClassVar = "order.updated"


class OrderExtended(OrderState):
    """The lock of an order was prolonged: its payment began in time, or its buyer asked for more time."""

    NAME: ClassVar = "order.extended"


class OrderAwaitingPayment(OrderState):
    """An order is pinned by an authorized charge: it no longer expires, and its money can be captured."""

    NAME: ClassVar = "order.awaiting_payment"


class OrderCompleted(OrderState):
    """An order is paid, its tickets are sold."""

    NAME: ClassVar = "order.completed"


class OrderCancelled(OrderState):
    """An order is over, its tickets are free."""

    NAME: ClassVar = "order.cancelled"


class OrderExpirationDue(Contract):
    """The lock of an order is past its time, as far as expiration knows; orders decides."""

    NAME: ClassVar = "order.expiration_due"

    expires_at: datetime


class ChargeState(Contract):
    """The public state of a charge; `refunded` is what was given back of it so far."""

    order_id: str
    user_id: str
    status: ChargeStatus
    amount: Amount
    code: str | None = None
    declined: bool = False
    provider: str
    reference: str | None = None
    refunded: Amount | None = None


class ChargeCreated(ChargeState):
    """A payment was begun."""

    NAME: ClassVar = "charge.created"


class ChargeRequiresAction(ChargeState):
    """The buyer has to act before the provider decides."""

    NAME: ClassVar = "charge.requires_action"


class ChargeAuthorized(ChargeState):
    """The provider holds the money; it is not taken yet."""

    NAME: ClassVar = "charge.authorized"


class ChargeCompleted(ChargeState):
    """The provider took the money."""

    NAME: ClassVar = "charge.completed"


class ChargeFailed(ChargeState):
    """The charge is over without money: declined, voided or given up."""

    NAME: ClassVar = "charge.failed"


class ChargeRefunded(ChargeState):
    """Money of a charge was given back: `refunded` says how much in all."""

    NAME: ClassVar = "charge.refunded"


class RefundState(Contract):
    """The public state of a refund."""

    charge_id: str
    order_id: str
    status: RefundStatus
    amount: Amount
    reason: str = ""
    code: str | None = None
    reference: str | None = None


class RefundCreated(RefundState):
    """A refund was begun."""

    NAME: ClassVar = "refund.created"


class RefundCompleted(RefundState):
    """The money was given back."""

    NAME: ClassVar = "refund.completed"


class RefundFailed(RefundState):
    """The provider refused the refund."""

    NAME: ClassVar = "refund.failed"


CATALOGUE: tuple[type[Contract], ...] = (
    UserSignedUp,
    UserUpdated,
    SessionRevoked,
    LiveEventCreated,
    LiveEventUpdated,
    LiveEventCancelled,
    TicketCreated,
    TicketUpdated,
    TicketLocked,
    TicketUnlocked,
    TicketSold,
    TicketReleased,
    TicketAdmitted,
    TicketWithdrawn,
    OrderCreated,
    OrderUpdated,
    OrderExtended,
    OrderAwaitingPayment,
    OrderCompleted,
    OrderCancelled,
    OrderExpirationDue,
    ChargeCreated,
    ChargeRequiresAction,
    ChargeAuthorized,
    ChargeCompleted,
    ChargeFailed,
    ChargeRefunded,
    RefundCreated,
    RefundCompleted,
    RefundFailed,
)
"""Every contract of ticketkit itself; plugins add theirs by hook."""
