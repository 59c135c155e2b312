"""What clients get: the JSON of each entity. One type says its form, to mypy and to the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NotRequired

from pydantic import WithJsonSchema
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from ticketkit.domain import entities
from ticketkit.domain.money import Money
from ticketkit.domain.policy import OnDecline
from ticketkit.services import comparison
from ticketkit.services.auth import SignedIn
from ticketkit.services.orders import Placed

Id = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
UserId = Annotated[str, WithJsonSchema({"type": "string", "description": "Opaque."})]
Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Number = Annotated[int | float, WithJsonSchema({"type": "number", "description": "Major units.", "examples": [19.99]})]
Currency = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217."})]


class User(TypedDict):
    """Somebody with an account."""

    id: Id
    email: str


class CurrentUser(TypedDict):
    """Who is signed in."""

    currentUser: User | None


class LiveEvent(TypedDict):
    """A concert, match or show that tickets are for."""

    id: Id
    name: str
    venue: str
    startsAt: Time
    zone: str
    onSaleAt: Time | None
    userId: UserId
    status: entities.LiveEventStatus
    paused: bool
    version: int


class Ticket(TypedDict):
    """One seat or admission."""

    id: Id
    title: str
    price: Number
    currency: Currency
    userId: UserId
    orderId: Id | None
    status: entities.TicketStatus
    eventId: Id | None
    seat: str | None
    version: int


class OwnTicket(Ticket):
    """A ticket as its seller sees it; `lockedUntil` is set while somebody buys it."""

    lockedUntil: Time | None


class Fee(TypedDict):
    """A fee or tax of an order, in its currency; with a `ticketId` it goes when that ticket is dropped."""

    kind: Literal["fee", "tax"]
    title: str
    amount: Number
    ticketId: Id | None


class Order(TypedDict):
    """A claim on tickets; `total` has its `fees` in it. `ticketId` and `ticket` are there when it has just one.

    `onDecline` says what a declined payment does: `cancel` the order, or `keep` it for another card.
    """

    id: Id
    status: entities.OrderStatus
    reason: entities.CancelReason | None
    userId: UserId
    expiresAt: Time
    version: int
    total: Number
    currency: Currency
    chargeId: Id | None
    onDecline: OnDecline
    tickets: list[Ticket]
    fees: list[Fee]
    ticketId: NotRequired[Id]
    ticket: NotRequired[Ticket]


class Refund(TypedDict):
    """Money given back; `code` is the provider's, of one that failed."""

    id: Id
    chargeId: Id
    status: entities.RefundStatus
    code: str | None
    reason: str
    amount: Number
    currency: Currency
    providerId: str | None


class Finding(TypedDict):
    """What is not over with a payment, or differs from the provider's books.

    `needs` says who ends it, `repair` how; `reference` is the provider's id of the payment.
    """

    trouble: comparison.Trouble
    what: str
    needs: comparison.Needs
    repair: str
    chargeId: Id | None
    orderId: Id | None
    refundId: Id | None
    webhookId: Id | None
    reference: str | None


class Charge(TypedDict):
    """One attempt to take money for an order.

    `action`, for its buyer alone, is what they have to do while `requires_action`; `refunded` is what was given back.
    """

    id: Id
    orderId: Id
    status: entities.ChargeStatus
    code: str | None
    amount: Number
    currency: Currency
    provider: str
    providerId: str | None
    refunded: Number
    refunds: list[Refund]
    version: int
    action: NotRequired[dict[str, Any]]
    stripeId: NotRequired[str | None]
    stripeRefundId: NotRequired[str | None]


Pass = TypedDict("Pass", {"ticketId": Id, "pass": str})
Pass.__doc__ = "What the buyer of a ticket shows at the door, as text or in a QR code."


class Admission(TypedDict):
    """Whose pass was shown, for whoever stands at the door."""

    ticketId: Id
    title: str
    seat: str | None
    eventId: Id | None
    admittedAt: Time


class Received(TypedDict):
    """How many notices of a webhook were new."""

    received: int


class Health(TypedDict):
    """That something is well."""

    status: str


class ProblemError(TypedDict):
    """One thing that is wrong; `field` is a path into the input, such as `tickets[3].price`."""

    message: str
    field: NotRequired[str]
    code: NotRequired[str]


