"""The relay to a bus inside the process: an event is published only when every group has handled it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from ticketkit.backends.errors import Unavailable
from ticketkit.runtime.jobs import repeat

if TYPE_CHECKING:
    from ticketkit.backends.bus import HandsOver
    from ticketkit.backends.clock import Clock
    from ticketkit.backends.storage import Claimed, Storage

BATCH: Final = 512
MOST: Final = 8 * BATCH
"""Events handed over and not settled yet, at most."""
LEASE: Final = timedelta(seconds=5)
"""After a crash, what was under way comes again when it is over. A living relay claims its own events anew."""
IDLE: Final = 5.0
CROWDED: Final = 0.05
"""Seconds to wait while there are too many that are not settled."""


class Handover:
    """Hands what decisions committed to a bus inside the process, and marks it when it is settled.

    A process that dies leaves unmarked whatever its consumers had not handled: the next one hands it over again. An
    event that a consumer buried goes to the dead letters of the outbox, which outlive the process.

    Args:
        storage: Whose outbox.
        bus: Inside this process.
        clock: To wait.
        name: For the log.
    """

    def __init__(self, storage: Storage, bus: HandsOver, *, clock: Clock, name: str) -> None:
        self._storage, self._bus, self._clock, self._name = storage, bus, clock, name
        self._open: dict[str, Claimed] = {}
        self._ended: dict[str, str | None] = {}
        self._bell = anyio.Event()

    async def run(self) -> None:
        """Hand over and mark until cancelled."""
        async with anyio.create_task_group() as group:
            for work, wait in ((self._hand_over, self._until_committed), (self._mark, self._until_settled)):
                group.start_soon(partial(repeat, f"relay of {self._name}", work, wait, clock=self._clock))

    async def once(self) -> int:
        """Mark what is settled and hand over one batch; returns how many events it moved."""
        return await self._mark() + await self._hand_over()

    async def _until_committed(self) -> None:
        if len(self._open) < MOST:
            await self._storage.wait_for_events(IDLE)
        else:
            await self._clock.sleep(CROWDED)

    async def _until_settled(self) -> None:
        await self._bell.wait()

    async def _hand_over(self) -> int:
        if len(self._open) >= MOST:
            return 0
        claims = await self._storage.claim_events(BATCH, LEASE)
        fresh = [claim.event for claim in claims if claim.event.id not in self._open]
        self._open.update((claim.event.id, claim) for claim in claims)
        try:
            await self._bus.hand_over(fresh, self._settled)
        except Unavailable:
            for event in fresh:  # those that were taken are settled void, and all come again after their lease
                self._open.pop(event.id)
                self._ended.pop(event.id, None)
            raise
        return len(claims)

    def _settled(self, event_id: str, error: str | None) -> None:
        if event_id in self._open:
            self._ended[event_id] = error
            self._bell.set()

    async def _mark(self) -> int:
        self._bell = anyio.Event()
        ended = dict(self._ended)
        good = [self._open[id] for id, error in ended.items() if error is None]
        if good:
            await self._storage.mark_published(good)
        for id, error in ended.items():
            if error is not None:
                await self._storage.mark_failed(self._open[id], error=error, retry_in=None)
        for id in ended:
            self._ended.pop(id, None)
            self._open.pop(id, None)
        return len(ended)
