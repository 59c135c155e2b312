"""Entities as rows and back. Written by hand: this is the hot path."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ticketkit.domain.entities import (
    CancelReason,
    Charge,
    ChargeStatus,
    Email,
    Entity,
    Extension,
    Holds,
    Kind,
    Line,
    LineKind,
    LiveEvent,
    LiveEventStatus,
    Order,
    OrderCopy,
    OrderStatus,
    Refund,
    RefundStatus,
    Session,
    Ticket,
    TicketStatus,
    User,
    Webhook,
)
from ticketkit.domain.money import Money
from ticketkit.domain.policy import OnDecline, OnRefund, Policy

if TYPE_CHECKING:
    from collections.abc import Mapping

Row: TypeAlias = tuple[Any, ...]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = 86_400_000_000
_dump: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_load: Final = json.loads


@dataclass(frozen=True, slots=True)
class Rows:
    """How one kind of entity is kept.

    Attributes:
        table: Short name of its table.
        fixed: Columns that never change once a row is written; `id` is the first.
        free: Columns that change; `version` is the last.
        to_row: Values in the order of `columns`.
        from_row: The inverse.
    """

    table: str
    fixed: tuple[str, ...]
    free: tuple[str, ...]
    to_row: Callable[[Any], Row]
    from_row: Callable[[Row], Entity]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, in the order of a row."""
        return self.fixed + self.free


def micros(time: datetime) -> int:
    """A time as microseconds since 1970 UTC."""
    delta = time - _EPOCH
    return delta.days * _DAY + delta.seconds * 1_000_000 + delta.microseconds


def time_of(number: int) -> datetime:
    """The inverse of `micros`."""
    return _EPOCH + timedelta(microseconds=number)


def _maybe_micros(time: datetime | None) -> int | None:
    return None if time is None else micros(time)


def _maybe_time(number: int | None) -> datetime | None:
    return None if number is None else time_of(number)


def _json(value: Mapping[str, Any]) -> str:
    return _dump(value) if value else "{}"


def _mapping(text: str) -> dict[str, Any]:
    if text == "{}":
        return {}
    found: dict[str, Any] = _load(text)
    return found


def _user_row(user: User) -> Row:
    return (
        user.id,
        micros(user.created_at),
        user.email,
        user.password_hash,
        _dump(user.roles),
        _json(user.extra),
        user.version,
    )


def _user(row: Row) -> User:
    return User(
        id=row[0],
        created_at=time_of(row[1]),
        email=row[2],
        password_hash=row[3],
        roles=tuple(_load(row[4])),
        extra=_mapping(row[5]),
        version=row[6],
    )


def _email_row(email: Email) -> Row:
    return email.id, email.user_id, email.version


def _email(row: Row) -> Email:
    return Email(id=row[0], user_id=row[1], version=row[2])


def _session_row(session: Session) -> Row:
    return (
        session.id,
        session.user_id,
        micros(session.created_at),
        micros(session.expires_at),
        _maybe_micros(session.revoked_at),
        session.version,
    )


def _session(row: Row) -> Session:
    return Session(
        id=row[0],
        user_id=row[1],
        created_at=time_of(row[2]),
        expires_at=time_of(row[3]),
        revoked_at=_maybe_time(row[4]),
        version=row[5],
    )


def _live_event_row(event: LiveEvent) -> Row:
    return (
        event.id,
        micros(event.created_at),
        event.name,
        event.venue,
        micros(event.starts_at),
        event.zone,
        _maybe_micros(event.on_sale_at),
        event.owner_id,
        event.status.value,
        event.paused,
        _json(event.extra),
        event.version,
    )


def _live_event(row: Row) -> LiveEvent:
    return LiveEvent(
        id=row[0],
        created_at=time_of(row[1]),
        name=row[2],
        venue=row[3],
        starts_at=time_of(row[4]),
        zone=row[5],
        on_sale_at=_maybe_time(row[6]),
        owner_id=row[7],
        status=LiveEventStatus(row[8]),
        paused=bool(row[9]),
        extra=_mapping(row[10]),
        version=row[11],
    )


def _ticket_row(ticket: Ticket) -> Row:
    return (
        ticket.id,
        ticket.seller_id,
        ticket.event_id,
        micros(ticket.created_at),
        ticket.title,
        ticket.price.minor,
        ticket.price.currency,
        ticket.seat,
        ticket.status.value,
        ticket.order_id,
        _maybe_micros(ticket.admitted_at),
        _json(ticket.extra),
        ticket.version,
    )


def _ticket(row: Row) -> Ticket:
    return Ticket(
        id=row[0],
        seller_id=row[1],
        event_id=row[2],
        created_at=time_of(row[3]),
        title=row[4],
        price=Money(row[5], row[6]),
        seat=row[7],
        status=TicketStatus(row[8]),
        order_id=row[9],
        admitted_at=_maybe_time(row[10]),
        extra=_mapping(row[11]),
        version=row[12],
    )


