"""A clock whose time moves only when it is told to."""

from __future__ import annotations

import itertools
from bisect import insort
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import anyio
import anyio.lowlevel

from ticketkit.memory._settling import settle

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)


class _Sleeper(NamedTuple):
    due: datetime
    number: int  # no two are equal, so that events are never compared
    alarm: anyio.Event


class VirtualClock:
    """Time for tests and simulations: 15 minutes pass in microseconds.

        await clock.advance(minutes=15)

    wakes whoever sleeps, one due time after the other, and lets all that follows from it happen (a timer, its event on
    the bus, the decision, the relay, the next event) before time moves on. That works for everything that waits
    for other tasks of the same event loop: the memory backends, and what runs on them. Work in other threads (hashing
    of passwords) and I/O are not waited for.

    Args:
        start: What time it is at first, timezone-aware.
    """

    def __init__(self, start: datetime = START) -> None:
        if start.tzinfo is None:
            msg = "A clock starts at a time with a zone."
            raise ValueError(msg)
        self._now = start.astimezone(UTC)
        self._sleepers: list[_Sleeper] = []
        self._numbers = itertools.count()
        self._moving = anyio.Lock()

    def now(self) -> datetime:
        """The virtual time, UTC."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until somebody has advanced the time so far; cancellable."""
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        try:
            due = self._now + max(timedelta(seconds=seconds), _TICK)
        except OverflowError:
            await anyio.sleep_forever()
            return
        sleeper = _Sleeper(due, next(self._numbers), anyio.Event())
        insort(self._sleepers, sleeper)
        try:
            await sleeper.alarm.wait()
        finally:
            if not sleeper.alarm.is_set():
                self._sleepers.remove(sleeper)

    async def advance(
        self,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        milliseconds: float = 0,
    ) -> None:
        """Move time forward; when it returns, all that was due by then has happened.

        Those who sleep until the same moment wake together, in the order in which they went to sleep.

        Raises:
            ValueError: Time does not go back.
        """
        step = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)
        if step < timedelta():
            msg = "Time does not go back."
            raise ValueError(msg)
        async with self._moving:
            await settle()
            target = self._now + step
            while self._sleepers and self._sleepers[0].due <= target:
                self._now = self._sleepers[0].due
                self._wake()
                await settle()
            self._now = target

    async def settle(self) -> None:
        """Let all that can happen at this time happen; time stands still."""
        async with self._moving:
            await settle()

    def _wake(self) -> None:
        while self._sleepers and self._sleepers[0].due <= self._now:
            self._sleepers.pop(0).alarm.set()
