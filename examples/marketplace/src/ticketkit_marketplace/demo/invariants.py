"""What must be true of a marketplace that stands still, by its database and by the payment provider's own books."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast

from ticketkit.backends.payments import ProviderStatus
from ticketkit.backends.storage import Totals
from ticketkit.domain.entities import (
    CancelReason,
    Charge,
    ChargeStatus,
    Entity,
    Holds,
    Order,
    OrderCopy,
    OrderStatus,
    Ticket,
    TicketStatus,
    holds_id,
)
from ticketkit.domain.policy import OnRefund
from ticketkit.services.catalogue import Boundary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from ticketkit.backends.payments import ProviderCharge
    from ticketkit.backends.storage import Storage
    from ticketkit.memory.books import Books

E = TypeVar("E", bound=Entity)
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant.

    Attributes:
        name: A sentence that should be true.
        checked: How many things it was checked on.
        wrong: The ones that break it; empty when it holds.
    """

    name: str
    checked: int
    wrong: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether it is true."""
        return not self.wrong

    @property
    def detail(self) -> str:
        """For people: how many were checked, or the first that are wrong."""
        if self.holds:
            return f"{self.checked:,} checked"
        more = len(self.wrong) - SHOWN
        return "; ".join(self.wrong[:SHOWN]) + (f"; and {more} more" if more > 0 else "")


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """All there is, read once the servers have stopped.

    Attributes:
        acknowledged: Ids of orders that a buyer was told of.
        paid: Ids of orders that a buyer was told are paid.
        letters: Dead letters of the bus.
    """

    now: datetime
    tickets: dict[str, Ticket]
    orders: dict[str, Order]
    copies: dict[str, OrderCopy]
    charges: dict[str, Charge]
    holds: dict[str, Holds]
    totals: Totals
    books: Books
    acknowledged: frozenset[str] = frozenset()
    paid: frozenset[str] = frozenset()
    letters: int = 0
    sales: dict[str, list[str]] = field(init=False)

    def __post_init__(self) -> None:
        """Find which completed orders have each ticket; those whose money was given back may have none any more."""
        self.sales = defaultdict(list)
        for order in self.orders.values():
            if order.status is OrderStatus.COMPLETED and not order.released:
                for id in order.ticket_ids:
                    self.sales[id].append(order.id)


async def snapshot(
    storages: Mapping[Boundary, Storage],
    books: Books,
    *,
    letters: int = 0,
    acknowledged: Iterable[str] = (),
    paid: Iterable[str] = (),
) -> Snapshot:
    """Read everything through the storage protocol.

    Args:
        storages: Of every boundary.
        books: Of the payment provider.
        letters: Dead letters of the bus.
        acknowledged: Ids of orders that a buyer was told of.
        paid: Ids of orders that a buyer was told are paid.
    """
    inventory, payments = storages[Boundary.INVENTORY], storages[Boundary.PAYMENTS]
    return Snapshot(
        now=await inventory.now(),
        tickets=await every(inventory, Ticket),
        orders=await every(inventory, Order),
        copies=await every(payments, OrderCopy),
        charges=await every(payments, Charge),
        holds=await every(inventory, Holds),
        totals=together([await storage.totals() for storage in set(storages.values())]),
        books=books,
        acknowledged=frozenset(acknowledged),
        paid=frozenset(paid),
        letters=letters,
    )


def together(found: Iterable[Totals]) -> Totals:
    """The totals of several storages as one."""
    read = list(found)
    by_status = Counter[tuple[str, str]]()
    for totals in read:
        by_status.update(totals.by_status)
    return Totals(
        by_status=by_status,
        unpublished=sum(totals.unpublished for totals in read),
        dead=sum(totals.dead for totals in read),
        oldest=min((totals.oldest for totals in read if totals.oldest is not None), default=None),
        overdue_locks=sum(totals.overdue_locks for totals in read),
    )


async def every(storage: Storage, cls: type[E]) -> dict[str, E]:
    """All entities of a class, by id."""
    found: dict[str, E] = {}
    cursor = None
    while True:
        page = await storage.scan(cls.KIND, limit=1_000, cursor=cursor)
        found |= {entity.id: cast("E", entity) for entity in page.items}
        if (cursor := page.next) is None:
            return found


def check(found: Snapshot) -> list[Finding]:
    """All invariants."""
    return [
        _no_ticket_sold_twice(found),
        _sold_means_completed(found),
        _captured_means_completed(found),
        _released_means_given_back(found),
        _books_agree(found),
        _no_open_lock_past_its_time(found),
        _no_money_held(found),
        _outbox_empty(found),
        _copies_equal(found),
        _holds_equal(found),
        _nothing_told_was_lost(found),
    ]


def _no_ticket_sold_twice(found: Snapshot) -> Finding:
    wrong = [f"ticket {id} in orders {', '.join(orders)}" for id, orders in found.sales.items() if len(orders) > 1]
    return Finding("No ticket is sold twice", len(found.tickets), tuple(wrong))


def _sold_means_completed(found: Snapshot) -> Finding:
    wrong = []
    for ticket in found.tickets.values():
        order = found.orders.get(ticket.order_id or "")
        if ticket.status is TicketStatus.SOLD:
            if found.sales.get(ticket.id) != [ticket.order_id]:
                wrong.append(f"ticket {ticket.id} is sold, and no completed order has it")
        elif ticket.id in found.sales:
            wrong.append(f"ticket {ticket.id} is {ticket.status}, and a completed order has it")
        elif ticket.status is TicketStatus.LOCKED and (order is None or order.status.final):
            wrong.append(f"ticket {ticket.id} is locked for an order that is over")
        elif ticket.status is TicketStatus.AVAILABLE and ticket.order_id is not None:
            wrong.append(f"ticket {ticket.id} is available, and names an order")
    return Finding("A ticket is sold exactly when one completed order has it", len(found.tickets), tuple(wrong))


def _captured_means_completed(found: Snapshot) -> Finding:
    """Money given back later counts as well; only what a failed charge took and gave back in whole paid for nothing."""
    wrong: list[str] = []
    captured = Counter[str]()
    for booked in found.books.charges:
        if booked.status is not ProviderStatus.CAPTURED:
            continue
        charge = found.charges.get(booked.charge_id)
        if charge is not None and charge.status is ChargeStatus.FAILED and booked.refunded == booked.captured:
            continue
        if charge is not None:
            captured[charge.order_id] += 1
        wrong += _paid_wrongly(found, booked, charge)
    completed = [order.id for order in found.orders.values() if order.status is OrderStatus.COMPLETED]
    wrong += [
        f"order {id} is completed, and was captured {captured[id]} times" for id in completed if captured[id] != 1
    ]
    wrong += [f"order {id} was captured {times} times" for id, times in captured.items() if times > 1]
    return Finding(
        "Every captured charge has one completed order of that amount, and vice versa", len(completed), tuple(wrong)
    )


def _paid_wrongly(found: Snapshot, booked: ProviderCharge, charge: Charge | None) -> Iterator[str]:
    order = found.orders.get(charge.order_id) if charge is not None else None
    if charge is None or charge.status is not ChargeStatus.COMPLETED:
        yield f"{booked.reference} is captured, and its charge is not completed"
    elif order is None or order.status is not OrderStatus.COMPLETED or order.charge_id != charge.id:
        yield f"{booked.reference} is captured, and its order is not completed by it"
    elif not booked.captured == booked.amount.minor == charge.amount.minor == order.total.minor + _void(order, charge):
        yield f"{booked.reference} took {booked.captured}, and the order is {order.total}"
    elif booked.refunded < _void(order, charge):
        yield f"{booked.reference} keeps what order {order.id} paid for a live event that was cancelled"


def _void(order: Order, charge: Charge) -> int:
    """Minor units of what an order has no more, since a live event was cancelled."""
    return charge.amount.minor - order.total.minor if order.reason is CancelReason.EVENT_CANCELLED else 0


def _released_means_given_back(found: Snapshot) -> Finding:
    wrong = []
    given_back = {one.charge_id: one.refunded >= one.captured > 0 for one in found.books.charges}
    for order in found.orders.values():
        if order.status is not OrderStatus.COMPLETED:
            if order.released:
                wrong.append(f"order {order.id} is {order.status}, and has given its tickets back")
            continue
        whole, releases = given_back.get(order.charge_id or "", False), order.policy.on_refund is OnRefund.RELEASE
        if order.released and not (whole and (releases or order.reason is CancelReason.EVENT_CANCELLED)):
            wrong.append(f"order {order.id} has given its tickets back, and its money was not given back in whole")
        elif whole and releases and not order.released:
            wrong.append(f"order {order.id} was given back in whole, and still has its tickets")
    name = "An order has given its tickets back exactly when all its money was given back (and its policy says so)"
    return Finding(name, len(found.orders), tuple(wrong))


def _books_agree(found: Snapshot) -> Finding:
    """Charge by charge: what the provider took and gave back is what payments says."""
    booked = {one.charge_id: one for one in found.books.charges}
    wrong = [f"{one.reference} is of no charge" for id, one in booked.items() if id not in found.charges]
    for charge in found.charges.values():
        theirs = booked.get(charge.id)
        taken = charge.amount.minor if charge.status is ChargeStatus.COMPLETED or charge.taken else 0
        if theirs is None:
            if charge.reference is not None or taken:
                wrong.append(f"charge {charge.id} is {charge.status}, and the provider has none")
        elif (theirs.captured, theirs.refunded) != (taken, charge.given_back):
            wrong.append(
                f"charge {charge.id} took {taken} and gave {charge.given_back} back, "
                f"by the provider {theirs.captured} and {theirs.refunded}"
            )
    return Finding("The provider's books and ours agree, charge by charge", len(found.charges), tuple(wrong))


def _no_open_lock_past_its_time(found: Snapshot) -> Finding:
    open_orders = [order for order in found.orders.values() if not order.status.final]
    wrong = [f"order {order.id} was due {order.expires_at}" for order in open_orders if order.expires_at <= found.now]
    return Finding("No open lock is past its time", len(found.orders), tuple(wrong))


def _no_money_held(found: Snapshot) -> Finding:
    wrong = [
        f"{booked.reference} is {booked.status} for order {_order_of(found, booked.charge_id)}"
        for booked in found.books.charges
        if booked.status in (ProviderStatus.AUTHORIZED, ProviderStatus.PENDING)
    ]
    wrong += [f"charge {charge.id} owes a void" for charge in found.charges.values() if charge.owes_void]
    wrong += [f"charge {charge.id} is {charge.status}" for charge in found.charges.values() if not charge.status.final]
    return Finding("No money is held for nothing", len(found.books.charges), tuple(wrong))


def _order_of(found: Snapshot, charge_id: str) -> str:
    charge = found.charges.get(charge_id)
    return "?" if charge is None else charge.order_id


def _outbox_empty(found: Snapshot) -> Finding:
    wrong = []
    if found.totals.unpublished:
        wrong.append(f"{found.totals.unpublished} events wait, the oldest since {found.totals.oldest}")
    if found.totals.dead or found.letters:
        wrong.append(f"{found.totals.dead + found.letters} dead letters")
    return Finding("The outbox is empty, and there are no dead letters", 1, tuple(wrong))


def _copies_equal(found: Snapshot) -> Finding:
    wrong = stale(found.orders, found.copies)
    return Finding("Every copy equals its owner", len(found.orders), tuple(wrong))


def stale(orders: Mapping[str, Order], copies: Mapping[str, OrderCopy]) -> list[str]:
    """Copies of orders that are not (yet) what their owner is."""
    wrong = []
    for id in orders.keys() | copies.keys():
        order, copy = orders.get(id), copies.get(id)
        if order is None or copy is None:
            wrong.append(f"order {id} has no copy" if order else f"copy {id} has no order")
        elif _told(order) != (
            copy.buyer_id,
            copy.status,
            copy.reason,
            copy.total,
            copy.expires_at,
            copy.charge_id,
            copy.order_version,
        ):
            wrong.append(f"the copy of order {id} is {copy.status} at {copy.order_version}, the order {order.status}")
    return wrong


def _told(order: Order) -> tuple[object, ...]:
    return order.buyer_id, order.status, order.reason, order.total, order.expires_at, order.charge_id, order.version


def _holds_equal(found: Snapshot) -> Finding:
    expected: dict[str, Counter[str]] = defaultdict(Counter)
    for order in found.orders.values():
        if not order.status.final:
            for line in order.lines:
                if line.ticket_id is not None:
                    expected[holds_id(order.buyer_id, line.event_id)][order.id] += 1
    wrong = []
    for id in expected.keys() | found.holds.keys():
        noted = dict(found.holds[id].orders) if id in found.holds else {}
        if noted != dict(expected.get(id, {})):
            wrong.append(f"{id} notes {sum(noted.values())} tickets on hold, and {sum(expected[id].values())} are")
    return Finding("Tickets on hold are counted right for every buyer", len(found.holds), tuple(wrong))


def _nothing_told_was_lost(found: Snapshot) -> Finding:
    wrong = [f"order {id} was acknowledged, and is gone" for id in found.acknowledged - found.orders.keys()]
    for id in found.paid:
        order = found.orders.get(id)
        if order is None or order.status is not OrderStatus.COMPLETED:
            wrong.append(f"order {id} was acknowledged as paid, and is not completed")
    return Finding("Whatever a buyer was told is so", len(found.acknowledged | found.paid), tuple(wrong))
