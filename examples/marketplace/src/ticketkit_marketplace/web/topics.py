"""What pages show, and which events say that it has changed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from ticketkit.events.catalogue import (
    ChargeFailed,
    ChargeRequiresAction,
    ChargeState,
    LiveEventCancelled,
    LiveEventState,
    LiveEventUpdated,
    OrderAwaitingPayment,
    OrderCancelled,
    OrderCompleted,
    OrderExtended,
    OrderState,
    OrderUpdated,
    TicketLocked,
    TicketReleased,
    TicketSold,
    TicketState,
    TicketUnlocked,
    TicketUpdated,
    TicketWithdrawn,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ticketkit.events.contract import Contract

PATH: Final = "/live"
"""Where pages are told."""
HEARD: Final[tuple[type[Contract], ...]] = (
    LiveEventUpdated,
    LiveEventCancelled,
    TicketUpdated,
    TicketLocked,
    TicketUnlocked,
    TicketSold,
    TicketReleased,
    TicketWithdrawn,
    OrderUpdated,
    OrderExtended,
    OrderAwaitingPayment,
    OrderCompleted,
    OrderCancelled,
    ChargeRequiresAction,
    ChargeFailed,
)
"""What a page may show differently afterwards. That a ticket was listed can wait: imports are large."""


class Kind(StrEnum):
    """What a page may show."""

    EVENT = "event"
    """A live event itself."""
    TICKETS = "tickets"
    """The tickets of a live event."""
    TICKET = "ticket"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Topic:
    """Something that a page shows; `id` is that of the live event for `Kind.TICKETS`."""

    kind: Kind
    id: str


@dataclass(frozen=True, slots=True)
class Change:
    """That something has changed.

    Attributes:
        what: `event`, `ticket`, `order` or `charge`.
        id: Its id.
        version: Its new version.
    """

    what: str
    id: str
    version: int


def topics_of(data: Contract) -> list[Topic]:
    """What shows something else after an event."""
    match data:
        case LiveEventState():
            return [Topic(Kind.EVENT, data.id)]
        case TicketState(event_id=str(event_id)):
            return [Topic(Kind.TICKET, data.id), Topic(Kind.TICKETS, event_id)]
        case TicketState():
            return [Topic(Kind.TICKET, data.id)]
        case OrderState():
            return [Topic(Kind.ORDER, data.id)]
        case ChargeState():
            return [Topic(Kind.ORDER, data.order_id)]
    return []


def address_of(topics: Iterable[Topic]) -> str:
    """Where a page is told of what it shows."""
    return f"{PATH}?{urlencode([(topic.kind.value, topic.id) for topic in topics])}"
