"""Publishes the present state of aggregates again, so that copies can be rebuilt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ticketkit.domain.entities import (
    Charge,
    ChargeStatus,
    Entity,
    Kind,
    LiveEvent,
    LiveEventStatus,
    Order,
    OrderStatus,
    Refund,
    Ticket,
    TicketStatus,
    User,
)
from ticketkit.events.envelope import Envelope
from ticketkit.events.telling import source_of, tell
from ticketkit.services.catalogue import Boundary

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from ticketkit.backends.bus import Bus
    from ticketkit.backends.storage import Storage

KINDS: Final[dict[Boundary, tuple[Kind, ...]]] = {
    Boundary.ACCOUNTS: ("user",),
    Boundary.INVENTORY: ("live_event", "ticket", "order"),
    Boundary.PAYMENTS: ("charge", "refund"),
}
_TICKET: Final = {
    TicketStatus.AVAILABLE: "ticket.updated",
    TicketStatus.LOCKED: "ticket.locked",
    TicketStatus.SOLD: "ticket.sold",
    TicketStatus.WITHDRAWN: "ticket.withdrawn",
}


async def republish(
    storage: Storage,
    boundary: Boundary,
    bus: Bus,
    *,
    new_id: Callable[[], str],
    tell_count: Callable[[int], None] = lambda _: None,
) -> int:
    """Publish the present state of every aggregate of a boundary.

    Consumers that have it ignore it: its version is not newer than theirs.

    Returns:
        How many there were.
    """
    count = 0
    for kind in KINDS[boundary]:
        cursor: str | None = None
        while True:
            page = await storage.scan(kind, cursor=cursor)
            now = await storage.now()
            await bus.publish([_envelope(state_name(entity), entity, now, new_id()) for entity in page.items])
            count += len(page.items)
            tell_count(count)
            cursor = page.next
            if cursor is None:
                break
    return count


async def republish_revocations(
    storage: Storage, bus: Bus, *, young: timedelta, new_id: Callable[[], str], most: int = 10_000
) -> int:
    """Publish revocations again whose tokens may still be alive, for processes that started since.

    Args:
        storage: Of the accounts boundary.
        bus: To publish on.
        young: Lifetime of a token.
        new_id: For the ids of the events.
        most: At most so many, the newest.
    """
    now = await storage.now()
    alive = [
        session
        for session in await storage.revoked_sessions(most)
        if session.revoked_at is not None and session.revoked_at > now - young
    ]
    if alive:
        await bus.publish([_envelope("session.revoked", session, now, new_id()) for session in alive])
    return len(alive)


def state_name(entity: Entity) -> str:
    """The event name that tells of an entity's present state."""
    match entity:
        case Ticket():
            return _TICKET[entity.status]
        case Order():
            return f"order.{OrderStatus(entity.status).value}"
        case Charge():
            return f"charge.{ChargeStatus(entity.status).value}"
        case Refund():
            return f"refund.{entity.status.value}"
        case LiveEvent():
            return "live_event.cancelled" if entity.status is LiveEventStatus.CANCELLED else "live_event.updated"
        case User():
            return "user.signed_up"
    msg = f"A {entity.KIND} is not public."
    raise ValueError(msg)


def _envelope(name: str, entity: Entity, now: datetime, id: str) -> Envelope:
    contract = tell(name, entity)
    return Envelope(
        id=id,
        type=contract.type(),
        source=source_of(entity),
        subject=entity.id,
        time=now,
        aggregateversion=entity.version,
        correlationid=id,
        data=contract.to_body(),
    )
