"""The house rule: two tickets a person for each show, whether they are paid or still on hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ticketkit.domain.entities import Holds, Ticket, TicketStatus, holds_id
from ticketkit.domain.errors import LimitReached
from ticketkit.plugins import FactsOutOfDate, Rule
from ticketkit.services.catalogue import Boundary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ticketkit import Marketplace
    from ticketkit.domain.decision import State

MOST: Final = 2


@dataclass(frozen=True)
class Facts:
    """What was true when it was asked for.

    Attributes:
        holds: Versions of what the buyer has on hold, by show.
        bought: Tickets that are the buyer's, by show.
    """

    buyer_id: str
    holds: Mapping[str, int]
    bought: Mapping[str, int]


class TwoEach:
    """Nobody has more than two tickets for a show, in however many orders and at whatever moment.

    What is paid is asked for before the decision. What is on hold is part of it, and its version changes with each
    order that is placed or over: if it is the one of before, nothing was paid meanwhile, and the facts are true.
    """

    market: Marketplace

    def ticketkit_rules(self) -> list[Rule]:
        """Have ticketkit ask it for each order."""
        return [self]

    async def gather(self, buyer_id: str, ticket_ids: Sequence[str]) -> Facts:
        """Count what the buyer has bought for these shows."""
        storage = self.market.runtime.storage(Boundary.INVENTORY)
        tickets = await storage.get(Ticket.key(id) for id in ticket_ids)
        shows = {ticket.event_id for ticket in tickets.values() if isinstance(ticket, Ticket) and ticket.event_id}
        # First what is on hold, then what is bought: what is paid between the two has changed the version of the first.
        holds = await storage.get(Holds.key(holds_id(buyer_id, show)) for show in shows)
        return Facts(
            buyer_id,
            {show: _version(holds.get(Holds.key(holds_id(buyer_id, show)))) for show in shows},
            await self._bought(buyer_id),
        )

    def judge(self, state: State, tickets: Sequence[Ticket], facts: Facts) -> None:
        """Refuse what would be a third ticket."""
        for show, wanted in Counter(ticket.event_id for ticket in tickets).items():
            if show is None:
                continue
            holds = state.get(Holds, holds_id(facts.buyer_id, show))
            if facts.holds.get(show) != _version(holds):
                raise FactsOutOfDate
            had = facts.bought.get(show, 0) + (holds.count if holds is not None else 0)
            if had + wanted > MOST:
                msg = f"There are {MOST} tickets a person for each show."
                raise LimitReached(msg, code="two_each", most=MOST, had=had, show=show)

    async def _bought(self, buyer_id: str) -> Counter[str]:
        bought: Counter[str] = Counter()
        cursor = None
        while True:
            orders, cursor = await self.market.orders.mine(buyer_id, limit=200, cursor=cursor)
            for order, ticket in ((placed.order, ticket) for placed in orders for ticket in placed.tickets):
                # A ticket that was given back, for its money, belongs to another order by now, or to none.
                if ticket.event_id and ticket.status is TicketStatus.SOLD and ticket.order_id == order.id:
                    bought[ticket.event_id] += 1
            if cursor is None:
                return bought


def _version(holds: object) -> int:
    return holds.version if isinstance(holds, Holds) else 0
