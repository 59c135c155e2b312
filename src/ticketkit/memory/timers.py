"""Timers that live as long as their process."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio.lowlevel

from ticketkit.backends.timers import Due
from ticketkit.ids import new_id
from ticketkit.memory._bell import Bell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta

    from ticketkit.backends.clock import Clock
    from ticketkit.backends.spec import Capability


@dataclass(slots=True)
class _Timer:
    key: str
    due: datetime
    token: str | None = None
    free_at: datetime | None = None

    @property
    def claimable_at(self) -> datetime:
        return self.due if self.free_at is None else max(self.due, self.free_at)


class MemoryTimers:
    """The timers protocol on a dict.

    Args:
        clock: By which timers are due.
        new_id: For the tokens of leases.
    """

    capabilities: frozenset[Capability] = frozenset()

    def __init__(self, clock: Clock, new_id: Callable[[], str] = new_id) -> None:
        self._clock = clock
        self._new_id = new_id
        self._timers: dict[str, _Timer] = {}
        self._changed = Bell(clock)

    async def schedule(self, key: str, due: datetime) -> None:
        await anyio.lowlevel.checkpoint()
        self._timers[key] = _Timer(key, due)
        self._changed.ring()

    async def cancel(self, key: str) -> None:
        await anyio.lowlevel.checkpoint()
        self._timers.pop(key, None)

    async def claim(self, limit: int, lease: timedelta) -> Sequence[Due]:
        await anyio.lowlevel.checkpoint()
        now = self._clock.now()
        free = (timer for timer in self._timers.values() if timer.claimable_at <= now)
        claimed = []
        for timer in heapq.nsmallest(limit, free, key=lambda timer: (timer.due, timer.key)):
            timer.token, timer.free_at = self._new_id(), now + lease
            claimed.append(Due(timer.key, timer.due, timer.token))
        return claimed

    async def done(self, timer: Due) -> None:
        await anyio.lowlevel.checkpoint()
        known = self._timers.get(timer.key)
        if known is not None and known.token == timer.token:
            del self._timers[timer.key]

    async def wait(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        first = min((timer.claimable_at for timer in self._timers.values()), default=None)
        if first is not None:
            seconds = min(seconds, (first - self._clock.now()).total_seconds())
        await self._changed.wait(seconds)
