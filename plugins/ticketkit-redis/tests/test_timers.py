"""Timers: due times in sorted sets."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from ticketkit.backends.spec import Context
from ticketkit_redis.timers import RedisTimers, open_timers

pytestmark = pytest.mark.anyio
LEASE = timedelta(seconds=30)
SHORT = timedelta(seconds=0.2)


@pytest.fixture
async def timers(url: str) -> AsyncIterator[RedisTimers]:
    async with open_timers(url, Context()) as timers:
        yield timers


def past(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


async def soon(timers: RedisTimers, lease: timedelta = LEASE) -> list[str]:
    """Keys that come within 5 seconds."""
    async with asyncio.timeout(5):
        while not (found := await timers.claim(10, lease)):
            await timers.wait(1)
    return [timer.key for timer in found]


async def test_due_timers_come_longest_due_first_with_the_exact_time(timers: RedisTimers) -> None:
    dues = {str(number): past(number + 1) for number in range(5)}
    for key, due in dues.items():
        await timers.schedule(key, due)
    first, second = await timers.claim(3, LEASE), await timers.claim(3, LEASE)
    assert [(timer.key, timer.due) for timer in (*first, *second)] == sorted(dues.items(), reverse=True)


async def test_what_was_passed_on_by_its_lease_comes_in_order_of_its_due_time(timers: RedisTimers) -> None:
    await timers.schedule("old", past(10))
    await timers.claim(1, SHORT)
    await timers.schedule("new", past(5))
    await asyncio.wait_for(_until_free(timers, "old"), 5)
    assert [timer.key for timer in await timers.claim(2, LEASE)] == ["old", "new"]


async def _until_free(timers: RedisTimers, key: str) -> None:
    held = timers._keys[1]
    end = await timers._server.listening.zscore(held, key)
    assert end is not None
    while datetime.now(UTC).timestamp() * 1e6 <= end:  # noqa: ASYNC110 - only the server's clock ends a lease
        await asyncio.sleep(0.01)


async def test_a_timer_is_never_early(timers: RedisTimers) -> None:
    due = datetime.now(UTC) + timedelta(seconds=0.4)
    await timers.schedule("soon", due)
    assert await timers.claim(1, LEASE) == []
    assert await soon(timers) == ["soon"]
    assert datetime.now(UTC) >= due


async def test_waiting_ends_when_this_process_schedules(timers: RedisTimers) -> None:
    waiting = asyncio.ensure_future(timers.wait(30))
    await asyncio.sleep(0)
    await timers.schedule("now", past(1))
    await asyncio.wait_for(waiting, 5)


async def test_scheduling_anew_makes_the_lease_void(timers: RedisTimers) -> None:
    await timers.schedule("order", past(1))
    (old,) = await timers.claim(1, LEASE)
    later = past(0.5)
    await timers.schedule("order", later)
    await timers.done(old)
    (new,) = await timers.claim(1, LEASE)
    assert new.due == later
    await timers.done(new)
    assert await timers.claim(1, LEASE) == []


async def test_a_timer_outlives_who_claimed_it_and_his_late_done_is_void(url: str, timers: RedisTimers) -> None:
    await timers.schedule("order", past(1))
    async with open_timers(url, Context()) as dying:
        (late,) = await dying.claim(1, SHORT)
    assert await soon(timers, SHORT) == ["order"]
    await timers.done(late)
    assert await soon(timers) == ["order"]


async def test_done_holds_after_the_end_of_a_lease_that_nobody_took_over(timers: RedisTimers) -> None:
    await timers.schedule("order", past(1))
    (mine,) = await timers.claim(1, SHORT)
    await asyncio.wait_for(_until_free(timers, "order"), 5)
    await timers.done(mine)
    assert await timers.claim(1, LEASE) == []


async def test_a_cancelled_timer_never_comes(timers: RedisTimers) -> None:
    for key in ("waiting", "held"):
        await timers.schedule(key, past(1))
    await timers.cancel("waiting")
    assert [timer.key for timer in await timers.claim(2, SHORT)] == ["held"]
    await _until_free(timers, "held")
    await timers.cancel("held")
    await timers.cancel("nothing")
    assert await timers.claim(2, LEASE) == []


async def test_two_who_claim_at_once_get_each_timer_once(url: str, timers: RedisTimers) -> None:
    for number in range(60):
        await timers.schedule(str(number), past(1))
    async with open_timers(url, Context()) as other:
        claims = await asyncio.gather(*(one.claim(7, LEASE) for one in (timers, other) * 6))
    keys = [timer.key for claim in claims for timer in claim]
    assert sorted(keys) == sorted(str(number) for number in range(60))


@pytest.mark.parametrize(
    "due", [datetime(9999, 12, 31, 23, 59, 59, 999999, UTC), datetime(2254, 1, 1, 0, 0, 0, 1, UTC)]
)
async def test_a_far_due_time_is_kept_and_not_reached(timers: RedisTimers, due: datetime) -> None:
    await timers.schedule("far", due)
    assert await timers.claim(1, LEASE) == []
    score = await timers._server.listening.zscore(timers._keys[0], "far")
    assert score is not None
    assert int(score) >= (due - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


async def test_a_due_time_before_1970_comes_exactly(timers: RedisTimers) -> None:
    due = datetime(1900, 1, 1, 0, 0, 0, 1, UTC)
    await timers.schedule("old", due)
    (timer,) = await timers.claim(1, LEASE)
    assert timer.due == due
