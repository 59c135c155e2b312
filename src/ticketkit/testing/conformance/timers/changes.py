"""Timers that are scheduled anew or cancelled, also while they fire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from ticketkit.backends.timers import Due
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.timers.alarms import LEASE, SHORT, ago, ahead, claimed, nothing, now, schedule_all

if TYPE_CHECKING:
    from datetime import datetime

    from ticketkit.backends.timers import Timers


class Changes(Conformance):
    """Scheduling replaces, cancelling removes, whoever has it just now."""

    @promise()
    async def test_scheduling_replaces_by_an_earlier_time(self, backend: Timers) -> None:
        """A timer that is scheduled anew for an earlier time fires then, once."""
        await backend.schedule("order", ahead(3600))
        due = ago(1)
        await backend.schedule("order", due)
        (timer,) = await claimed(backend)
        assert timer.due == due
        await backend.done(timer)
        await nothing(backend, "it was replaced")

    @promise()
    async def test_scheduling_replaces_by_a_later_time(self, backend: Timers) -> None:
        """A timer that is scheduled anew for a later time does not fire at the old one."""
        await backend.schedule("order", ago(1))
        due = ahead(0.7)
        await backend.schedule("order", due)
        await nothing(backend, "it was prolonged")
        (timer,) = await claimed(backend)
        assert now() >= timer.due == due
        await backend.done(timer)
        await nothing(backend, "it was replaced")

    @promise()
    async def test_a_claimed_timer_that_is_scheduled_anew_fires_again(self, backend: Timers) -> None:
        """A timer that is scheduled anew while it is claimed fires at its new time, however long the old lease."""
        await schedule_all(backend, [("earlier", ago(9)), ("later", ago(8))])
        await claimed(backend, 2)
        earlier, later = ago(20), ahead(0.7)
        await backend.schedule("earlier", earlier)
        await backend.schedule("later", later)
        (first,) = await claimed(backend, within=5)
        assert (first.key, first.due) == ("earlier", earlier)
        (second,) = await claimed(backend, within=5)
        assert (second.key, second.due) == ("later", later)
        assert now() >= later

    @promise()
    async def test_a_cancelled_timer_does_not_fire(self, backend: Timers) -> None:
        """A timer that is cancelled does not fire, be it due, to come, or claimed by somebody."""
        await schedule_all(backend, [("held", ago(9)), ("due", ago(1)), ("soon", ahead(0.4))])
        (held,) = await claimed(backend, limit=1, lease=SHORT)
        assert held.key == "held"
        for key in ("held", "due", "soon"):
            await backend.cancel(key)
        await nothing(backend, "it was cancelled", seconds=SHORT.total_seconds() + 0.2)
        await backend.done(held)

    @promise()
    async def test_a_cancelled_timer_can_be_scheduled_again(self, backend: Timers) -> None:
        """The key of a timer that is done or cancelled can be used again."""
        await backend.schedule("order", ago(2))
        await backend.cancel("order")
        await backend.schedule("order", ago(1))
        await backend.done((await claimed(backend))[0])
        await backend.schedule("order", ago(0))
        await backend.done((await claimed(backend))[0])
        await nothing(backend, "it is done")

    @promise()
    async def test_what_is_unknown_can_be_cancelled(self, backend: Timers) -> None:
        """Cancelling or finishing what is not there is fine and hurts no other timer."""
        await backend.schedule("order", ago(1))
        await backend.cancel("unknown")
        await backend.done(Due("unknown", ago(1), "no-token"))
        await backend.done(Due("order", ago(1), "no-token"))
        (timer,) = await claimed(backend)
        await backend.done(timer)
        await backend.done(timer)
        await backend.cancel("order")

    @promise()
    async def test_cancel_against_fire(self, backend: Timers, stress: int) -> None:
        """However a cancellation races with claims: what is claimed after it returned is not the cancelled timer."""
        keys = [f"order-{number}" for number in range(120 * stress)]
        await schedule_all(backend, [(key, ago(1)) for key in keys])
        cancelled: set[str] = set()
        fired: set[str] = set()

        async def cancel(mine: list[str]) -> None:
            for key in mine:
                await backend.cancel(key)
                cancelled.add(key)

        async def fire() -> None:
            while len(cancelled | fired) < len(keys):
                before = set(cancelled)
                found = {timer.key for timer in await backend.claim(3, LEASE)}
                assert not found & before, "a cancelled timer fired"
                fired.update(found)
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            for start in range(4):
                tasks.start_soon(cancel, keys[start::4])
            tasks.start_soon(fire)
            tasks.start_soon(fire)
        await nothing(backend, "all were cancelled")

    @promise()
    async def test_rescheduling_against_done(self, backend: Timers, stress: int) -> None:
        """However scheduling anew races with the end of the old claim, the new timer fires."""
        keys = [f"order-{number}" for number in range(60 * stress)]
        await schedule_all(backend, [(key, ago(9)) for key in keys])
        old = await claimed(backend, len(keys))
        due = ago(1)
        async with anyio.create_task_group() as tasks:
            for number, timer in enumerate(old):
                for call in (_done, _schedule) if number % 2 else (_schedule, _done):
                    tasks.start_soon(call, backend, timer, due)
        found = await claimed(backend, len(keys))
        assert {(timer.key, timer.due) for timer in found} == {(key, due) for key in keys}


async def _done(timers: Timers, timer: Due, _due: datetime) -> None:
    await timers.done(timer)


async def _schedule(timers: Timers, timer: Due, due: datetime) -> None:
    await timers.schedule(timer.key, due)
