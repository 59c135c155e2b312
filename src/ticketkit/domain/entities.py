"""The entities of the marketplace: frozen values, each with an id and a version.

The version is stamped by the storage (stored version + 1 at each write; 0 is "not stored yet") and is the fencing
token of the entity. Times are timezone-aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

from ticketkit.domain.money import Money, total
from ticketkit.domain.policy import OnDecline, Policy

Kind: TypeAlias = Literal[
    "charge", "email", "holds", "live_event", "order", "order_copy", "refund", "session", "ticket", "user", "webhook"
]


class Key(NamedTuple):
    """Names one entity, existing or not. Keys sort by (kind, id): the one order in which locks are taken."""

    kind: Kind
    id: str


class Kept:
    """Base of all entities.

    Attributes:
        KIND: Names the class in keys.
    """

    __slots__ = ()
    KIND: ClassVar[Kind]

    @classmethod
    def key(cls, id: str) -> Key:
        """Name one."""
        return Key(cls.KIND, id)


class TicketStatus(StrEnum):
    """Where a ticket is: `available` → `locked` → `sold`, or `withdrawn` by its seller."""

    AVAILABLE = "available"
    LOCKED = "locked"
    SOLD = "sold"
    WITHDRAWN = "withdrawn"


class OrderStatus(StrEnum):
    """Where an order is: `created` → `awaiting_payment` → `completed`, or `cancelled` with a reason."""

    CREATED = "created"
    AWAITING_PAYMENT = "awaiting_payment"
    COMPLETED = "completed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether no decision changes it any more."""
        return self in (OrderStatus.COMPLETED, OrderStatus.CANCELLED)


class CancelReason(StrEnum):
    """Why an order was cancelled."""

    BUYER = "buyer"
    EXPIRED = "expired"
    TAKEN_OVER = "taken_over"
    PAYMENT_DECLINED = "payment_declined"
    PAYMENT_FAILED = "payment_failed"
    EVENT_CANCELLED = "event_cancelled"


class ChargeStatus(StrEnum):
    """Where a charge is: `created` → (`requires_action`) → `authorized` → `completed`, or `failed` with a code."""

    CREATED = "created"
    REQUIRES_ACTION = "requires_action"
    AUTHORIZED = "authorized"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether no decision changes it any more."""
        return self in (ChargeStatus.COMPLETED, ChargeStatus.FAILED)


class RefundStatus(StrEnum):
    """Where a refund is: `created` → `completed` or `failed`."""

    CREATED = "created"
    COMPLETED = "completed"
    FAILED = "failed"


class LiveEventStatus(StrEnum):
    """Whether a live event takes place."""

    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Kept):
    """Somebody with an account of ticketkit's auth service.

    Attributes:
        email: As typed at sign-up, trimmed. Unique by its case-folded form, see `Email`.
        password_hash: Argon2id, PHC string format.
    """

    KIND: ClassVar[Kind] = "user"
    id: str
    email: str
    password_hash: str
    roles: tuple[str, ...] = ()
    created_at: datetime
    version: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Email(Kept):
    """Who owns an e-mail address: held while a user signs up, so that two can't take it.

    Attributes:
        id: The address, case-folded.
    """

    KIND: ClassVar[Kind] = "email"
    id: str
    user_id: str
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Kept):
    """One sign-in of a user.

    Attributes:
        expires_at: After it no token of this session is renewed.
        revoked_at: Set by sign-out; tokens of a revoked session are refused everywhere.
    """

    KIND: ClassVar[Kind] = "session"
    id: str
    user_id: str
    expires_at: datetime
    revoked_at: datetime | None = None
    created_at: datetime
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEvent(Kept):
    """A concert, match or show that tickets are for.

    Attributes:
        starts_at: UTC.
        zone: IANA time zone of the venue, for people.
        on_sale_at: Before it tickets can be listed, but not ordered; None is "at once".
        owner_id: The user who announced it.
        paused: Whether its sales are paused: nothing of it can be ordered, what was ordered can be paid.
    """

    KIND: ClassVar[Kind] = "live_event"
    id: str
    name: str
    venue: str
    starts_at: datetime
    zone: str = "UTC"
    on_sale_at: datetime | None = None
    owner_id: str
    status: LiveEventStatus = LiveEventStatus.SCHEDULED
    paused: bool = False
    created_at: datetime
    version: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket(Kept):
    """One seat or admission, listed by a seller at a price.

    Attributes:
        event_id: The live event; it never changes.
        order_id: The order that locks or bought it; None unless locked or sold.
        admitted_at: When its pass was shown at the door; None before, and again when it is released.
    """

    KIND: ClassVar[Kind] = "ticket"
    id: str
    title: str
    price: Money
    seller_id: str
    event_id: str | None = None
    seat: str | None = None
    status: TicketStatus = TicketStatus.AVAILABLE
    order_id: str | None = None
    admitted_at: datetime | None = None
    created_at: datetime
    version: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


class LineKind(StrEnum):
    """What a line of an order is for."""

    TICKET = "ticket"
    FEE = "fee"
    TAX = "tax"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One priced line of an order, as it was when the order was placed.

    Attributes:
        ticket_id: The ticket that is bought; of a fee or tax, the ticket that it is for and is dropped with.
        seller_id: Who listed the ticket; None of a fee or tax.
    """

    kind: LineKind = LineKind.TICKET
    title: str
    amount: Money
    ticket_id: str | None = None
    event_id: str | None = None
    seat: str | None = None
    seller_id: str | None = None


