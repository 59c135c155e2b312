"""Rules that plugins add to the placing of orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketkit.domain.decision import State
    from ticketkit.domain.entities import Ticket


@runtime_checkable
class Rule(Protocol):
    """Says whether a buyer may order these tickets, in two parts: what takes time comes before, the verdict inside.

    A decision is pure and may be run again, so a rule asks the world (`gather`) before it, once, and judges
    (`judge`) inside of it, on the newest state.
    """

    async def gather(self, buyer_id: str, ticket_ids: Sequence[str]) -> Any:
        """Fetch what the verdict needs from outside: a membership, a waiting list.

        Called once for each order that is asked for, before the decision and outside of any transaction.

        Args:
            buyer_id: Who orders.
            ticket_ids: In the order that they were asked for; they may not exist.

        Returns:
            The facts, passed to `judge` as they are. They may be out of date by then.

        Raises:
            DomainError: The order is refused at once.
        """
        ...

    def judge(self, state: State, tickets: Sequence[Ticket], facts: Any) -> None:
        """Give the verdict; return for yes. Pure and synchronous: no I/O, no clock but `state.now`, no randomness.

        Called inside the decision, possibly several times for one order, after ticketkit's own rules found nothing
        against it.

        Args:
            state: What the decision holds: the tickets, their live events, and what the buyer has on hold.
            tickets: As they are now, in the order that they were asked for.
            facts: What `gather` returned.

        Raises:
            DomainError: The order is refused, and nothing is written. Its `code` is the plugin's to choose.
        """
        ...
