"""A marketplace in a dictionary: runs decisions on a `Ledger`, on a clock set by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from ticketkit.backends.ledger import Ledger
from ticketkit.backends.storage import Answer
from ticketkit.domain import live_events, orders, payments, refunds, settlement, tickets
from ticketkit.domain.decision import Command, Keys
from ticketkit.domain.entities import (
    Charge,
    Entity,
    Holds,
    Key,
    LiveEvent,
    Order,
    OrderCopy,
    Refund,
    Ticket,
    holds_id,
)
from ticketkit.domain.money import Money
from ticketkit.domain.policy import Policy
from ticketkit.events.catalogue import ChargeState, OrderState
from ticketkit.events.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from ticketkit.domain.decision import Decision
    from ticketkit.domain.entities import Line
    from ticketkit.events.envelope import Envelope

E = TypeVar("E", bound=Entity)

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
REGISTRY = Registry()


def usd(amount: str | int) -> Money:
    return Money.parse(amount, "USD")


def order_news(event: OrderState) -> payments.OrderNews:
    """What payments takes from an event of an order."""
    return payments.OrderNews(
        id=event.id,
        buyer_id=event.user_id,
        status=event.status,
        reason=event.reason,
        total=Money(event.total.minor, event.total.currency),
        expires_at=event.expires_at,
        charge_id=event.charge_id,
        version=event.version,
        released=event.released,
    )


def charge_news(event: ChargeState) -> settlement.ChargeNews:
    """What orders takes from an event of a charge."""
    return settlement.ChargeNews(
        id=event.id,
        order_id=event.order_id,
        version=event.version,
        status=event.status,
        amount=Money(event.amount.minor, event.amount.currency),
        declined=event.declined,
        given_back=event.refunded.minor if event.refunded else 0,
    )


class World:
    """All entities, all events, and the time. Each method is one committed decision, or raises its refusal."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now
        self.entities: dict[Key, Entity] = {}
        self.events: list[Envelope] = []
        self._ids = count(1)

    def decide(
        self, decision: Decision, *keys: Key, fresh: Sequence[str] = (), command: Command | None = None
    ) -> Answer:
        """Run a decision as a storage does: again on the union when it needs more, then all it writes or nothing."""
        command = command or self.command(*fresh)
        ledger = Ledger(now=self.now, new_id=lambda: f"event-{next(self._ids)}")
        reads = Keys.of(*keys)
        while True:
            ledger.load({key: self.entities.get(key) for key in reads.all})
            found = ledger.run(reads, decision, command)
            if isinstance(found, Answer):
                break
            assert found.keys.all - reads.all, "a Need must ask for something new"
            reads |= found.keys
        for key, entity in ledger.written.items():
            old = self.entities.get(key)
            assert entity.version == (old.version if old else 0) + 1, f"{key} skipped a version"
        self.entities.update(ledger.written)
        self.events.extend(ledger.events)
        return found

    def command(self, *fresh: str) -> Command:
        return Command(id=f"command-{next(self._ids)}", fresh=fresh)

    def wait(self, **parts: float) -> None:
        """Let time pass: `wait(minutes=15)`."""
        self.now += timedelta(**parts)

    # --- looking ---

    def get(self, cls: type[E], id: str) -> E:
        found = self.entities[Key(cls.KIND, id)]
        assert isinstance(found, cls)
        return found

    def every(self, cls: type[E]) -> list[E]:
        return [entity for entity in self.entities.values() if isinstance(entity, cls)]

    def ticket(self, id: str) -> Ticket:
        return self.get(Ticket, id)

    def order(self, id: str) -> Order:
        return self.get(Order, id)

    def charge(self, id: str) -> Charge:
        return self.get(Charge, id)

    def copy(self, id: str) -> OrderCopy:
        return self.get(OrderCopy, id)

    def on_hold(self, buyer: str, event_id: str | None = None) -> int:
        holds = self.entities.get(Holds.key(holds_id(buyer, event_id)))
        return holds.count if isinstance(holds, Holds) else 0

    def told(self, since: int = 0) -> list[tuple[str, str]]:
        """Name and subject of each event."""
        return [(event.name, event.subject) for event in self.events[since:]]

    # --- sellers ---

    def announce(self, id: str, *, starts_at: datetime | None = None, **what: Any) -> LiveEvent:
        what = {"owner_id": "owner", "name": "Hamilton", "venue": "Richard Rodgers Theatre", **what}
        starts_at = starts_at or self.now + timedelta(days=30)
        command = self.command(id)
        return self.decide(
            lambda state: live_events.announce(state, command, starts_at=starts_at, **what), command=command
        ).one(LiveEvent)

    def call_off(self, id: str, *, owner: str | None = "owner") -> LiveEvent:
        return self.decide(lambda state: live_events.call_off(state, id, owner_id=owner), LiveEvent.key(id)).one(
            LiveEvent
        )

    def list(self, *ids: str, seller: str = "seller", price: Money | str = "20", **what: Any) -> Ticket:
        """List tickets of one kind; the first is answered."""
        price = price if isinstance(price, Money) else usd(price)
        what = {"title": "Row A", **what}
        command = self.command(*ids)
        listings = [tickets.Listing(price=price, **what) for _ in ids]
        return self.decide(
            lambda state: tickets.list_tickets(state, command, seller_id=seller, listings=listings), command=command
        ).one(Ticket)

    def edit(self, id: str, *, seller: str = "seller", title: str = "Row B", price: Money | str = "25") -> Ticket:
        price = price if isinstance(price, Money) else usd(price)
        return self.decide(
            lambda state: tickets.edit(state, id, seller_id=seller, title=title, price=price), Ticket.key(id)
        ).one(Ticket)

    def withdraw(self, id: str, *, seller: str = "seller") -> Ticket:
        return self.decide(lambda state: tickets.withdraw(state, id, seller_id=seller), Ticket.key(id)).one(Ticket)

    # --- buyers ---

    def place(
        self, id: str, *ticket_ids: str, buyer: str = "buyer", policy: Policy | None = None, lines: Sequence[Line] = ()
    ) -> Order:
        command, rules = self.command(id), policy or Policy()
        return self.decide(
            lambda state: orders.place(
                state, command, buyer_id=buyer, ticket_ids=ticket_ids, policy=rules, lines=lines
            ),
            *(Ticket.key(id) for id in ticket_ids),
            command=command,
        ).one(Order)

    def keep(self, id: str, *ticket_ids: str, buyer: str = "buyer") -> Answer:
        return self.decide(lambda state: orders.keep(state, id, buyer_id=buyer, ticket_ids=ticket_ids), Order.key(id))

    def cancel(self, id: str, *, buyer: str = "buyer") -> Order:
        return self.decide(lambda state: orders.cancel(state, id, buyer_id=buyer), Order.key(id)).one(Order)

    def expire(self, id: str) -> Answer:
        return self.decide(lambda state: orders.expire(state, id), Order.key(id))

    def void(self, id: str) -> Order:
        """Take the tickets of cancelled live events from an order."""
        return self.decide(lambda state: orders.void(state, id), Order.key(id)).one(Order)

    # --- payments ---

    def begin(self, id: str, order_id: str, *, buyer: str = "buyer") -> Charge:
        command = self.command(id)
        return self.decide(
            lambda state: payments.begin(
                state, command, order_id=order_id, buyer_id=buyer, provider="fake", token="tok_visa"
            ),
            OrderCopy.key(order_id),
            command=command,
        ).one(Charge)

    def charged(self, decision: Any, id: str, **what: Any) -> Charge:
        """One of the decisions about a charge: `charged(payments.authorized, "c1")`."""
        return self.decide(lambda state: decision(state, id, **what), Charge.key(id)).one(Charge)

    def authorize(self, id: str, order_id: str, *, buyer: str = "buyer") -> Charge:
        """Begin, prepare and authorize; nothing is delivered but the order's copy."""
        self.hear_orders()
        self.begin(id, order_id, buyer=buyer)
        self.charged(payments.prepared, id, reference=f"ref-{id}")
        return self.charged(payments.authorized, id)

    def pay(self, id: str, order_id: str, *, buyer: str = "buyer") -> Charge:
        """The whole way, everything delivered in time."""
        self.authorize(id, order_id, buyer=buyer)
        self.hear_all()
        charge = self.charged(payments.captured, id)
        self.hear_all()
        return charge

    def refund(self, id: str, charge_id: str, amount: Money | Decimal | None = None) -> Refund:
        command = self.command(id)
        return self.decide(
            lambda state: refunds.begin(state, command, charge_id=charge_id, amount=amount),
            Charge.key(charge_id),
            command=command,
        ).one(Refund)

    def refund_ended(self, decision: Any, id: str, **what: Any) -> Refund:
        return self.decide(lambda state: decision(state, id, **what), Refund.key(id)).one(Refund)

    # --- delivery ---

    def hear(self, event: Envelope) -> Answer | None:
        """Deliver one event to the service that listens to it, through the bytes of its body; None: nobody does."""
        data = REGISTRY.read(event).data
        if isinstance(data, OrderState):
            heard, command = order_news(data), self.command(f"back-{event.id}")
            return self.decide(
                lambda state: refunds.order_heard(state, command, heard), OrderCopy.key(heard.id), command=command
            )
        if isinstance(data, ChargeState):
            news = charge_news(data)
            return self.decide(lambda state: settlement.charge_heard(state, news), Order.key(news.order_id))
        return None

    def hear_orders(self) -> None:
        """Deliver all events of orders."""
        for event in tuple(self.events):
            if event.name.startswith("order."):
                self.hear(event)

    def hear_all(self) -> None:
        """Deliver all events, and those that they cause."""
        for event in self.events:  # it grows meanwhile
            self.hear(event)


def with_versions(entities: Mapping[Key, Entity], version: int = 0) -> dict[Key, Entity]:
    """The same entities without their versions, to compare two histories."""
    return {key: replace(entity, version=version) for key, entity in entities.items()}