class Extension(StrEnum):
    """How the lock of an order was prolonged; each at most once, and never back."""

    NONE = "none"
    GRACE = "grace"
    WINDOW = "window"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Kept):
    """A buyer's claim on 1..n tickets, all or none.

    Attributes:
        reason: Why it was cancelled. Of a completed one: `event_cancelled` when tickets of it, or all, are void since
            their live event is cancelled.
        lines: Tickets first, then fees and taxes; one currency. Those that are void are gone, as long as others are
            left.
        expires_at: End of the lock while the order is `created`.
        placed_until: `expires_at` as it was when the order was placed; extensions count from it.
        prolonged: How often its buyer asked for more time; see `asked_until`.
        released: Whether the completed order has none of its tickets any more: a full refund freed them, or their live
            events are cancelled.
        charge_id: The charge that pins (`awaiting_payment`) or paid (`completed`) it.
        seen: Newest version of each charge that was heard of, so that a late event is void.
    """

    KIND: ClassVar[Kind] = "order"
    id: str
    buyer_id: str
    status: OrderStatus = OrderStatus.CREATED
    reason: CancelReason | None = None
    lines: tuple[Line, ...]
    policy: Policy = field(default_factory=Policy)
    expires_at: datetime
    placed_until: datetime
    extension: Extension = Extension.NONE
    prolonged: int = 0
    released: bool = False
    charge_id: str | None = None
    seen: tuple[tuple[str, int], ...] = ()
    created_at: datetime
    version: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def total(self) -> Money:
        """What the buyer pays."""
        return total([line.amount for line in self.lines])

    @property
    def asked_until(self) -> datetime:
        """The end of the lock by what its buyer asked for; a payment's grace or window counts from here."""
        if not self.prolonged:
            return self.placed_until
        cap = max(self.placed_until, self.created_at + self.policy.longest_hold)
        return min(self.placed_until + self.prolonged * self.policy.extension, cap)

    @property
    def ticket_ids(self) -> tuple[str, ...]:
        """The tickets, in the order of the lines."""
        return tuple(
            line.ticket_id for line in self.lines if line.kind is LineKind.TICKET and line.ticket_id is not None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds(Kept):
    """How many tickets a buyer has in open orders for one live event: what the limit is decided on.

    Attributes:
        id: See `holds_id`.
        orders: Pairs of order id and number of tickets; empty when nothing is open.
    """

    KIND: ClassVar[Kind] = "holds"
    id: str
    orders: tuple[tuple[str, int], ...] = ()
    version: int = 0

    @property
    def count(self) -> int:
        """Tickets on hold."""
        return sum(number for _, number in self.orders)


def holds_id(buyer_id: str, event_id: str | None) -> str:
    """The id of a buyer's `Holds` for a live event; tickets of no live event count together."""
    return f"{event_id or '-'}/{buyer_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge(Kept):
    """One attempt to take money for one order.

    Attributes:
        code: Why it failed: the provider's code of a decline, or one of ticketkit's.
        declined: Whether the provider said no (and not: time ran out, the order was gone).
        provider: Name of the payment provider.
        reference: The provider's id of it; None until it is prepared.
        token: What the buyer's form gave for it; never in an event.
        action: What the buyer has to do while `requires_action`; never in an event.
        taken: The provider took the money at once, and did not hold it: only a refund gives it back.
        owes_void: The provider's object still has to be voided, or what was taken given back; set in the commit that
            gave the charge up.
        due_at: When the reconciler looks after it; None when nothing is open.
        refunded: Sum of the refunds that are not failed, minor units.
        given_back: Sum of those that are completed.
    """

    KIND: ClassVar[Kind] = "charge"
    id: str
    order_id: str
    buyer_id: str
    amount: Money
    status: ChargeStatus = ChargeStatus.CREATED
    code: str | None = None
    declined: bool = False
    provider: str
    reference: str | None = None
    token: str | None = None
    action: Mapping[str, Any] | None = None
    taken: bool = False
    owes_void: bool = False
    due_at: datetime | None = None
    refunded: int = 0
    given_back: int = 0
    refund_ids: tuple[str, ...] = ()
    created_at: datetime
    version: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund(Kept):
    """Money given back, all or part, of a completed charge, or of a failed one whose money was taken at once."""

    KIND: ClassVar[Kind] = "refund"
    id: str
    charge_id: str
    order_id: str
    amount: Money
    reason: str = ""
    status: RefundStatus = RefundStatus.CREATED
    code: str | None = None
    reference: str | None = None
    due_at: datetime | None = None
    created_at: datetime
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCopy(Kept):
    """What payments knows of an order, from its events alone.

    Attributes:
        total: What the order costs; nothing, when all of a paid one is void since its live events are cancelled.
        order_version: Version of the order that this is a copy of; older ones are ignored.
        charge_id: The charge that pins the order, as orders said.
        sellers: Who listed its tickets, each once; empty when the event did not say.
        on_decline: What a declined payment does to it.
        charges: All charges that payments began for it, oldest first.
        open_charge_id: The one that is not final; at most one.
    """

    KIND: ClassVar[Kind] = "order_copy"
    id: str
    buyer_id: str
    status: OrderStatus
    reason: CancelReason | None = None
    total: Money
    expires_at: datetime
    charge_id: str | None = None
    sellers: tuple[str, ...] = ()
    on_decline: OnDecline = OnDecline.CANCEL
    order_version: int
    charges: tuple[str, ...] = ()
    open_charge_id: str | None = None
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook(Kept):
    """A webhook as it came from a payment provider: stored before it is answered, applied later.

    Attributes:
        id: `provider:event id`, so that the same delivery is stored once.
        reference: The provider's object that it is about.
        charge_id: The charge that it is about, where the provider said so.
        outcome: None until it was applied, then what became of it.
    """

    KIND: ClassVar[Kind] = "webhook"
    id: str
    provider: str
    reference: str | None
    charge_id: str | None = None
    what: str
    body: str
    received_at: datetime
    outcome: str | None = None
    version: int = 0


Entity: TypeAlias = Charge | Email | Holds | LiveEvent | Order | OrderCopy | Refund | Session | Ticket | User | Webhook
"""Whatever a storage keeps."""

ENTITIES: dict[Kind, type[Entity]] = {
    cls.KIND: cls for cls in (Charge, Email, Holds, LiveEvent, Order, OrderCopy, Refund, Session, Ticket, User, Webhook)
}
"""The entity classes by kind."""


def key_of(entity: Entity) -> Key:
    """The key of an entity."""
    return Key(entity.KIND, entity.id)