def _line_list(line: Line) -> list[Any]:
    amount = line.amount
    found = [line.kind, line.title, amount.minor, amount.currency, line.ticket_id, line.event_id, line.seat]
    return found if line.seller_id is None else [*found, line.seller_id]


def _line(found: list[Any]) -> Line:
    kind, title, minor, currency, ticket_id, event_id, seat, *seller_id = found
    return Line(
        kind=LineKind(kind),
        title=title,
        amount=Money(minor, currency),
        ticket_id=ticket_id,
        event_id=event_id,
        seat=seat,
        seller_id=seller_id[0] if seller_id else None,
    )


_MICROSECOND: Final = timedelta(microseconds=1)
_LATER: Final[dict[str, Any]] = {"on_refund": OnRefund.KEEP, "extension": 0, "extensions": 0, "longest_hold": 0}


@lru_cache(1000)
def policy_text(policy: Policy) -> str:
    """A policy as JSON; times in microseconds."""
    return _dump(
        {
            "hold": policy.hold // _MICROSECOND,
            "payment_grace": policy.payment_grace // _MICROSECOND,
            "payment_window": policy.payment_window // _MICROSECOND,
            "tickets_per_order": policy.tickets_per_order,
            "tickets_on_hold": policy.tickets_on_hold,
            "own_tickets": policy.own_tickets,
            "on_decline": policy.on_decline,
            "on_refund": policy.on_refund,
            "extension": policy.extension // _MICROSECOND,
            "extensions": policy.extensions,
            "longest_hold": policy.longest_hold // _MICROSECOND,
        }
    )


@lru_cache(1000)
def policy_of(text: str) -> Policy:
    """The inverse of `policy_text`; what a text of an earlier release does not say is as it was then."""
    found = _LATER | _load(text)
    return Policy(
        hold=timedelta(microseconds=found["hold"]),
        payment_grace=timedelta(microseconds=found["payment_grace"]),
        payment_window=timedelta(microseconds=found["payment_window"]),
        tickets_per_order=found["tickets_per_order"],
        tickets_on_hold=found["tickets_on_hold"],
        own_tickets=found["own_tickets"],
        on_decline=OnDecline(found["on_decline"]),
        on_refund=OnRefund(found["on_refund"]),
        extension=timedelta(microseconds=found["extension"]),
        extensions=found["extensions"],
        longest_hold=timedelta(microseconds=found["longest_hold"]),
    )


def _order_row(order: Order) -> Row:
    return (
        order.id,
        order.buyer_id,
        micros(order.created_at),
        policy_text(order.policy),
        micros(order.placed_until),
        order.status.value,
        None if order.reason is None else order.reason.value,
        _dump([_line_list(line) for line in order.lines]),
        micros(order.expires_at),
        order.extension.value,
        order.prolonged,
        order.released,
        order.charge_id,
        _dump(order.seen) if order.seen else "[]",
        _json(order.extra),
        order.version,
    )


def _order(row: Row) -> Order:
    return Order(
        id=row[0],
        buyer_id=row[1],
        created_at=time_of(row[2]),
        policy=policy_of(row[3]),
        placed_until=time_of(row[4]),
        status=OrderStatus(row[5]),
        reason=None if row[6] is None else CancelReason(row[6]),
        lines=tuple(_line(found) for found in _load(row[7])),
        expires_at=time_of(row[8]),
        extension=Extension(row[9]),
        prolonged=row[10],
        released=bool(row[11]),
        charge_id=row[12],
        seen=tuple((id, version) for id, version in _load(row[13])),
        extra=_mapping(row[14]),
        version=row[15],
    )


def _holds_row(holds: Holds) -> Row:
    return holds.id, _dump(holds.orders), holds.version


def _holds(row: Row) -> Holds:
    return Holds(id=row[0], orders=tuple((id, number) for id, number in _load(row[1])), version=row[2])


def _charge_row(charge: Charge) -> Row:
    return (
        charge.id,
        charge.order_id,
        charge.buyer_id,
        charge.amount.minor,
        charge.amount.currency,
        charge.provider,
        micros(charge.created_at),
        charge.status.value,
        charge.code,
        charge.declined,
        charge.reference,
        charge.token,
        None if charge.action is None else _dump(charge.action),
        charge.taken,
        charge.owes_void,
        _maybe_micros(charge.due_at),
        charge.refunded,
        charge.given_back,
        _dump(charge.refund_ids),
        _json(charge.extra),
        charge.version,
    )


