"""Claims: a lease, its end, and who may say that a timer is done."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import anyio

from ticketkit.backends.spec import BackendKind, Capability
from ticketkit.testing.conformance.conformance import Conformance, Opener
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.timers import workers
from ticketkit.testing.conformance.timers.alarms import LEASE, SHORT, ago, claimed, finish, nothing, now, schedule_all
from ticketkit.testing.conformance.worker import Worker

if TYPE_CHECKING:
    from ticketkit.backends.timers import Due, Timers
    from ticketkit.testing.conformance.target import Target


class Claims(Conformance):
    """A claimed timer is its claimer's until it is done, or the lease ends."""

    @promise()
    async def test_a_claimed_timer_is_passed_over_until_its_lease_ends(self, backend: Timers) -> None:
        """A claimed timer is passed over as long as its lease lasts, and can be claimed again afterwards."""
        await backend.schedule("order", ago(1))
        at = now()
        (first,) = await claimed(backend, lease=SHORT)
        (again,) = await claimed(backend, lease=SHORT)
        assert now() - at >= SHORT
        assert (again.key, again.due) == (first.key, first.due)
        assert again.token != first.token

    @promise()
    async def test_a_timer_that_is_done_is_gone(self, backend: Timers) -> None:
        """A timer that is done never fires again."""
        await schedule_all(backend, [("one", ago(2)), ("two", ago(1))])
        one, two = await claimed(backend, 2, lease=SHORT)
        await backend.done(one)
        (again,) = await claimed(backend, lease=LEASE)
        assert again.key == two.key == "two"
        await backend.done(again)
        await nothing(backend, "it is done", seconds=SHORT.total_seconds() + 0.2)

    @promise()
    async def test_a_claim_alone_loses_nothing(self, backend: Timers) -> None:
        """Timers whose claimers never say that they are done come again, every time."""
        await schedule_all(backend, [(f"{number}", ago(1)) for number in range(10)])
        for _ in range(3):
            found = await claimed(backend, 10, lease=SHORT / 3)
            assert sorted(timer.key for timer in found) == list("0123456789")

    @promise()
    async def test_done_is_void_when_the_timer_was_taken_over(self, backend: Timers) -> None:
        """Who comes after the end of its lease removes nothing: the timer is somebody else's."""
        await backend.schedule("order", ago(1))
        (late,) = await claimed(backend, lease=SHORT / 2)
        (taken,) = await claimed(backend, lease=SHORT)
        await backend.done(late)
        (again,) = await claimed(backend, lease=LEASE)
        assert again.key == taken.key
        await backend.done(taken)
        await backend.done(again)
        await nothing(backend, "it is done")

    @promise()
    async def test_done_is_void_when_the_timer_was_scheduled_anew(self, backend: Timers) -> None:
        """Who claimed a timer that was scheduled anew meanwhile does not remove the new one."""
        await backend.schedule("order", ago(5))
        (old,) = await claimed(backend)
        due = ago(1)
        await backend.schedule("order", due)
        await backend.done(old)
        (new,) = await claimed(backend)
        assert (new.key, new.due) == ("order", due)

    @promise()
    async def test_two_claimers_never_get_the_same_timer(self, backend: Timers, stress: int) -> None:
        """However many claim at once, each timer goes to one of them while the lease lasts."""
        await _race(backend, [backend] * 8, 200 * stress)

    @promise(needs=[Capability.MULTI_PROCESS])
    async def test_two_processes_never_get_the_same_timer(self, backend: Timers, opener: Opener, stress: int) -> None:
        """Claimers in several processes never get the same timer while the lease lasts."""
        async with opener() as second, opener() as third:
            await _race(backend, [backend, second, third] * 3, 200 * stress)

    @promise()
    async def test_a_cancelled_claim_loses_nothing(self, backend: Timers, stress: int) -> None:
        """Whenever a `claim` is cancelled, no timer is lost: it can be claimed again when the lease ends."""
        keys = {f"order-{number}" for number in range(15 * stress)}
        await schedule_all(backend, [(key, ago(1)) for key in keys])
        for number in range(len(keys)):
            with anyio.move_on_after(0.001 * (number % 5)):
                await backend.claim(3, SHORT / 3)
        await anyio.sleep(SHORT.total_seconds() / 3)
        found = await claimed(backend, len(keys))
        assert {timer.key for timer in found} == keys

    @promise(needs=[Capability.DURABLE])
    async def test_timers_survive_reopening(self, opener: Opener) -> None:
        """Timers survive that the backend is closed and opened, with their leases; what is done stays done."""
        async with opener() as timers:
            await schedule_all(timers, [("done", ago(9)), ("held", ago(8)), ("free", ago(7))])
            done, held = await claimed(timers, 2, limit=2, lease=SHORT * 2)
            assert (done.key, held.key) == ("done", "held")
            await timers.done(done)
        async with opener() as timers:
            assert [timer.key for timer in await timers.claim(10, LEASE)] == ["free"]
            assert [timer.key for timer in await claimed(timers)] == ["held"]

    @promise(needs=[Capability.DURABLE])
    async def test_timers_of_a_killed_process_are_kept(self, opener: Opener, target: Target) -> None:
        """What was scheduled is kept when the process is killed at once; what it had claimed comes again."""
        async with Worker(BackendKind.TIMERS, target, f"{workers.__name__}:schedule_and_claim", 6, 2, 1.0) as worker:
            scheduled = await worker.hear()
            held = await worker.hear()
            worker.kill()
            await worker.ended()
        async with opener() as timers:
            found = await claimed(timers, 6, within=8)
        assert len(held) == 2
        assert sorted(timer.key for timer in found) == sorted(scheduled)

    @promise(needs=[Capability.DURABLE], long=True, limit=90)
    async def test_processes_that_are_killed_at_random_lose_no_timer(
        self, opener: Opener, target: Target, stress: int
    ) -> None:
        """Processes that schedule and claim are killed again and again: each timer fires, and none that is done."""
        told: dict[str, set[str]] = {"scheduled": set(), "ending": set(), "done": set()}
        for _ in range(4 * stress):
            async with Worker(BackendKind.TIMERS, target, f"{workers.__name__}:work", 1.0) as worker:
                await worker.hear()
                await anyio.sleep(random.uniform(0, 0.3))  # noqa: S311 - chance, no secret
                worker.kill()
                await worker.ended()
                for what, key in worker.told:
                    told[what].add(key)
        async with opener() as timers:
            # One that was being ended at the kill may be gone, and may fire again.
            left, done = told["scheduled"] - told["ending"], told["done"]
            with anyio.move_on_after(20):
                while left:
                    found = await timers.claim(100, LEASE)
                    assert not {timer.key for timer in found} & done
                    left -= {timer.key for timer in found}
                    await finish(timers, found)
                    await anyio.sleep(0.02)
        assert not left


async def _race(scheduling: Timers, claimers: list[Timers], number: int) -> None:
    """Many claim at once; each timer is claimed once."""
    await schedule_all(scheduling, [(f"order-{n}", ago(1)) for n in range(number)])
    found: list[Due] = []

    async def claim(timers: Timers) -> None:
        while some := await timers.claim(7, LEASE):
            found.extend(some)

    async with anyio.create_task_group() as tasks:
        for timers in claimers:
            tasks.start_soon(claim, timers)
    await nothing(scheduling, "all are claimed")
    keys = [timer.key for timer in found]
    assert len(keys) == len(set(keys)), "two claimers got the same timer"
    assert len(keys) == number
