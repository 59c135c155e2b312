"""What the tests of timers set, and how they wait for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ticketkit.backends.timers import Due, Timers

LEASE: Final = timedelta(seconds=30)
"""Of claims whose end no test waits for."""
SHORT: Final = timedelta(seconds=0.6)
"""Of claims that a test lets run out."""
WITHIN: Final = 10.0
"""Seconds in which a timer that is due has to be claimable."""


def now() -> datetime:
    """The time, UTC. Backends with a clock of their own are tested on the same machine."""
    return datetime.now(UTC)


def ago(seconds: float) -> datetime:
    """A time in the past."""
    return now() - timedelta(seconds=seconds)


def ahead(seconds: float) -> datetime:
    """A time in the future."""
    return now() + timedelta(seconds=seconds)


async def claimed(
    timers: Timers, number: int = 1, *, limit: int = 100, lease: timedelta = LEASE, within: float = WITHIN
) -> list[Due]:
    """Claim exactly so many, as the expiration service does: claim, and wait for the next.

    Raises:
        AssertionError: Fewer could be claimed in so many seconds, or more.
    """
    found: list[Due] = []
    with anyio.move_on_after(within):
        while len(found) < number:
            some = await timers.claim(limit, lease)
            assert len(some) <= limit, f"claim({limit}) returned {len(some)} timers"
            found += some
            if not some:
                await timers.wait(0.5)
    assert len(found) == number, f"{len(found)} of {number} timers could be claimed within {within} s"
    return found


async def nothing(timers: Timers, why: str, *, seconds: float = 0) -> None:
    """Nothing can be claimed, now or for a while.

    Raises:
        AssertionError: Something was; with `why` it should not.
    """
    end = anyio.current_time() + seconds
    while True:
        found = await timers.claim(100, LEASE)
        assert not found, f"{[timer.key for timer in found]} could be claimed: {why}"
        if anyio.current_time() >= end:
            return
        await anyio.sleep(0.05)


async def schedule_all(timers: Timers, given: Iterable[tuple[str, datetime]], *, at_once: int = 32) -> None:
    """Set many timers, some at a time."""
    rest = iter(given)

    async def some() -> None:
        for key, due in rest:
            await timers.schedule(key, due)

    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(some)


async def finish(timers: Timers, done: Collection[Due], *, at_once: int = 32) -> None:
    """Remove many claimed timers, some at a time."""
    rest = iter(done)

    async def some() -> None:
        for timer in rest:
            await timers.done(timer)

    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(some)
