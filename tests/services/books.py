"""What the payment provider's own books and the marketplace's must agree on, once all is quiet."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from ticketkit.backends.payments import ProviderStatus
from ticketkit.domain.entities import (
    CancelReason,
    Charge,
    ChargeStatus,
    Entity,
    Holds,
    Order,
    OrderCopy,
    OrderStatus,
    Refund,
    RefundStatus,
    Ticket,
    TicketStatus,
)
from ticketkit.domain.policy import OnRefund

if TYPE_CHECKING:
    from ticketkit.backends.storage import Storage
    from ticketkit.memory import Books

E = TypeVar("E", bound=Entity)

OVER = {ProviderStatus.CAPTURED, ProviderStatus.VOID, ProviderStatus.DECLINED}


async def every(storage: Storage, cls: type[E]) -> dict[str, E]:
    """All entities of a class, by id."""
    found: dict[str, E] = {}
    cursor: str | None = None
    while True:
        page = await storage.scan(cls.KIND, cursor=cursor)
        found.update((item.id, item) for item in page.items if isinstance(item, cls))
        cursor = page.next
        if cursor is None:
            return found


async def check_money(inventory: Storage, payments: Storage, books: Books) -> None:
    """Captured is what completed orders cost, given back is what refunds say, and nothing is held any more."""
    orders, charges = await every(inventory, Order), await every(payments, Charge)
    refunds = await every(payments, Refund)
    # An object that was prepared only is of a charge that was given up before its reference was known: no money moves.
    open_ones = [b for b in books.charges if b.status not in OVER and b.status is not ProviderStatus.PREPARED]
    assert open_ones == [], "the provider still holds money, or waits"
    captured = [booked for booked in books.charges if booked.status is ProviderStatus.CAPTURED]
    for booked in captured:
        charge = charges[booked.charge_id]
        given = sum(
            refunds[id].amount.minor for id in charge.refund_ids if refunds[id].status is RefundStatus.COMPLETED
        )
        assert booked.refunded == charge.refunded == charge.given_back == given
    # What failed with its money taken at once was given back in whole.
    captured = [
        b for b in captured if charges[b.charge_id].status is not ChargeStatus.FAILED or b.captured > b.refunded
    ]
    paid_by = Counter(charges[booked.charge_id].order_id for booked in captured)
    completed = {order.id for order in orders.values() if order.status is OrderStatus.COMPLETED}
    assert paid_by == Counter(completed), "each completed order was paid once, and nothing else was"
    for booked in captured:
        charge = charges[booked.charge_id]
        order = orders[charge.order_id]
        assert (charge.status, order.charge_id) == (ChargeStatus.COMPLETED, charge.id)
        assert booked.captured == charge.amount.minor
        whole = charge.given_back == charge.amount.minor
        if order.reason is CancelReason.EVENT_CANCELLED:  # what is void was given back, at least
            assert charge.amount.minor - charge.given_back <= (0 if order.released else order.total.minor)
            continue
        assert charge.amount.minor == order.total.minor
        assert order.released == (whole and order.policy.on_refund is OnRefund.RELEASE)
    completed_refunds = Counter({r.id: r.amount.minor for r in refunds.values() if r.status is RefundStatus.COMPLETED})
    assert Counter({r.refund_id: r.amount.minor for r in books.refunds}) == completed_refunds
    for charge in charges.values():
        assert charge.status.final, f"charge {charge.id} is still {charge.status}"
        assert not charge.owes_void


async def check_locks(inventory: Storage) -> None:
    """A ticket is locked or sold by exactly the order that has it; holds are what is open."""
    orders, tickets = await every(inventory, Order), await every(inventory, Ticket)
    sold = [id for o in orders.values() if o.status is OrderStatus.COMPLETED and not o.released for id in o.ticket_ids]
    assert len(sold) == len(set(sold)), "a ticket was sold twice"
    assert set(sold) == {ticket.id for ticket in tickets.values() if ticket.status is TicketStatus.SOLD}
    for ticket in tickets.values():
        if ticket.order_id is not None:
            order = orders[ticket.order_id]
            assert ticket.id in order.ticket_ids
            assert order.status is not OrderStatus.CANCELLED
            assert not order.released
    held = Counter({order.id: len(order.ticket_ids) for order in orders.values() if not order.status.final})
    holds: Counter[str] = Counter()
    for hold in (await every(inventory, Holds)).values():
        holds.update(dict(hold.orders))
    assert holds == held
    now = await inventory.now()
    for order in orders.values():
        assert order.status is not OrderStatus.CREATED or order.expires_at > now, "a lock is past its time"


async def check_copies(inventory: Storage, payments: Storage) -> None:
    """What payments knows of each order is what orders says."""
    orders, copies = await every(inventory, Order), await every(payments, OrderCopy)
    assert copies.keys() == orders.keys()
    for id, copy in copies.items():
        order = orders[id]
        void = order.released and order.reason is CancelReason.EVENT_CANCELLED
        assert (copy.order_version, copy.status, copy.reason, copy.total, copy.expires_at, copy.charge_id) == (
            order.version,
            order.status,
            order.reason,
            replace(order.total, minor=0) if void else order.total,
            order.expires_at,
            order.charge_id,
        )


async def check_outbox(*storages: Storage) -> None:
    """Every event is on its way, and none was given up."""
    for storage in storages:
        totals = await storage.totals()
        assert (totals.unpublished, totals.dead) == (0, 0)


async def check(inventory: Storage, payments: Storage, books: Books) -> None:
    """Everything."""
    await check_money(inventory, payments, books)
    await check_locks(inventory)
    await check_copies(inventory, payments)
    await check_outbox(inventory, payments)
