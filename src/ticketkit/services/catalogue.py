"""The five services at a glance: where each keeps its state, what it says and what it hears.

Documentation (event catalogue, flow diagram, AsyncAPI) is generated from this table, and the runtime starts from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Boundary(StrEnum):
    """Who owns what; each boundary may have its own storage."""

    INVENTORY = "inventory"
    ACCOUNTS = "accounts"
    PAYMENTS = "payments"


class ServiceName(StrEnum):
    """The services."""

    AUTH = "auth"
    TICKETS = "tickets"
    ORDERS = "orders"
    EXPIRATION = "expiration"
    PAYMENTS = "payments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service.

    Attributes:
        boundary: Where it keeps its state; None for expiration, which only has timers.
        says: Names of the events that it publishes.
        hears: Names of the events that its group consumes.
        broadcast: Names of the events that every process of it hears.
    """

    name: ServiceName
    boundary: Boundary | None
    says: tuple[str, ...]
    hears: tuple[str, ...] = ()
    broadcast: tuple[str, ...] = ("session.revoked",)


SALE_EVENTS: Final = ("ticket.locked", "ticket.unlocked", "ticket.sold", "ticket.released", "ticket.admitted")
ORDER_EVENTS: Final = (
    "order.created",
    "order.updated",
    "order.extended",
    "order.awaiting_payment",
    "order.completed",
    "order.cancelled",
)
CHARGE_EVENTS: Final = (
    "charge.created",
    "charge.requires_action",
    "charge.authorized",
    "charge.completed",
    "charge.failed",
    "charge.refunded",
)
REFUND_EVENTS: Final = ("refund.created", "refund.completed", "refund.failed")

SERVICES: Final[dict[ServiceName, Service]] = {
    service.name: service
    for service in (
        Service(
            name=ServiceName.AUTH,
            boundary=Boundary.ACCOUNTS,
            says=("user.signed_up", "user.updated", "session.revoked"),
        ),
        Service(
            name=ServiceName.TICKETS,
            boundary=Boundary.INVENTORY,
            says=(
                "live_event.created",
                "live_event.updated",
                "live_event.cancelled",
                "ticket.created",
                "ticket.updated",
                "ticket.withdrawn",
            ),
        ),
        Service(
            name=ServiceName.ORDERS,
            boundary=Boundary.INVENTORY,
            says=(
                *ORDER_EVENTS,
                "ticket.locked",
                "ticket.unlocked",
                "ticket.sold",
                "ticket.released",
                "ticket.admitted",
                "ticket.withdrawn",
            ),
            hears=(*CHARGE_EVENTS, "order.expiration_due", "live_event.cancelled"),
        ),
        Service(
            name=ServiceName.EXPIRATION, boundary=None, says=("order.expiration_due",), hears=ORDER_EVENTS, broadcast=()
        ),
        Service(
            name=ServiceName.PAYMENTS,
            boundary=Boundary.PAYMENTS,
            says=(*CHARGE_EVENTS, *REFUND_EVENTS),
            hears=ORDER_EVENTS,
        ),
    )
}
"""The services by name."""
