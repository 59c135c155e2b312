"""A budget of calls a second: who finishes a payment goes before who begins one.

Stripe limits the calls of an account a second, and those of each endpoint (docs.stripe.com/rate-limits); what is over
the limit is answered with 429. Waiting here is better: it is known how long it takes, and what matters goes first.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel

from ticketkit.backends.errors import Unavailable

if TYPE_CHECKING:
    from datetime import datetime

    from ticketkit.backends.clock import Clock

PATIENCE: Final = 30.0
"""Seconds that a call waits for its turn; what would take longer is `Unavailable` at once."""
BURST: Final = 0.25
"""Seconds' worth of calls that may go at once after a pause: limits are of a second, and clocks are not Stripe's."""
RECOVERY: Final = 30.0
"""Seconds in which a pace that was lowered to nothing is back at the whole."""
SLOWEST: Final = 0.1
"""A pace is never less than this part of its rate."""
FORBEARANCE: Final = 1.0
"""Seconds for which one lowering stands for all: calls that were under way together are refused together."""

_EXACT: Final = 1e-6
"""Of a call: levels are floats, and times whole microseconds."""


class Bucket:
    """So many calls a second; fewer for a while after a refusal.

    Args:
        rate: Calls a second.
        now: The time.
    """

    def __init__(self, rate: float, now: datetime) -> None:
        self._rate = rate
        self._most = max(1.0, rate * BURST)
        self._level, self._at = self._most, now
        self._part, self._lowered = 1.0, now

    def wait(self, now: datetime, calls: float = 1) -> float:
        """Seconds until so many more calls may have been made."""
        self._fill(now)
        return max(0.0, (calls - self._level - _EXACT) / (self._rate * self._part))

    def take(self, calls: int = 1) -> None:
        """Make a call; negative ones are given back."""
        self._level = min(self._most, self._level - calls)

    def lower(self, now: datetime) -> None:
        """Go at half the pace, and from there slowly back to the whole."""
        self._fill(now)
        if self._part < 1 and (now - self._lowered).total_seconds() < FORBEARANCE:
            return
        self._part, self._lowered = max(SLOWEST, self._part / 2), now
        self._level = min(self._level, 0.0)

    def _fill(self, now: datetime) -> None:
        passed = max(0.0, (now - self._at).total_seconds())
        before, self._at = self._part, now
        self._part = min(1.0, before + passed / RECOVERY)
        self._level = min(self._most, self._level + passed * self._rate * (before + self._part) / 2)


@dataclass(order=True, slots=True)
class _Waiter:
    rank: int
    number: int
    endpoint: str = field(compare=False)
    until: datetime = field(compare=False)
    told: anyio.Event = field(compare=False, default_factory=anyio.Event)
    granted: bool | None = field(compare=False, default=None)

    def settle(self, *, granted: bool) -> None:
        self.granted = granted
        self.told.set()

    async def wait(self) -> None:
        await self.told.wait()
        self.told = anyio.Event()


class Budget:
    """Gives turns. One of those who wait leads: it sleeps until the next turn, and gives it to whoever is first.

    Args:
        clock: For waiting.
        rate: Calls a second, of all endpoints.
        endpoint_rate: Calls a second of one.
    """

    def __init__(self, clock: Clock, *, rate: float, endpoint_rate: float) -> None:
        self._clock, self._endpoint_rate = clock, endpoint_rate
        self._all = Bucket(rate, clock.now())
        self._endpoints: dict[str, Bucket] = {}
        self._queue: list[_Waiter] = []
        self._numbers = itertools.count()
        self._longest = 1 / rate
        self._leader: _Waiter | None = None

    async def turn(self, endpoint: str, *, urgent: bool) -> None:
        """Wait for a turn.

        Args:
            endpoint: What is to be called: each has a limit of its own.
            urgent: It finishes a payment, or tells where one is: it goes before calls that begin one.

        Raises:
            Unavailable: It would take longer than `PATIENCE`, or did; nothing was sent.
        """
        now = self._clock.now()
        if (seconds := self._estimate(now, endpoint, urgent=urgent)) > PATIENCE:
            raise _crowded(seconds)
        until = now + timedelta(seconds=PATIENCE)
        waiter = _Waiter(0 if urgent else 1, next(self._numbers), endpoint, until)
        heapq.heappush(self._queue, waiter)
        self._grant()
        try:
            await anyio.lowlevel.checkpoint()
            while waiter.granted is None:
                await (self._lead(waiter) if self._leader is None else waiter.wait())
        except BaseException:
            self._leave(waiter)
            raise
        if not waiter.granted:
            raise _crowded(self._wait(self._clock.now(), endpoint))

    def wait_for(self, calls: int) -> float:
        """Seconds until so many more calls would have had their turn, one after the other, after all that wait."""
        now = self._clock.now()
        waiting = Counter(waiter.endpoint for waiter in self._queue)
        endpoints = (bucket.wait(now, waiting[name] + 1) for name, bucket in self._endpoints.items())
        return max(self._all.wait(now, len(self._queue) + calls), *endpoints, 0.0)

    def lower(self, endpoint: str | None = None) -> None:
        """Stripe refused a call for its rate: go slower, with one endpoint or with all."""
        now = self._clock.now()
        (self._all if endpoint is None else self._bucket(endpoint)).lower(now)

    async def _lead(self, waiter: _Waiter) -> None:
        self._leader = waiter
        try:
            while waiter.granted is None:
                now = self._clock.now()
                soonest = min(self._wait(now, other.endpoint) for other in self._queue)
                # One who comes meanwhile may have an endpoint that is free sooner.
                await self._clock.sleep(min(soonest, self._longest))
                self._grant()
                self._end()
        finally:
            self._leader = None
            self._nudge()

    def _nudge(self) -> None:
        """Somebody has to lead, as long as somebody waits."""
        if self._leader is None and self._queue:
            self._queue[0].told.set()

    def _grant(self) -> None:
        """Give all turns that can be given now: to the first in line whose endpoint is free."""
        now = self._clock.now()
        kept = []
        while self._queue and self._all.wait(now) <= 0:
            waiter = heapq.heappop(self._queue)
            if self._bucket(waiter.endpoint).wait(now) <= 0:
                self._take(waiter.endpoint)
                waiter.settle(granted=True)
            else:
                kept.append(waiter)
        for waiter in kept:
            heapq.heappush(self._queue, waiter)

    def _end(self) -> None:
        """Tell those who have waited for too long: others may always have gone before them."""
        now = self._clock.now()
        for waiter in [waiter for waiter in self._queue if waiter.until <= now]:
            self._queue.remove(waiter)
            waiter.settle(granted=False)
        heapq.heapify(self._queue)

    def _leave(self, waiter: _Waiter) -> None:
        """It was cancelled: its place, its turn and its lead go to the others."""
        if waiter.granted:
            self._take(waiter.endpoint, -1)
        elif waiter.granted is None:
            self._queue.remove(waiter)
            heapq.heapify(self._queue)
        self._nudge()

    def _estimate(self, now: datetime, endpoint: str, *, urgent: bool) -> float:
        before = [waiter for waiter in self._queue if not (urgent and waiter.rank)]
        same = sum(waiter.endpoint == endpoint for waiter in before)
        return max(self._all.wait(now, len(before) + 1), self._bucket(endpoint).wait(now, same + 1))

    def _wait(self, now: datetime, endpoint: str) -> float:
        return max(self._all.wait(now), self._bucket(endpoint).wait(now))

    def _take(self, endpoint: str, calls: int = 1) -> None:
        self._all.take(calls)
        self._bucket(endpoint).take(calls)

    def _bucket(self, endpoint: str) -> Bucket:
        if endpoint not in self._endpoints:
            self._endpoints[endpoint] = Bucket(self._endpoint_rate, self._clock.now())
        return self._endpoints[endpoint]


def _crowded(seconds: float) -> Unavailable:
    return Unavailable(
        f"The budget of calls to Stripe is spent for {seconds:.0f} s; this one was not made.", retry_after=seconds
    )
