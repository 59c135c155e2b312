"""One of every entity, plain and odd: what a storage has to keep exactly."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

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
from ticketkit.domain.money import MAX_MINOR, Money
from ticketkit.domain.policy import OnDecline, OnRefund, Policy
from ticketkit.ids import new_id

ODD: Final = (
    "e\u0301\u0327 combining, not \u00e9",
    "\u202b\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627\u202c",
    "\U0001f3ab\U0001f468\u200d\U0001f469\u200d\U0001f467 emoji \U0001f1e9\U0001f1ea",
    'O\'Hara "quoted" `back` $1 :name ?',
    "100% _under_ \\back\\ \\u0041 {brace}",
    "İstanbul ẞ ﬁ ΑΣ",
    "\U0010fffd\ufeff\u00a0\u2028\u2029\u200b",
    "NULL",
)
"""Texts that a careless codec changes."""

UNCHANGING: Final[dict[Kind, tuple[str, ...]]] = {
    "user": ("created_at",),
    "email": ("user_id",),
    "session": ("user_id", "created_at"),
    "live_event": ("created_at",),
    "order": ("buyer_id", "created_at", "policy", "placed_until"),
    "ticket": ("seller_id", "event_id", "created_at"),
    "order_copy": ("buyer_id",),
    "charge": ("order_id", "buyer_id", "amount", "provider", "created_at"),
    "refund": ("charge_id", "order_id", "amount", "reason", "created_at"),
    "webhook": ("provider", "reference", "charge_id", "what", "body", "received_at"),
}
"""Fields that no decision ever changes, so that a storage need not write them again."""

TIME: Final = datetime(2031, 10, 26, 1, 30, 59, 123457, tzinfo=UTC)
EXTRA: Final[dict[str, Any]] = {
    "kit:nested": {"list": [1, -2.5, 1e300, True, None, {"": "\u2603"}, []], "text": 'a\\b"c\u0007\n'},
    "kit:large": 2**53,
    "kit:none": None,
    **{f"kit:{number}": text for number, text in enumerate(ODD)},
}


def full(text: str = "x", *, extra: dict[str, Any] | None = None) -> list[Entity]:
    """One of each kind, every field set, which refer to each other.

    Args:
        text: Where free text may stand.
        extra: Of each that has one.
    """
    extra = EXTRA if extra is None else extra
    ids = {name: new_id() for name in ("user", "event", "ticket", "order", "charge", "refund", "session")}
    price = Money(MAX_MINOR, "BHD")
    line = Line(title=text, amount=price, ticket_id=ids["ticket"], event_id=ids["event"], seat=text, seller_id=text)
    fee = Line(kind=LineKind.FEE, title=text, amount=Money(0, "BHD"), ticket_id=ids["ticket"])
    policy = Policy(
        hold=timedelta(days=1, microseconds=1),
        extension=timedelta(microseconds=7),
        extensions=3,
        longest_hold=timedelta(days=2, microseconds=5),
        tickets_per_order=1,
        own_tickets=True,
        on_decline=OnDecline.KEEP,
        on_refund=OnRefund.KEEP,
    )
    return [
        User(id=ids["user"], email=text, password_hash=text, roles=("a", text), created_at=TIME, extra=extra),
        Email(id=f"{ids['user']}@{text}", user_id=ids["user"]),
        Session(id=ids["session"], user_id=ids["user"], expires_at=TIME, revoked_at=TIME, created_at=TIME),
        LiveEvent(
            id=ids["event"],
            name=text,
            venue=text,
            starts_at=TIME,
            zone="America/Argentina/ComodRivadavia",
            on_sale_at=TIME - timedelta(microseconds=1),
            owner_id=text,
            status=LiveEventStatus.CANCELLED,
            paused=True,
            created_at=TIME,
            extra=extra,
        ),
        Ticket(
            id=ids["ticket"],
            title=text,
            price=price,
            seller_id=text,
            event_id=ids["event"],
            seat=text,
            status=TicketStatus.SOLD,
            order_id=ids["order"],
            admitted_at=TIME + timedelta(microseconds=3),
            created_at=TIME,
            extra=extra,
        ),
        Order(
            id=ids["order"],
            buyer_id=text,
            status=OrderStatus.CANCELLED,
            reason=CancelReason.TAKEN_OVER,
            lines=(line, fee),
            policy=policy,
            expires_at=TIME,
            placed_until=TIME - timedelta(minutes=5),
            extension=Extension.WINDOW,
            prolonged=2,
            released=True,
            charge_id=ids["charge"],
            seen=((ids["charge"], 3), (text, 2**31)),
            created_at=TIME,
            extra=extra,
        ),
        Holds(id=f"{ids['event']}/{text}", orders=((ids["order"], 2), (text, 1))),
        OrderCopy(
            id=ids["order"],
            buyer_id=text,
            status=OrderStatus.CANCELLED,
            reason=CancelReason.BUYER,
            total=price,
            expires_at=TIME,
            charge_id=ids["charge"],
            sellers=(text, "another"),
            on_decline=OnDecline.KEEP,
            order_version=7,
            charges=(ids["charge"], text),
            open_charge_id=ids["charge"],
        ),
        Charge(
            id=ids["charge"],
            order_id=ids["order"],
            buyer_id=text,
            amount=price,
            status=ChargeStatus.FAILED,
            code=text,
            declined=True,
            provider=text,
            reference=f"{ids['charge']} {text}",
            token=text,
            action={"url": text, "more": [None, {"deep": text}]},
            taken=True,
            owes_void=True,
            due_at=TIME,
            refunded=MAX_MINOR,
            given_back=MAX_MINOR - 1,
            refund_ids=(ids["refund"], text),
            created_at=TIME,
            extra=extra,
        ),
        Refund(
            id=ids["refund"],
            charge_id=ids["charge"],
            order_id=ids["order"],
            amount=price,
            reason=text,
            status=RefundStatus.FAILED,
            code=text,
            reference=text,
            due_at=TIME,
            created_at=TIME,
        ),
        Webhook(
            id=f"{text}:{new_id()}",
            provider=text,
            reference=text,
            charge_id=text,
            what=text,
            body=text * 3,
            received_at=TIME,
            outcome=text,
        ),
    ]


def bare() -> list[Entity]:
    """One of each kind, with nothing that is optional, which refer to each other."""
    user, event, ticket, order, charge, refund, session = (new_id() for _ in range(7))
    price, most = Money(1, "JPY"), Money(MAX_MINOR, "JPY")
    line = Line(title="Seat", amount=price, ticket_id=ticket)
    return [
        User(id=user, email="a@b.example", password_hash="hash", created_at=TIME),  # noqa: S106 - made up
        Email(id=f"{user}@b.example", user_id=user),
        Session(id=session, user_id=user, expires_at=TIME, created_at=TIME),
        LiveEvent(id=event, name="Name", venue="Venue", starts_at=TIME, owner_id="owner", created_at=TIME),
        Ticket(id=ticket, title="Seat", price=price, seller_id="seller", created_at=TIME),
        Order(id=order, buyer_id="buyer", lines=(line,), expires_at=TIME, placed_until=TIME, created_at=TIME),
        Holds(id=f"-/{user}"),
        OrderCopy(
            id=order, buyer_id="buyer", status=OrderStatus.CREATED, total=price, expires_at=TIME, order_version=1
        ),
        Charge(id=charge, order_id=order, buyer_id="buyer", amount=most, provider="fake", created_at=TIME),
        Refund(id=refund, charge_id=charge, order_id=order, amount=price, created_at=TIME),
        Webhook(id=f"fake:{new_id()}", provider="fake", reference=None, what="paid", body="{}", received_at=TIME),
    ]


def stored(entities: list[Entity], *, version: int = 1) -> list[Entity]:
    """As they come back."""
    return [replace(entity, version=version) for entity in entities]
