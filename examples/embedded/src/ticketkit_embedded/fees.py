"""What the theatre takes besides the price: a service fee of 5 %, and 50 cents, for each ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ticketkit import Money
from ticketkit.domain.entities import Line, LineKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketkit.domain.entities import Ticket

PERCENT: Final = 5
FIXED: Final = 50
"""Minor units."""


class ServiceFee:
    """A fee for each ticket; nothing for a free one."""

    def ticketkit_prices(self, tickets: Sequence[Ticket]) -> list[Line]:
        """The fees of an order: named with their ticket, so that they go when it goes."""
        return [
            Line(kind=LineKind.FEE, title="Service fee", amount=_fee(ticket.price), ticket_id=ticket.id)
            for ticket in tickets
            if ticket.price.minor
        ]


def _fee(price: Money) -> Money:
    return Money((price.minor * PERCENT + 50) // 100 + FIXED, price.currency)  # half a cent is rounded up
