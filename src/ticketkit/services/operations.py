"""operations: what the people who run a marketplace do to its inventory, beside what buyers and sellers do.

It runs in every process of the inventory boundary, on its storage alone. Pausing and resuming sales is in `Tickets`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ticketkit.domain import orders
from ticketkit.domain.decision import Keys
from ticketkit.domain.entities import CancelReason, Order
from ticketkit.services.story import Teller

if TYPE_CHECKING:
    from ticketkit.backends.bus import Bus
    from ticketkit.backends.storage import Page, Storage
    from ticketkit.services.commands import Commands
    from ticketkit.services.story import Story

MOST: Final = 1_000
"""Most locks of one page."""


class Operations:
    """Shows and releases locks, and tells the stories of orders.

    Args:
        storage: Of the inventory boundary.
        commands: Makes commands.
        payments: Storage of the payments boundary, for stories; None where it is not at hand.
        bus: For the dead letters of consumers in stories; None where it is not at hand.
    """

    def __init__(
        self, storage: Storage, commands: Commands, *, payments: Storage | None = None, bus: Bus | None = None
    ) -> None:
        self._storage, self._commands = storage, commands
        self._teller = Teller(storage, payments=payments, bus=bus)

    async def locks(self, *, limit: int = 50, cursor: str | None = None) -> Page[Order]:
        """A page of the orders that hold tickets: `created` or `awaiting_payment`, soonest end first.

        What is `awaiting_payment` stays locked beyond `expires_at`, until its payment is decided.

        Args:
            limit: 1 to 1,000.
            cursor: `Page.next` of the page before.

        Raises:
            ValueError: The limit is out of bounds.
            BadCursor: This list did not give the cursor out.
        """
        if not 1 <= limit <= MOST:
            msg = f"A page has 1 to {MOST:,} locks."
            raise ValueError(msg)
        return await self._storage.open_orders(limit=limit, cursor=cursor)

    async def story(self, order_id: str) -> Story:
        """All that is on record of an order, in order of time, with who caused each step.

        Raises:
            NotFound: There is no such order.
        """
        return await self._teller.tell(order_id)

    async def release(self, order_id: str, *, actor: str | None) -> Order:
        """End the lock of an order now, as if its time were over; its tickets are free in the same commit.

        The order is `cancelled` as `expired`, and its `extra` says who released it: `{"ticketkit": {"releasedBy": …}}`.
        A charge that was begun for it takes no money. Releasing a cancelled order changes nothing.

        Args:
            order_id: Whose lock.
            actor: Who does it; None for the system.

        Raises:
            NotFound: There is no such order.
            OrderClosed: It is being paid, so that its payment decides; or paid.
        """
        command = self._commands.ask("operations.release", actor=actor)
        extra = {"ticketkit": {"releasedBy": actor}}
        answer = await self._storage.decide(
            Keys.of(Order.key(order_id)),
            lambda state: orders.call_off(state, order_id, reason=CancelReason.EXPIRED, extra=extra),
            command,
        )
        return answer.one(Order)
