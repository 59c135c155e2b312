"""Timers that are wrong about when one fires."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tests.planted.planting import PlantedTimers

from ticketkit.backends.clock import Clock, SystemClock
from ticketkit.memory import MemoryTimers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketkit.backends.timers import Due


class _Ahead(SystemClock):
    def now(self) -> datetime:
        return super().now() + timedelta(seconds=1)


class EarlyByASecond(PlantedTimers):
    class Timers(MemoryTimers):
        def __init__(self, clock: Clock) -> None:
            super().__init__(_Ahead())


class WholeSeconds(PlantedTimers):
    class Timers(MemoryTimers):
        async def schedule(self, key: str, due: datetime) -> None:
            await super().schedule(key, (due + timedelta(microseconds=999_999)).replace(microsecond=0))


class ByKey(PlantedTimers):
    class Timers(MemoryTimers):
        async def claim(self, limit: int, lease: timedelta) -> Sequence[Due]:
            found = list(await super().claim(10_000, lease))
            found.sort(key=lambda timer: timer.key)
            for timer in found[limit:]:
                self._timers[timer.key].free_at = None
            return found[:limit]


class FirstScheduleStays(PlantedTimers):
    class Timers(MemoryTimers):
        async def schedule(self, key: str, due: datetime) -> None:
            if key not in self._timers:
                await super().schedule(key, due)


class WaitsItsTime(PlantedTimers):
    class Timers(MemoryTimers):
        async def wait(self, seconds: float) -> None:
            await self._clock.sleep(seconds)


class NeverWoken(PlantedTimers):
    class Timers(MemoryTimers):
        async def wait(self, seconds: float) -> None:
            first = min((timer.claimable_at for timer in self._timers.values()), default=None)
            if first is not None:
                seconds = min(seconds, (first - self._clock.now()).total_seconds())
            await self._clock.sleep(max(seconds, 0))


class WaitSpins(PlantedTimers):
    class Timers(MemoryTimers):
        async def wait(self, seconds: float) -> None:
            first = min((timer.due for timer in self._timers.values()), default=None)
            if first is None or first > self._clock.now():
                await super().wait(seconds)
            await self._clock.sleep(0)
