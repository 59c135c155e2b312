"""Timers that are wrong about who has one, and for how long."""

from __future__ import annotations

import heapq
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
from tests.planted.planting import PlantedSqlTimers, PlantedTimers

from ticketkit.backends.spec import Context
from ticketkit.backends.timers import Due
from ticketkit.memory import MemoryTimers
from ticketkit_sql.timers import SqlTimers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from anyio.abc import TaskGroup

    from ticketkit.backends.clock import Clock


class LeaseWithoutToken(PlantedTimers):
    class Timers(MemoryTimers):
        async def done(self, timer: Due) -> None:
            await self.cancel(timer.key)


class TokenOfTheTimer(PlantedTimers):
    class Timers(MemoryTimers):
        def __init__(self, clock: Clock) -> None:
            super().__init__(clock, lambda: "token")


class LostOnClaim(PlantedTimers):
    class Timers(MemoryTimers):
        async def claim(self, limit: int, lease: timedelta) -> Sequence[Due]:
            found = await super().claim(limit, lease)
            for timer in found:
                del self._timers[timer.key]
            return found


class LeaseIgnored(PlantedTimers):
    class Timers(MemoryTimers):
        async def claim(self, limit: int, lease: timedelta) -> Sequence[Due]:
            return await super().claim(limit, timedelta())


class RescheduleKeepsTheLease(PlantedTimers):
    class Timers(MemoryTimers):
        async def schedule(self, key: str, due: datetime) -> None:
            known = self._timers.get(key)
            await super().schedule(key, due)
            if known is not None:
                self._timers[key].free_at = known.free_at


class RescheduleIgnored(PlantedTimers):
    class Timers(MemoryTimers):
        async def schedule(self, key: str, due: datetime) -> None:
            known = self._timers.get(key)
            if known is None or known.token is None:
                await super().schedule(key, due)


class CancelIgnored(PlantedTimers):
    class Timers(MemoryTimers):
        async def cancel(self, key: str) -> None:
            known = self._timers.get(key)
            if known is not None and known.token is None:
                await super().cancel(key)


class CancelLate(PlantedTimers):
    class Timers(MemoryTimers):
        tasks: TaskGroup

        async def cancel(self, key: str) -> None:
            self.tasks.start_soon(self._later, key)

        async def _later(self, key: str) -> None:
            await anyio.sleep(0.005)
            await super().cancel(key)

    @asynccontextmanager
    async def open(self, url: str, context: Context) -> AsyncIterator[Any]:
        async with super().open(url, context) as timers, anyio.create_task_group() as timers.tasks:
            yield timers


class TwoClaimersGetTheSame(PlantedTimers):
    class Timers(MemoryTimers):
        async def claim(self, limit: int, lease: timedelta) -> Sequence[Due]:
            now = self._clock.now()
            free = [timer for timer in self._timers.values() if timer.claimable_at <= now]
            await anyio.lowlevel.checkpoint()
            claimed = []
            for timer in heapq.nsmallest(limit, free, key=lambda timer: timer.due):
                timer.token, timer.free_at = self._new_id(), now + lease
                claimed.append(Due(timer.key, timer.due, timer.token))
            return claimed


class KeptBeforeDurable(PlantedSqlTimers):
    class Timers:
        tasks: TaskGroup

        def __init__(self, inner: SqlTimers) -> None:
            self.inner, self.capabilities = inner, inner.capabilities
            self.kept: dict[str, datetime] = {}

        async def schedule(self, key: str, due: datetime) -> None:
            self.kept[key] = due
            self.tasks.start_soon(self._later, key)

        async def _later(self, key: str) -> None:
            await anyio.sleep(0.1)
            await self._flush(key)

        async def _flush(self, *keys: str) -> None:
            for key in keys or tuple(self.kept):
                if (due := self.kept.pop(key, None)) is not None:
                    await self.inner.schedule(key, due)

        async def cancel(self, key: str) -> None:
            await self._flush(key)
            await self.inner.cancel(key)

        async def claim(self, limit: int, lease: timedelta) -> Sequence[Due]:
            return await self.inner.claim(limit, lease)

        async def done(self, timer: Due) -> None:
            await self._flush(timer.key)
            await self.inner.done(timer)

        async def wait(self, seconds: float) -> None:
            await self.inner.wait(min(seconds, 0.2))

    @asynccontextmanager
    async def open(self, url: str, context: Context) -> AsyncIterator[Any]:
        async with super().open(url, context) as timers, anyio.create_task_group() as timers.tasks:
            yield timers