def _charge(row: Row) -> Charge:
    return Charge(
        id=row[0],
        order_id=row[1],
        buyer_id=row[2],
        amount=Money(row[3], row[4]),
        provider=row[5],
        created_at=time_of(row[6]),
        status=ChargeStatus(row[7]),
        code=row[8],
        declined=bool(row[9]),
        reference=row[10],
        token=row[11],
        action=None if row[12] is None else _load(row[12]),
        taken=bool(row[13]),
        owes_void=bool(row[14]),
        due_at=_maybe_time(row[15]),
        refunded=row[16],
        given_back=row[17],
        refund_ids=tuple(_load(row[18])),
        extra=_mapping(row[19]),
        version=row[20],
    )


def _refund_row(refund: Refund) -> Row:
    return (
        refund.id,
        refund.charge_id,
        refund.order_id,
        refund.amount.minor,
        refund.amount.currency,
        refund.reason,
        micros(refund.created_at),
        refund.status.value,
        refund.code,
        refund.reference,
        _maybe_micros(refund.due_at),
        refund.version,
    )


def _refund(row: Row) -> Refund:
    return Refund(
        id=row[0],
        charge_id=row[1],
        order_id=row[2],
        amount=Money(row[3], row[4]),
        reason=row[5],
        created_at=time_of(row[6]),
        status=RefundStatus(row[7]),
        code=row[8],
        reference=row[9],
        due_at=_maybe_time(row[10]),
        version=row[11],
    )


def _order_copy_row(copy: OrderCopy) -> Row:
    return (
        copy.id,
        copy.buyer_id,
        copy.status.value,
        None if copy.reason is None else copy.reason.value,
        copy.total.minor,
        copy.total.currency,
        micros(copy.expires_at),
        copy.charge_id,
        _dump(copy.sellers),
        copy.on_decline.value,
        copy.order_version,
        _dump(copy.charges),
        copy.open_charge_id,
        copy.version,
    )


def _order_copy(row: Row) -> OrderCopy:
    return OrderCopy(
        id=row[0],
        buyer_id=row[1],
        status=OrderStatus(row[2]),
        reason=None if row[3] is None else CancelReason(row[3]),
        total=Money(row[4], row[5]),
        expires_at=time_of(row[6]),
        charge_id=row[7],
        sellers=tuple(_load(row[8])),
        on_decline=OnDecline(row[9]),
        order_version=row[10],
        charges=tuple(_load(row[11])),
        open_charge_id=row[12],
        version=row[13],
    )


def _webhook_row(webhook: Webhook) -> Row:
    return (
        webhook.id,
        webhook.provider,
        webhook.reference,
        webhook.charge_id,
        webhook.what,
        webhook.body,
        micros(webhook.received_at),
        webhook.outcome,
        webhook.version,
    )


def _webhook(row: Row) -> Webhook:
    return Webhook(
        id=row[0],
        provider=row[1],
        reference=row[2],
        charge_id=row[3],
        what=row[4],
        body=row[5],
        received_at=time_of(row[6]),
        outcome=row[7],
        version=row[8],
    )


def _rows(table: str, fixed: str, free: str, to_row: Callable[[Any], Row], from_row: Callable[[Row], Entity]) -> Rows:
    return Rows(table, tuple(fixed.split()), tuple(free.split()), to_row, from_row)


ROWS: Final[dict[Kind, Rows]] = {
    "user": _rows("users", "id created_at", "email password_hash roles extra version", _user_row, _user),
    "email": _rows("emails", "id", "user_id version", _email_row, _email),
    "session": _rows("sessions", "id user_id created_at", "expires_at revoked_at version", _session_row, _session),
    "live_event": _rows(
        "live_events",
        "id created_at",
        "name venue starts_at zone on_sale_at owner_id status paused extra version",
        _live_event_row,
        _live_event,
    ),
    "order": _rows(
        "orders",
        "id buyer_id created_at policy placed_until",
        "status reason lines expires_at extension prolonged released charge_id seen extra version",
        _order_row,
        _order,
    ),
    "ticket": _rows(
        "tickets",
        "id seller_id event_id created_at",
        "title price currency seat status order_id admitted_at extra version",
        _ticket_row,
        _ticket,
    ),
    "holds": _rows("holds", "id", "orders version", _holds_row, _holds),
    "order_copy": _rows(
        "order_copies",
        "id buyer_id",
        "status reason total currency expires_at charge_id sellers on_decline order_version charges open_charge_id "
        "version",
        _order_copy_row,
        _order_copy,
    ),
    "charge": _rows(
        "charges",
        "id order_id buyer_id amount currency provider created_at",
        "status code declined reference token action taken owes_void due_at refunded given_back refund_ids "
        "extra version",
        _charge_row,
        _charge,
    ),
    "refund": _rows(
        "refunds",
        "id charge_id order_id amount currency reason created_at",
        "status code reference due_at version",
        _refund_row,
        _refund,
    ),
    "webhook": _rows(
        "webhooks",
        "id provider reference charge_id what body received_at",
        "outcome version",
        _webhook_row,
        _webhook,
    ),
}
"""By kind, in the order in which tables are written."""
