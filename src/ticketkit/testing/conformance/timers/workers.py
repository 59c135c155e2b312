"""What the child processes of the timers' tests do; see `Worker`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio

from ticketkit.ids import new_id
from ticketkit.testing.conformance.timers.alarms import ago

if TYPE_CHECKING:
    from ticketkit.backends.timers import Timers

Say = Callable[[Any], None]


async def schedule_and_claim(timers: Timers, say: Say, number: int, claims: int, lease: float) -> None:
    """Schedule so many that are due, say their keys, claim some, say theirs; then stay."""
    keys = [new_id() for _ in range(number)]
    for key in keys:
        await timers.schedule(key, ago(1))
    say(keys)
    say([timer.key for timer in await timers.claim(claims, timedelta(seconds=lease))])
    await anyio.sleep_forever()


async def work(timers: Timers, say: Say, lease: float) -> None:
    """Schedule, claim and finish without end; say each key once it is kept, before it is removed, and after."""
    for number in itertools.count():
        key = new_id()
        await timers.schedule(key, ago(1))
        say(["scheduled", key])
        if number % 3 == 2:
            for timer in await timers.claim(2, timedelta(seconds=lease)):
                say(["ending", timer.key])
                await timers.done(timer)
                say(["done", timer.key])
