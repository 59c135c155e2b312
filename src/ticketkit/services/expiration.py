"""expiration: keeps a timer for each open order, and says when it is due. Orders decides."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ticketkit.domain.entities import OrderStatus
from ticketkit.events.catalogue import OrderExpirationDue, OrderState
from ticketkit.events.envelope import Envelope

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ticketkit.backends.bus import Bus
    from ticketkit.backends.clock import Clock
    from ticketkit.backends.timers import Timers
    from ticketkit.events.envelope import Event

CONSUMER: Final = "expiration"
BATCH: Final = 500
LEASE: Final = timedelta(seconds=30)
_AT: Final = "@"


class Expiration:
    """Schedules timers by `order.*` events and publishes `order.expiration_due`.

    Args:
        timers: Keeps the due times.
        bus: To publish on.
        clock: For the time of its events.
        new_id: For the ids of its events.
    """

    def __init__(self, timers: Timers, bus: Bus, *, clock: Clock, new_id: Callable[[], str]) -> None:
        self._timers, self._bus = timers, bus
        self._clock, self._new_id = clock, new_id

    async def handle_order(self, event: Event[OrderState]) -> None:
        """React to `order.*`: a timer for each end that its lock was given, and none for the last once it is over.

        Each end has a timer of its own, so that events in another order, or twice, set none back. One too many is
        harmless: what it says is void for an order that is over, or whose lock was prolonged.
        """
        key = f"{event.data.id}{_AT}{event.data.expires_at.isoformat()}"
        if event.data.status is OrderStatus.CREATED:
            await self._timers.schedule(key, event.data.expires_at)
        else:
            await self._timers.cancel(key)

    async def fire(self) -> int:
        """Publish what is due; a timer is removed after its event is on the bus, so none is lost."""
        due = await self._timers.claim(BATCH, LEASE)
        if not due:
            return 0
        await self._bus.publish([self._event(timer.key.partition(_AT)[0], timer.due) for timer in due])
        for timer in due:
            await self._timers.done(timer)
        return len(due)

    async def wait(self, seconds: float) -> None:
        """Return when a timer may be due, or after the time."""
        await self._timers.wait(seconds)

    def _event(self, order_id: str, due: datetime) -> Envelope:
        data = OrderExpirationDue(id=order_id, version=0, expires_at=due)
        return Envelope(
            id=self._new_id(),
            type=OrderExpirationDue.type(),
            source="/ticketkit/expiration",
            subject=order_id,
            time=self._clock.now(),
            aggregateversion=0,
            correlationid=order_id,
            data=data.to_body(),
        )
