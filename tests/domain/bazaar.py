"""A crowd in a `World`: sellers, buyers, two live events, and a payment provider with its own books.

Each method is one thing that somebody may try; numbers choose among what there is. Refusals are fine. After each,
`Bazaar` compares what was with what is: what no decision may ever do.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from tests.domain.world import World, usd

from ticketkit.domain import payments, refunds
from ticketkit.domain.entities import (
    CancelReason,
    Charge,
    Entity,
    Holds,
    Key,
    Order,
    OrderCopy,
    OrderStatus,
    Refund,
    RefundStatus,
    Ticket,
    TicketStatus,
    holds_id,
)
from ticketkit.domain.errors import DomainError
from ticketkit.domain.policy import OnDecline, Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from ticketkit.domain.money import Money

T = TypeVar("T")

SELLERS: Final = ("ann", "bob")
BUYERS: Final = ("cat", "dan", "ann")
LIVE_EVENTS: Final = ("gig", "match", None)
MOST: Final = 3
POLICIES: Final = tuple(Policy(tickets_per_order=MOST, tickets_on_hold=MOST, on_decline=on) for on in OnDecline)
WAITS: Final = (timedelta(seconds=20), timedelta(minutes=14), timedelta(minutes=15), timedelta(seconds=60))


class Bazaar:
    """What may be tried, what the provider's books say, and what must hold."""

    def __init__(self) -> None:
        self.world = World()
        self.world.announce("gig")
        self.world.announce("match")
        self.books: dict[str, str] = {}
        self.captured: dict[str, Money] = {}
        self.given_back: Counter[str] = Counter()
        for i in range(8):
            self.list(i, i, i)

    # --- people ---

    def list(self, seller: int, event: int, price: int) -> None:
        id = f"t{len(self.world.every(Ticket))}"
        self._try(
            lambda: self.world.list(
                id, seller=_of(SELLERS, seller), event_id=_of(LIVE_EVENTS, event), price=usd(1 + price % 50)
            )
        )

    def edit(self, ticket: int, price: int) -> None:
        one = _of(self.world.every(Ticket), ticket)
        self._try(lambda: self.world.edit(one.id, seller=one.seller_id, price=usd(1 + price % 50)))

    def withdraw(self, ticket: int) -> None:
        one = _of(self.world.every(Ticket), ticket)
        self._try(lambda: self.world.withdraw(one.id, seller=one.seller_id))

    def place(self, buyer: int, tickets: Sequence[int], policy: int) -> None:
        id, every = f"o{len(self.world.every(Order))}", self.world.every(Ticket)
        ids = {_of(every, number).id for number in tickets}
        self._try(lambda: self.world.place(id, *sorted(ids), buyer=_of(BUYERS, buyer), policy=_of(POLICIES, policy)))

    def keep(self, order: int, tickets: Sequence[int]) -> None:
        if one := self._pick(Order, order):
            ids = {_of(one.ticket_ids, number) for number in tickets}
            self._try(lambda: self.world.keep(one.id, *ids, buyer=one.buyer_id))

    def cancel(self, order: int) -> None:
        if one := self._pick(Order, order):
            self._try(lambda: self.world.cancel(one.id, buyer=one.buyer_id))

    def begin(self, order: int) -> None:
        if one := self._pick(Order, order):
            id = f"c{len(self.world.every(Charge))}"
            self._try(lambda: self.world.begin(id, one.id, buyer=one.buyer_id))

    def take_over(self, buyer: int, order: int, *, late: bool) -> None:
        """Order a ticket of another order, at the end of its lock or just before it."""
        if one := self._pick(Order, order):
            end = one.expires_at if late else one.expires_at - timedelta(microseconds=1)
            self.world.now = max(self.world.now, end)
            id = f"o{len(self.world.every(Order))}"
            self._try(lambda: self.world.place(id, one.ticket_ids[0], buyer=_of(BUYERS, buyer), policy=POLICIES[0]))

    def refund(self, charge: int, minor: int) -> None:
        """Of money that was taken; other charges are refused."""
        charges = [one for one in self.world.every(Charge) if one.id in self.captured] or self.world.every(Charge)
        if charges:
            one, id = _of(charges, charge), f"r{len(self.world.every(Refund))}"
            self._try(lambda: self.world.refund(id, one.id, usd(1 + minor % 30)))

    # --- machines ---

    def wait(self, long: int) -> None:
        self.world.now += _of(WAITS, long)

    def expire(self, order: int) -> None:
        if one := self._pick(Order, order):
            self._try(lambda: self.world.expire(one.id))

    def deliver(self, event: int) -> None:
        """Any event that was ever told, again or for the first time."""
        self._try(lambda: self.world.hear(_of(self.world.events, event)))

    def deliver_newest(self, back: int) -> None:
        self.deliver(-1 - back % 6)

    def give_up(self, charge: int) -> None:
        if one := self._pick(Charge, charge):
            self._try(lambda: self.world.charged(payments.give_up, one.id, code="timeout"))

    def provider(self, charge: int, mood: int, *, lost: bool = False) -> None:
        """Call the provider as the state of a charge asks for; its answer may be lost."""
        one = self._pick(Charge, charge)
        if one is None:
            return
        call = self._call(one)
        if call is not None:
            answer = self._answered(one, call, mood)
            if not lost:
                self._commit(one, answer)

    def late_answer(self, charge: int) -> None:
        """A worker wakes up and commits what it was told when it called `authorize`."""
        one = self._pick(Charge, charge)
        if one and one.reference and self.books.get(one.id) in ("authorized", "captured", "void"):
            self._try(lambda: self.world.charged(payments.authorized, one.id))

    def refund_answered(self, refund: int, mood: int) -> None:
        one = self._pick(Refund, refund)
        if one is None:
            return
        if mood % 3 == 0:
            self._try(lambda: self.world.refund_ended(refunds.failed, one.id, code="no"))
        else:
            self._try(lambda: self.world.refund_ended(refunds.refunded, one.id, reference=f"ref-{one.id}"))

    def settle(self) -> None:
        """Time passes, every event is delivered, and the reconciler looks after everything until nothing changes."""
        self.world.wait(hours=1)
        before = -1
        while before != len(self.world.events):
            before = len(self.world.events)
            for event in tuple(self.world.events):
                self._try(lambda event=event: self.world.hear(event))  # type: ignore[misc]
            for i, _ in enumerate(self.world.every(Order)):
                self.expire(i)
            for i, _ in enumerate(self.world.every(Charge)):
                self.give_up(i)
                self.provider(i, 1)

    def _call(self, charge: Charge) -> str | None:
        copy = self.world.copy(charge.order_id)
        if charge.owes_void:
            return "void"
        if charge.status.final:
            return None
        if charge.reference is None:
            return "prepare"
        if payments.may_capture(charge, copy):
            return "capture"
        return "authorize" if charge.status.value == "created" else None

    def _answered(self, charge: Charge, call: str, mood: int) -> str:
        was = self.books.get(charge.id, "none")
        match call, was:
            case "prepare", "none":
                self.books[charge.id] = "prepared"
            case "authorize", "prepared":
                self.books[charge.id] = "declined" if mood % 4 == 0 else "authorized"
            case "capture", "authorized":
                self.books[charge.id] = "captured"
                self.captured[charge.id] = charge.amount
            case ("void", _) if was != "captured":
                self.books[charge.id] = "void"
        return "prepared" if call == "prepare" else self.books[charge.id]

    def _commit(self, charge: Charge, answer: str) -> None:
        match answer:
            case "prepared":
                self._try(lambda: self.world.charged(payments.prepared, charge.id, reference=f"ref-{charge.id}"))
            case "authorized":
                self._try(lambda: self.world.charged(payments.authorized, charge.id))
            case "declined":
                self._try(lambda: self.world.charged(payments.declined, charge.id, code="card_declined"))
            case "captured":
                self.world.charged(payments.captured, charge.id)  # never refused: money moved for a reason
            case "void":
                self._try(lambda: self.world.charged(payments.voided, charge.id))

    def _pick(self, cls: type[T], number: int) -> T | None:
        every = [entity for entity in self.world.entities.values() if isinstance(entity, cls)]
        return _of(every, number) if every else None

    def _try(self, act: Callable[[], object]) -> None:
        before = dict(self.world.entities)
        with suppress(DomainError):
            act()
        check_step(before, self.world.entities, self.world.now)


