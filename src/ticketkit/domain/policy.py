"""Policies: the numbers and switches that an order carries as they were when it was placed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class OnDecline(StrEnum):
    """What a declined payment does to its order."""

    CANCEL = "cancel"
    KEEP = "keep"


class OnRefund(StrEnum):
    """What a full refund does to the tickets of its order."""

    RELEASE = "release"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules of one order, resolved once, when it is placed.

    Attributes:
        hold: How long a ticket is locked for its buyer.
        payment_grace: Added once to the lock when a charge was begun in time.
        payment_window: The same for a charge that needs an action of the buyer (3-D Secure).
        extension: Added to the lock when its buyer asks for more time (WCAG 2.2, success criterion 2.2.1).
        extensions: How often a buyer may ask.
        longest_hold: From placing the order to the end of its lock, whatever the buyer asks for.
        tickets_per_order: Most tickets in one order.
        tickets_on_hold: Most tickets that a buyer has in open orders for one live event.
        own_tickets: Whether sellers may order what they list themselves.
        on_decline: What a declined payment does.
        on_refund: What a full refund does: the tickets are for sale again, or stay sold.
    """

    hold: timedelta = timedelta(minutes=15)
    payment_grace: timedelta = timedelta(seconds=60)
    payment_window: timedelta = timedelta(minutes=5)
    extension: timedelta = timedelta(minutes=5)
    extensions: int = 1
    longest_hold: timedelta = timedelta(minutes=30)
    tickets_per_order: int = 10
    tickets_on_hold: int = 10
    own_tickets: bool = False
    on_decline: OnDecline = OnDecline.CANCEL
    on_refund: OnRefund = OnRefund.RELEASE
