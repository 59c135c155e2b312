from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import anyio
import pytest

from ticketkit.memory import VirtualClock

pytestmark = pytest.mark.anyio


def test_time_begins_where_it_is_told_and_is_utc() -> None:
    clock = VirtualClock(datetime(2030, 6, 1, 12, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == datetime(2030, 6, 1, 10, tzinfo=UTC)
    assert clock.now().tzinfo is UTC


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        VirtualClock(datetime(2030, 6, 1))  # noqa: DTZ001


async def test_time_moves_by_what_it_is_advanced(clock: VirtualClock) -> None:
    before = clock.now()
    await clock.advance(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)
    assert clock.now() - before == timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)


async def test_time_does_not_go_back(clock: VirtualClock) -> None:
    with pytest.raises(ValueError, match="back"):
        await clock.advance(seconds=-1)


async def test_sleepers_wake_in_order_of_their_time_and_see_that_time(clock: VirtualClock) -> None:
    start, woken = clock.now(), []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, (clock.now() - start).total_seconds()))

    async with anyio.create_task_group() as group:
        for seconds in (3, 1, 2.5, 0.001):
            group.start_soon(sleep, seconds)
        await clock.advance(seconds=3)
    assert woken == [(0.001, 0.001), (1, 1), (2.5, 2.5), (3, 3)]


async def test_nobody_wakes_early(clock: VirtualClock) -> None:
    woken = anyio.Event()

    async def sleep() -> None:
        await clock.sleep(900)
        woken.set()

    async with anyio.create_task_group() as group:
        group.start_soon(sleep)
        await clock.advance(minutes=14, seconds=59, milliseconds=999)
        assert not woken.is_set()
        await clock.advance(milliseconds=1)
        assert woken.is_set()


async def test_all_that_follows_from_a_wake_up_happens_before_time_moves_on(clock: VirtualClock) -> None:
    start, seen = clock.now(), []
    send, receive = anyio.create_memory_object_stream[float](0)

    async def every_second() -> None:
        async with send:
            for _ in range(3):
                await clock.sleep(1)
                await send.send((clock.now() - start).total_seconds())

    async def handle(sent: float) -> None:
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        seen.append((sent, (clock.now() - start).total_seconds()))

    async def consume() -> None:
        async with receive, anyio.create_task_group() as handlers:
            async for sent in receive:
                handlers.start_soon(handle, sent)

    async with anyio.create_task_group() as group:
        group.start_soon(every_second)
        group.start_soon(consume)
        await clock.advance(minutes=1)
        assert seen == [(1, 1), (2, 2), (3, 3)]


async def test_a_sleeper_that_sleeps_again_is_woken_in_the_same_advance(clock: VirtualClock) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await clock.sleep(1)
            ticks += 1

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        await clock.advance(minutes=15)
        assert ticks == 900
        group.cancel_scope.cancel()


async def test_settling_waits_for_tasks_that_wait_for_tasks(clock: VirtualClock) -> None:
    steps: list[str] = []

    async def inner() -> None:
        await anyio.lowlevel.checkpoint()

    async def outer() -> None:
        for _ in range(5):
            async with anyio.create_task_group() as group:
                group.start_soon(inner)
                group.start_soon(inner)
        steps.append("done")
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(outer)
        await clock.settle()
        assert steps == ["done"]
        group.cancel_scope.cancel()


async def test_settling_ends_although_a_shielded_task_does_not_let_itself_be_cancelled(clock: VirtualClock) -> None:
    drained = anyio.Event()

    async def drain() -> None:
        with anyio.CancelScope(shield=True):
            await clock.sleep(10)
        drained.set()

    async with anyio.create_task_group() as group:
        group.start_soon(drain)
        await clock.settle()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await clock.settle()
            assert not drained.is_set()
            await clock.advance(seconds=10)
    assert drained.is_set()


async def test_two_can_advance_at_once(clock: VirtualClock) -> None:
    before = clock.now()

    async def advance() -> None:
        await clock.advance(seconds=5)

    async with anyio.create_task_group() as group:
        group.start_soon(advance)
        group.start_soon(advance)
    assert clock.now() - before == timedelta(seconds=10)


async def test_two_clocks_can_be_advanced_at_once() -> None:
    clocks = [VirtualClock(), VirtualClock()]
    woken: list[VirtualClock] = []

    async def sleep(clock: VirtualClock) -> None:
        await clock.sleep(3)
        woken.append(clock)

    async def advance(clock: VirtualClock) -> None:
        await clock.advance(seconds=5)

    async with anyio.create_task_group() as group:
        for clock in clocks:
            group.start_soon(sleep, clock)
            group.start_soon(advance, clock)
    assert len(woken) == 2


async def test_a_cancelled_sleeper_is_forgotten(clock: VirtualClock) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(clock.sleep, 10)
        await clock.settle()
        group.cancel_scope.cancel()
    assert clock._sleepers == []


async def test_nothing_and_less_is_no_sleep_and_forever_is_forever(clock: VirtualClock) -> None:
    await clock.sleep(0)
    await clock.sleep(-1)
    with anyio.move_on_after(0.01) as scope:
        await clock.sleep(math.inf)
    assert scope.cancelled_caught


async def test_the_shortest_sleep_takes_time(clock: VirtualClock) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(clock.sleep, 1e-9)
        await clock.settle()
        assert len(clock._sleepers) == 1
        await clock.advance(milliseconds=1)