def check_step(before: Mapping[Key, Entity], after: Mapping[Key, Entity], at: datetime) -> None:
    """What no single commit may do."""
    for key, was in before.items():
        now = after[key]
        if now is was:
            continue
        match was, now:
            case Order(), Order():
                _check_order(was, now, at)
            case Ticket(), Ticket():
                _check_ticket(was, now, after)
            case Charge(), Charge():
                assert not was.status.final or now.status is was.status, "a final charge changed"
                assert now.amount == was.amount
            case Refund(), Refund():
                assert was.status is RefundStatus.CREATED, "a final refund changed"
            case OrderCopy(), OrderCopy():
                assert now.order_version >= was.order_version, "a copy went back"


def _check_order(was: Order, now: Order, at: datetime) -> None:
    assert not was.status.final, "a final order changed"
    assert now.expires_at >= was.expires_at, "a lock was shortened"
    late = at >= was.expires_at
    if was.status is OrderStatus.CREATED and now.status is OrderStatus.AWAITING_PAYMENT:
        assert not late, "pinned past its time"
    if now.reason in (CancelReason.TAKEN_OVER, CancelReason.EXPIRED):
        assert late, "a lock was broken before its time"


def _check_ticket(was: Ticket, now: Ticket, after: Mapping[Key, Entity]) -> None:
    assert was.status in (TicketStatus.AVAILABLE, TicketStatus.LOCKED), "a sold or withdrawn ticket changed"
    if (was.title, was.price) != (now.title, now.price):
        assert was.status is now.status is TicketStatus.AVAILABLE, "a ticket was edited that is not available"
    if was.order_id is not None and now.order_id != was.order_id:
        order = after[Order.key(was.order_id)]
        assert isinstance(order, Order)
        given_back = order.status is OrderStatus.CANCELLED or was.id not in order.ticket_ids
        assert given_back, "a ticket was unlocked under an open order"


