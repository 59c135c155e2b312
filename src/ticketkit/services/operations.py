"""operations: what the people who run a marketplace do to its inventory, beside what buyers and sellers do.

It runs in every process of the inventory boundary, on its storage alone. Pausing and resuming sales is in `Tickets`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import anyio

from ticketkit.domain import live_events, orders
from ticketkit.domain.decision import Keys
from ticketkit.domain.entities import CancelReason, LiveEvent, LiveEventStatus, Order
from ticketkit.domain.errors import Conflict, NotFound
from ticketkit.services.cancellations import Cancellation, Cancelling, Step
from ticketkit.services.story import Teller

if TYPE_CHECKING:
    from datetime import datetime

    from ticketkit.backends.bus import Bus
    from ticketkit.backends.storage import Page, Storage
    from ticketkit.events.catalogue import LiveEventState
    from ticketkit.events.envelope import Event
    from ticketkit.services.commands import Commands
    from ticketkit.services.story import Story

MOST: Final = 1_000
"""Most locks of one page."""
LIVE_EVENTS: Final = 500
"""Cancelled live events of one page."""
SURE: Final = timedelta(hours=1)
"""How long a live event that was found to be over is not looked at again: only an older release could change it."""


class Operations:
    """Shows and releases locks; cancels live events, with everybody's money given back; tells the stories of orders.

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
        self._cancelling = Cancelling(storage, commands)
        self._over: dict[str, datetime] = {}
        self._nudged = anyio.Event()
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

    async def cancellation(self, event_id: str) -> Cancellation:
        """What `cancel` would do now; writes nothing.

        Raises:
            NotFound: There is no such live event.
        """
        return await self._cancelling.survey(await self._live_event(event_id))

    async def cancel(
        self, event_id: str, *, actor: str | None, on_step: Step = lambda _done, _of: None
    ) -> Cancellation:
        """Cancel a live event and refund everybody: see `ticketkit.services.cancellations` for what that takes.

        It may be called again, at any time: what is done is not done twice, and what a crash left is done. The orders
        service does that by itself, too, also for a live event that `Tickets.call_off` cancelled.

        Args:
            event_id: Which one, whether it is cancelled already or not.
            actor: Who does it; None for the system.
            on_step: Told how many orders and tickets are done, and of how many so far.

        Returns:
            What was done. The refunds are begun when payments hears of it, and carried out by its driver.

        Raises:
            NotFound: There is no such live event.
            Unavailable, OutcomeUnknown: The storage can't be reached; what was done stays done.
        """
        event = await self._live_event(event_id)
        if event.status is not LiveEventStatus.CANCELLED:
            event = await self._call_off(event, actor)
        return await self._cancelling.undo(event, actor=actor, on_step=on_step)

    async def finish(self) -> int:
        """Finish what was begun, by whomever, of every live event that is cancelled; how much there was to do."""
        done = 0
        cursor = None
        while True:
            page = await self._storage.find_live_events(
                status=LiveEventStatus.CANCELLED.value, limit=LIVE_EVENTS, cursor=cursor
            )
            for event in page.items:
                done += await self._finish(event)
            if (cursor := page.next) is None:
                return done

    async def handle_live_event(self, event: Event[LiveEventState]) -> None:
        """React to `live_event.cancelled`: finish it at once. It is a signal; `finish` looks for itself."""
        self._over.pop(event.data.id, None)
        self._nudged.set()

    async def nudged(self) -> None:
        """Wait until there may be something to finish."""
        await self._nudged.wait()
        self._nudged = anyio.Event()

    async def _finish(self, event: LiveEvent) -> int:
        now = await self._storage.now()
        if event.id in self._over and now - self._over[event.id] < SURE:
            return 0
        if await self._cancelling.over(event):
            self._over[event.id] = now
            return 0
        found = await self._cancelling.undo(event, actor=None)
        return found.for_sale + found.open_orders + found.to_refund

    async def _call_off(self, event: LiveEvent, actor: str | None) -> LiveEvent:
        command = self._commands.ask("operations.cancel", actor=actor)
        try:
            answer = await self._storage.decide(
                Keys.of(LiveEvent.key(event.id)),
                lambda state: live_events.call_off(state, event.id, owner_id=None),
                command,
            )
        except Conflict:  # somebody else did it meanwhile
            return await self._live_event(event.id)
        return answer.one(LiveEvent)

    async def _live_event(self, event_id: str) -> LiveEvent:
        found = (await self._storage.get([LiveEvent.key(event_id)])).get(LiveEvent.key(event_id))
        if not isinstance(found, LiveEvent):
            msg = f"There is no live event {event_id}."
            raise NotFound(msg, code="live_event_not_found", live_event_id=event_id)
        return found
