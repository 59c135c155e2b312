"""Timers: due times in a sorted set, claimed with a lease by the server's clock.

Scores are microseconds since 1970, UTC, in a double: exact until the year 2255 (2 to the 53rd), and rounded up after
it, so that a timer is never early. The exact time is kept beside it.
"""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel

from ticketkit.backends.spec import Capability, Context
from ticketkit.backends.timers import Due
from ticketkit_redis.bell import Ear
from ticketkit_redis.server import Server, opened
from ticketkit_redis.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

LOOK: Final = 0.25
"""Seconds between two looks for what another process did."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO: Final = timedelta(microseconds=1)
_SECOND: Final = 1_000_000


class RedisTimers:
    """`Timers` on a Redis server.

    Args:
        server: Open.
        context: Clock (for waiting) and ids.
    """

    capabilities = frozenset({Capability.DURABLE, Capability.MULTI_PROCESS})

    def __init__(self, server: Server, context: Context) -> None:
        self._server = server
        self._keys = server.keys.timers
        self._clock, self._new_id = context.clock, context.new_id
        self._changed: set[Ear] = set()

    async def schedule(self, key: str, due: datetime) -> None:
        exact = (due - _EPOCH) // _MICRO
        await self._server.call("schedule", self._keys, key, _score(exact), exact)
        for ear in self._changed:
            ear.notify()

    async def cancel(self, key: str) -> None:
        await self._server.call("cancel", self._keys, key, "")

    async def claim(self, limit: int, lease: timedelta) -> Sequence[Due]:
        token = self._new_id()
        found = await self._server.call("due", self._keys, limit, lease // _MICRO, token)
        return [
            Due(key.decode(), _EPOCH + timedelta(microseconds=int(exact)), token)
            for key, exact in zip(found[::2], found[1::2], strict=True)
        ]

    async def done(self, timer: Due) -> None:
        await self._server.call("cancel", self._keys, timer.key, timer.token)

    async def wait(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        ear = Ear((), self._clock)
        self._changed.add(ear)
        try:
            while seconds > 0:
                ear.forget()
                pause = await self._server.call("pause", self._keys[:2])
                if pause == 0:
                    return
                pause = min(seconds, LOOK, pause / _SECOND if pause > 0 else LOOK)
                await ear.wait(pause)
                seconds -= pause
        finally:
            self._changed.discard(ear)


def _score(exact: int) -> str:
    score = float(exact)
    return f"{score if score >= exact else math.nextafter(score, math.inf):.0f}"


@asynccontextmanager
async def open_timers(url: str, context: Context) -> AsyncIterator[RedisTimers]:
    """Open timers by URL."""
    async with opened(Settings.of(url)) as server:
        yield RedisTimers(server, context)
