"""One state of the world, and when two are the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

from ticketkit.domain.entities import (
    CancelReason,
    Charge,
    ChargeStatus,
    Entity,
    Key,
    LiveEvent,
    LiveEventStatus,
    Order,
    OrderCopy,
    Refund,
    Ticket,
)

A: Final = Order.key("A")
B: Final = Order.key("B")
COPY: Final = OrderCopy.key("A")
TICKET: Final = Ticket.key("t")
LIVE: Final = LiveEvent.key("e")
CHARGES: Final = (Charge.key("c0"), Charge.key("c1"))
PRICE: Final = 2000
UNDECIDED: Final = (ChargeStatus.CREATED, ChargeStatus.REQUIRES_ACTION)

Told = tuple[str, Entity]
Call = tuple[int, str]
"""Of which charge, and what: `prepare`, `authorize`, `retrieve`, `look`, `capture`, `void`, `refund 0`, ..."""
Hand = tuple[int, str]
"""Of which charge, and the answer that a worker has not committed yet."""


class Booked(NamedTuple):
    """What the provider's books say of one charge.

    Attributes:
        status: `none`, `prepared`, `acting`, `authorized`, `refused` (to be captured; the money is still held),
            `captured` (held before), `taken` (at once), `declined` or `void`.
        said: The answer to `authorize`, which is the same for ever after.
        given: Numbers of the refunds that were given.
        refused: Numbers of those that were refused.
    """

    status: str = "none"
    said: str = ""
    given: frozenset[int] = frozenset()
    refused: frozenset[int] = frozenset()

    @property
    def paid(self) -> bool:
        """Whether the provider has, or had, A's money."""
        return self.status in ("captured", "taken")


class Point(NamedTuple):
    """One state of the world.

    Attributes:
        late: How many of the lock's ends are past.
        told: The events, oldest first.
        provider: The provider's books, by charge.
        asked: The calls that may reach the provider.
        hands: The answers that workers hold.
    """

    entities: Mapping[Key, Entity]
    late: int = 0
    told: tuple[Told, ...] = ()
    provider: tuple[Booked, Booked] = (Booked(), Booked())
    asked: frozenset[Call] = frozenset()
    hands: frozenset[Hand] = frozenset()

    @property
    def a(self) -> Order:
        return cast("Order", self.entities[A])

    @property
    def b(self) -> Order | None:
        return cast("Order | None", self.entities.get(B))

    @property
    def copy(self) -> OrderCopy:
        return cast("OrderCopy", self.entities[COPY])

    @property
    def ticket(self) -> Ticket:
        return cast("Ticket", self.entities[TICKET])

    @property
    def off(self) -> bool:
        """Whether the live event is cancelled."""
        event = self.entities.get(LIVE)
        return isinstance(event, LiveEvent) and event.status is LiveEventStatus.CANCELLED

    @property
    def void(self) -> bool:
        """Whether A's order lost its ticket to that, though it was paid."""
        return self.a.released and self.a.reason is CancelReason.EVENT_CANCELLED

    @property
    def charges(self) -> list[Charge]:
        found = (self.entities.get(key) for key in CHARGES)
        return [cast("Charge", charge) for charge in found if charge is not None]

    def refund(self, i: int, number: int) -> Refund:
        return cast("Refund", self.entities[Refund.key(refund_id(i, number))])

    def refunds(self, i: int) -> list[Refund]:
        """Of a charge, oldest first."""
        charge = cast("Charge", self.entities[CHARGES[i]])
        return [self.refund(i, number) for number, _ in enumerate(charge.refund_ids)]

    def given(self, i: int) -> int:
        """What the provider has given back of a charge, minor units."""
        return sum(self.refund(i, number).amount.minor for number in self.provider[i].given)

    def booked(self, i: int, now: Booked) -> Point:
        """The same with other books."""
        provider = (now, self.provider[1]) if i == 0 else (self.provider[0], now)
        return self._replace(provider=provider)


def refund_id(i: int, number: int) -> str:
    """The id of a refund: its charge, and how many that has before it."""
    return f"c{i}.{number}"


def canonical(at: Point) -> Any:
    """The state without ids, times and codes that no decision looks at, and with versions by rank only."""
    a, copy, ticket = at.a, at.copy, at.ticket
    b, seen = at.b, dict(a.seen)
    orders_told = [told for _, told in at.told if isinstance(told, Order)]
    return (
        at.late,
        (a.status, a.extension, a.charge_id, a.released, at.off, at.void),
        (ticket.status, ticket.order_id),
        None if b is None else b.status,
        (sum(told.version <= copy.order_version for told in orders_told), copy.open_charge_id, copy.total.minor),
        tuple(_charge(at, i, charge) for i, charge in enumerate(at.charges)),
        tuple((told.status, told.extension, told.charge_id, told.released, told.reason) for told in orders_told),
        tuple(tuple(_heard_of(at.told, c.id, seen.get(c.id, 0))) for c in at.charges),
        at.provider,
        at.asked,
        at.hands,
    )


def _charge(at: Point, i: int, charge: Charge) -> tuple[object, ...]:
    return (
        charge.status,
        charge.reference is None,
        charge.owes_void,
        charge.due_at is None,
        charge.taken,
        (charge.refunded, charge.given_back),
        tuple((refund.status, refund.amount.minor, refund.due_at is None) for refund in at.refunds(i)),
    )


def _heard_of(told: tuple[Told, ...], id: str, seen: int) -> Iterator[object]:
    news = [charge for _, charge in told if isinstance(charge, Charge) and charge.id == id]
    for charge in news:
        yield charge.status, charge.declined, charge.given_back
    yield sum(charge.version <= seen for charge in news)
