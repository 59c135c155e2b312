"""Timers: never early, at least once, replaced and cancelled."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from ticketkit.backends.spec import Context
from ticketkit_sql.timers import SqlTimers, open_timers

pytestmark = pytest.mark.anyio
LEASE = timedelta(seconds=30)


@pytest.fixture
async def timers(url: str, clock: Any) -> AsyncIterator[SqlTimers]:
    async with open_timers(url, Context(clock=clock)) as timers:
        yield timers


async def test_a_timer_is_never_early(timers: SqlTimers, clock: Any) -> None:
    due = clock.now() + timedelta(minutes=15)
    await timers.schedule("order", due)
    clock.advance(minutes=14, seconds=59, milliseconds=999)
    assert await timers.claim(5, LEASE) == []
    clock.advance(milliseconds=1)
    assert [(timer.key, timer.due) for timer in await timers.claim(5, LEASE)] == [("order", due)]


async def test_a_claimed_timer_comes_again_when_its_lease_is_over(timers: SqlTimers, clock: Any) -> None:
    await timers.schedule("order", clock.now())
    (late,) = await timers.claim(5, LEASE)
    assert await timers.claim(5, LEASE) == []
    clock.advance(seconds=30)
    (taken,) = await timers.claim(5, LEASE)
    await timers.done(late)
    clock.advance(seconds=30)
    (again,) = await timers.claim(5, LEASE)
    assert again.key == taken.key
    await timers.done(again)
    clock.advance(seconds=30)
    assert await timers.claim(5, LEASE) == []


async def test_scheduling_again_replaces_also_what_is_claimed(timers: SqlTimers, clock: Any) -> None:
    await timers.schedule("order", clock.now())
    (old,) = await timers.claim(5, LEASE)
    later = clock.now() + timedelta(minutes=1)
    await timers.schedule("order", later)
    await timers.done(old)
    clock.advance(minutes=1)
    assert [timer.due for timer in await timers.claim(5, LEASE)] == [later]


async def test_a_cancelled_timer_does_not_fire(timers: SqlTimers, clock: Any) -> None:
    await timers.schedule("order", clock.now())
    await timers.cancel("order")
    await timers.cancel("unknown")
    assert await timers.claim(5, LEASE) == []


async def test_claims_are_shared_out_the_longest_due_first(timers: SqlTimers, clock: Any) -> None:
    for n in range(6):
        await timers.schedule(f"{n}", clock.now() - timedelta(seconds=n))
    one, two = await asyncio.gather(timers.claim(3, LEASE), timers.claim(3, LEASE))
    keys = [timer.key for timer in (*one, *two)]
    assert sorted(keys) == list("012345")
    assert {"5", "4", "3"} in ({timer.key for timer in one}, {timer.key for timer in two})


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_waiting_ends_in_time_for_the_next_timer(url: str) -> None:
    async with open_timers(url, Context()) as timers:
        from datetime import UTC, datetime

        await timers.schedule("soon", datetime.now(UTC) + timedelta(seconds=0.3))
        start = time.monotonic()
        await timers.wait(10)
        assert 0.25 < time.monotonic() - start < 2
        assert [timer.key for timer in await timers.claim(1, LEASE)] == ["soon"]


async def test_timers_outlive_their_process(url: str, clock: Any) -> None:
    async with open_timers(url, Context(clock=clock)) as timers:
        await timers.schedule("order", clock.now())
    async with open_timers(url, Context(clock=clock)) as timers:
        assert [timer.key for timer in await timers.claim(1, LEASE)] == ["order"]
