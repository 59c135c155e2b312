"""Rules that plugins add to the placing of orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from ticketkit.domain.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketkit.domain.decision import State
    from ticketkit.domain.entities import Ticket


class FactsOutOfDate(Conflict):
    """Something changed meanwhile; try again.

    A rule raises it in `judge` when its facts are too old for a verdict: they are gathered anew, and the order is
    decided anew, four times at most. Then, and within a transaction of the app, the caller gets it.
    """

    default_code: ClassVar[str] = "try_again"


@runtime_checkable
class Rule(Protocol):
    """Says whether a buyer may order these tickets, in two parts: what takes time comes before, the verdict inside.

    A decision is pure and may be run again, so a rule asks the world (`gather`) before it, once, and judges
    (`judge`) inside of it, on the newest state.
    """

    async def gather(self, buyer_id: str, ticket_ids: Sequence[str]) -> Any:
        """Fetch what the verdict needs from outside: a membership, a waiting list.

        Called for each order that is asked for, before the decision and outside of any transaction; again after
        `FactsOutOfDate`.

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
            FactsOutOfDate: Gather again. What tells is the version of something that the decision holds: that of
                `Holds` changes with each order of the buyer for the live event that is placed, changed or over.
            DomainError: The order is refused, and nothing is written. Its `code` is the plugin's to choose.
        """
        ...