def check_all(bazaar: Bazaar) -> None:
    """What holds after every commit."""
    world = bazaar.world
    claimed: dict[str, str] = {}
    on_hold: Counter[str] = Counter()
    for order in world.every(Order):
        assert order.total.minor == sum(line.amount.minor for line in order.lines)
        assert 1 <= len(order.ticket_ids) <= MOST
        if order.status is OrderStatus.CANCELLED:
            continue
        status = TicketStatus.SOLD if order.status is OrderStatus.COMPLETED else TicketStatus.LOCKED
        for id in order.ticket_ids:
            assert claimed.setdefault(id, order.id) == order.id, "a ticket is in two orders"
            ticket = world.ticket(id)
            assert (ticket.status, ticket.order_id) == (status, order.id), "an order lost its ticket"
            if status is TicketStatus.LOCKED:
                on_hold[holds_id(order.buyer_id, ticket.event_id)] += 1
    for ticket in world.every(Ticket):
        assert (ticket.order_id is not None) == (ticket.id in claimed), "a ticket is locked or sold for nobody"
        assert ticket.status in (TicketStatus.LOCKED, TicketStatus.SOLD) or ticket.order_id is None
    counts = {holds.id: holds.count for holds in world.every(Holds) if holds.count}
    assert counts == dict(on_hold), "the counts of tickets on hold are off"
    assert all(count <= MOST for count in counts.values()), "a limit was passed"
    _check_money(bazaar)


def _check_money(bazaar: Bazaar) -> None:
    world = bazaar.world
    still_open = Counter(charge.order_id for charge in world.every(Charge) if not charge.status.final)
    assert all(count == 1 for count in still_open.values()), "two charges of one order are open"
    for copy in world.every(OrderCopy):
        assert (copy.open_charge_id is not None) == (copy.id in still_open), "payments lost its open charge"
    for charge in world.every(Charge):
        books = bazaar.books.get(charge.id)
        if books == "captured":
            order = world.order(charge.order_id)
            assert order.charge_id == charge.id, "money was taken for an order that another charge pins"
            assert order.status in (OrderStatus.AWAITING_PAYMENT, OrderStatus.COMPLETED)
            assert order.total == charge.amount == bazaar.captured[charge.id]
        if charge.status.final:
            assert books != "authorized" or charge.owes_void, "held money is forgotten"
        assert charge.due_at is not None or (charge.status.final and not charge.owes_void), "nobody looks after it"
        refunds = [refund for refund in world.every(Refund) if refund.charge_id == charge.id]
        given = sum(refund.amount.minor for refund in refunds if refund.status is not RefundStatus.FAILED)
        assert given == charge.refunded <= charge.amount.minor, "refunds are above the charge"
        assert books == "captured" or not refunds
    done = [order for order in world.every(Order) if order.status is OrderStatus.COMPLETED]
    assert all(bazaar.books.get(order.charge_id or "") == "captured" for order in done), "completed without money"


def check_settled(bazaar: Bazaar) -> None:
    """What holds in the end."""
    world = bazaar.world
    assert all(order.status.final for order in world.every(Order))
    assert all(charge.status.final and not charge.owes_void for charge in world.every(Charge))
    assert "authorized" not in bazaar.books.values(), "money is still held"
    taken = sum(money.minor for money in bazaar.captured.values())
    sold = sum(order.total.minor for order in world.every(Order) if order.status is OrderStatus.COMPLETED)
    assert taken == sold, "captured and completed disagree"


def _of(things: Sequence[T], number: int) -> T:
    return things[number % len(things)]