class Problem(TypedDict):
    """Problem details (RFC 9457); further members say what it is about."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[ProblemError]


def number(money: Money) -> int | float:
    """An amount as a JSON number of major units, exact.

    Amounts have at most 15 significant digits, and those survive the way to a double and back unchanged
    (IEEE 754: DBL_DIG is 15), so the text that JSON gets is the decimal itself.
    """
    major = money.major
    whole = int(major)
    return whole if whole == major else float(major)


def time(value: datetime) -> str:
    """A time as RFC 3339 in UTC."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def user(signed_in: SignedIn | entities.User) -> User:
    """A user."""
    found = signed_in.user if isinstance(signed_in, SignedIn) else signed_in
    return {"id": found.id, "email": found.email}


def live_event(event: entities.LiveEvent) -> LiveEvent:
    """A live event."""
    return {
        "id": event.id,
        "name": event.name,
        "venue": event.venue,
        "startsAt": time(event.starts_at),
        "zone": event.zone,
        "onSaleAt": None if event.on_sale_at is None else time(event.on_sale_at),
        "userId": event.owner_id,
        "status": event.status,
        "paused": event.paused,
        "version": event.version,
    }


def ticket(found: entities.Ticket) -> Ticket:
    """A ticket."""
    return {
        "id": found.id,
        "title": found.title,
        "price": number(found.price),
        "currency": found.price.currency,
        "userId": found.seller_id,
        "orderId": found.order_id,
        "status": found.status,
        "eventId": found.event_id,
        "seat": found.seat,
        "version": found.version,
    }


def own_ticket(found: entities.Ticket, until: datetime | None) -> OwnTicket:
    """A ticket, for its seller."""
    return {**ticket(found), "lockedUntil": None if until is None else time(until)}


def fee(line: entities.Line) -> Fee:
    """A fee or tax."""
    kind: Literal["fee", "tax"] = "tax" if line.kind is entities.LineKind.TAX else "fee"
    return {"kind": kind, "title": line.title, "amount": number(line.amount), "ticketId": line.ticket_id}


def order(placed: Placed) -> Order:
    """An order with its tickets."""
    found = placed.order
    total = found.total
    tickets = [ticket(one) for one in placed.tickets]
    shape: Order = {
        "id": found.id,
        "status": found.status,
        "reason": found.reason,
        "userId": found.buyer_id,
        "expiresAt": time(found.expires_at),
        "version": found.version,
        "total": number(total),
        "currency": total.currency,
        "chargeId": found.charge_id,
        "onDecline": found.policy.on_decline,
        "tickets": tickets,
        "fees": [fee(line) for line in found.lines if line.kind is not entities.LineKind.TICKET],
    }
    if len(tickets) == 1:
        shape["ticketId"] = tickets[0]["id"]
        shape["ticket"] = tickets[0]
    return shape


def admission(found: entities.Ticket) -> Admission:
    """A ticket whose holder was let in."""
    return {
        "ticketId": found.id,
        "title": found.title,
        "seat": found.seat,
        "eventId": found.event_id,
        "admittedAt": time(found.admitted_at or found.created_at),
    }


def refund(found: entities.Refund) -> Refund:
    """A refund."""
    return {
        "id": found.id,
        "chargeId": found.charge_id,
        "status": found.status,
        "code": found.code,
        "reason": found.reason,
        "amount": number(found.amount),
        "currency": found.amount.currency,
        "providerId": found.reference,
    }


def finding(found: comparison.Finding) -> Finding:
    """A finding of the reconciler."""
    return {
        "trouble": found.trouble,
        "what": found.what,
        "needs": found.needs,
        "repair": found.repair,
        "chargeId": found.charge_id,
        "orderId": found.order_id,
        "refundId": found.refund_id,
        "webhookId": found.webhook_id,
        "reference": found.reference,
    }


def charge(found: entities.Charge, refunds: Iterable[entities.Refund] = ()) -> Charge:
    """A charge with its refunds."""
    shape: Charge = {
        "id": found.id,
        "orderId": found.order_id,
        "status": found.status,
        "code": found.code,
        "amount": number(found.amount),
        "currency": found.amount.currency,
        "provider": found.provider,
        "providerId": found.reference,
        "refunded": number(Money(found.given_back, found.amount.currency)),
        "refunds": [refund(one) for one in refunds],
        "version": found.version,
    }
    if found.status is entities.ChargeStatus.REQUIRES_ACTION and found.action is not None:
        shape["action"] = dict(found.action)
    if found.provider == "stripe":
        shape["stripeId"] = found.reference
        shape["stripeRefundId"] = shape["refunds"][-1]["providerId"] if shape["refunds"] else None
    return shape
