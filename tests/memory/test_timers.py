from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import anyio
import pytest

from ticketkit.memory import MemoryTimers, VirtualClock

pytestmark = pytest.mark.anyio
LEASE = timedelta(seconds=30)


@pytest.fixture
def timers(clock: VirtualClock, new_id: Callable[[], str]) -> MemoryTimers:
    return MemoryTimers(clock, new_id)


async def due_keys(timers: MemoryTimers, limit: int = 10) -> list[str]:
    return [timer.key for timer in await timers.claim(limit, LEASE)]


async def test_a_timer_is_never_early(timers: MemoryTimers, clock: VirtualClock) -> None:
    await timers.schedule("order", clock.now() + timedelta(minutes=15))
    await clock.advance(minutes=14, seconds=59, milliseconds=999)
    assert await due_keys(timers) == []
    await clock.advance(milliseconds=1)
    (timer,) = await timers.claim(10, LEASE)
    assert (timer.key, timer.due) == ("order", clock.now())


async def test_the_longest_due_come_first(timers: MemoryTimers, clock: VirtualClock) -> None:
    for key, seconds in (("b", 2), ("c", 3), ("a", 1), ("later", 60)):
        await timers.schedule(key, clock.now() + timedelta(seconds=seconds))
    await clock.advance(seconds=10)
    assert await due_keys(timers, 2) == ["a", "b"]
    assert await due_keys(timers) == ["c"]


async def test_a_claimed_timer_is_passed_over_until_its_lease_runs_out(
    timers: MemoryTimers, clock: VirtualClock
) -> None:
    await timers.schedule("order", clock.now())
    (old,) = await timers.claim(10, LEASE)
    await clock.advance(seconds=29)
    assert await due_keys(timers) == []
    await clock.advance(seconds=1)
    (new,) = await timers.claim(10, LEASE)
    assert new.key == "order"
    await timers.done(old)  # taken over: void
    await clock.advance(seconds=30)
    assert await due_keys(timers) == ["order"]


async def test_what_is_done_does_not_come_again(timers: MemoryTimers, clock: VirtualClock) -> None:
    await timers.schedule("order", clock.now())
    (timer,) = await timers.claim(10, LEASE)
    await timers.done(timer)
    await timers.done(timer)
    await clock.advance(hours=1)
    assert await due_keys(timers) == []


async def test_a_timer_that_is_set_again_is_replaced_also_while_it_is_claimed(
    timers: MemoryTimers, clock: VirtualClock
) -> None:
    await timers.schedule("order", clock.now())
    (old,) = await timers.claim(10, LEASE)
    await timers.schedule("order", clock.now() + timedelta(seconds=60))
    await timers.done(old)  # its lease is void
    await clock.advance(seconds=59)
    assert await due_keys(timers) == []
    await clock.advance(seconds=1)
    assert await due_keys(timers) == ["order"]


async def test_a_cancelled_timer_never_comes(timers: MemoryTimers, clock: VirtualClock) -> None:
    await timers.schedule("order", clock.now() + timedelta(seconds=1))
    await timers.cancel("order")
    await timers.cancel("unknown")
    await clock.advance(seconds=1)
    assert await due_keys(timers) == []


@pytest.mark.parametrize(("due", "limit", "expected"), [(10, 60, 10), (90, 60, 60), (0, 60, 0), (-5, 60, 0)])
async def test_waiting_ends_when_a_timer_is_due_or_after_the_time(
    timers: MemoryTimers, clock: VirtualClock, due: int, limit: int, expected: int
) -> None:
    began = clock.now()
    await timers.schedule("order", began + timedelta(seconds=due))
    assert await waited(timers, clock, limit) == expected


async def test_waiting_ends_when_a_lease_runs_out(timers: MemoryTimers, clock: VirtualClock) -> None:
    await timers.schedule("order", clock.now())
    await timers.claim(10, LEASE)
    assert await waited(timers, clock, 60) == 30


async def test_a_timer_that_is_set_meanwhile_is_noticed(timers: MemoryTimers, clock: VirtualClock) -> None:
    woken = anyio.Event()

    async def wait() -> None:
        await timers.wait(3600)
        woken.set()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await clock.settle()
        await timers.schedule("order", clock.now() + timedelta(seconds=1))
        await clock.settle()
        assert woken.is_set()


async def waited(timers: MemoryTimers, clock: VirtualClock, limit: float) -> float:
    began = clock.now()
    took: list[float] = []

    async def wait() -> None:
        await timers.wait(limit)
        took.append((clock.now() - began).total_seconds())

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await clock.advance(hours=1)
    return took[0]
