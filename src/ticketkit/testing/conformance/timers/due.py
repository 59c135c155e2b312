"""When timers fire: never early, the longest due first, as they were scheduled."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio

from ticketkit.backends.spec import Backend, Capability
from ticketkit.testing.conformance.bus.carrying import TEXTS
from ticketkit.testing.conformance.conformance import Conformance, Opener
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.timers.alarms import LEASE, ago, ahead, claimed, finish, nothing, now, schedule_all

if TYPE_CHECKING:
    from ticketkit.backends.timers import Due, Timers


class DueTimes(Conformance):
    """Never early; late only while nobody claims."""

    @promise()
    async def test_timers_say_the_capabilities_of_their_plugin(self, backend: Timers, spec: Backend) -> None:
        """Open timers have the capabilities that their plugin declares."""
        assert backend.capabilities == spec.capabilities

    @promise()
    async def test_a_timer_is_never_early(self, backend: Timers) -> None:
        """No timer can be claimed before its due time, not even by a microsecond; at its time it can."""
        dues = {f"order-{number}": ahead(0.2 + number * 0.021) for number in range(30)}
        await schedule_all(backend, dues.items())
        left = dict(dues)
        with anyio.fail_after(15):
            while left:
                found = await backend.claim(10, LEASE)
                at = now()
                for timer in found:
                    assert at >= timer.due == left.pop(timer.key)
                if not found:
                    await anyio.sleep(0.001)
        assert now() - max(dues.values()) < timedelta(seconds=5)

    @promise()
    async def test_the_longest_due_come_first(self, backend: Timers) -> None:
        """Timers are claimed longest due first, whatever their keys and whenever they were scheduled."""
        dues = {f"{number:02}": ago(1 + (number * 7) % 31) for number in range(31)}
        await schedule_all(backend, dues.items(), at_once=1)
        found = [timer for _ in range(4) for timer in await backend.claim(10, LEASE)]
        assert [timer.key for timer in found] == sorted(dues, key=dues.__getitem__)

    @promise(limit=60)
    async def test_many_timers_come_in_pages(self, backend: Timers) -> None:
        """5,000 due timers are claimed in pages, each once, longest due first over all pages."""
        start = ago(10_000)
        dues = [start + timedelta(milliseconds=number) for number in range(5000)]
        random.Random(7).shuffle(dues)  # noqa: S311 - chance, no secret
        await schedule_all(backend, ((f"order-{number}", due) for number, due in enumerate(dues)))
        found: list[Due] = []
        while page := await backend.claim(700, LEASE):
            assert len(page) <= 700
            found += page
        assert [timer.due for timer in found] == sorted(dues)
        assert len({timer.key for timer in found}) == 5000

    @promise()
    async def test_due_times_and_keys_come_back_as_scheduled(self, backend: Timers) -> None:
        """Due times to the microsecond, also of long ago, and odd keys come back exactly as they were scheduled."""
        dues = {
            f"{name}{text}": ago(50).replace(microsecond=999_999 - n) for n, (name, text) in enumerate(TEXTS.items())
        }
        dues["long ago"] = datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
        dues["x" * 200] = datetime(2001, 9, 9, 1, 46, 40, 123457, tzinfo=UTC)
        await schedule_all(backend, dues.items())
        found = await claimed(backend, len(dues))
        assert {timer.key: timer.due for timer in found} == dues
        assert all(timer.due.utcoffset() == timedelta() for timer in found)
        await finish(backend, found)
        for key in dues:
            await backend.cancel(key)

    @promise()
    async def test_the_far_future_waits(self, backend: Timers) -> None:
        """Timers for years to come are kept and hinder none that is due."""
        far = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
        await backend.schedule("far", far)
        await backend.schedule("next year", now() + timedelta(days=365))
        await backend.schedule("due", ago(1))
        (timer,) = await claimed(backend)
        assert timer.key == "due"
        await nothing(backend, "it is due in years")
        await backend.schedule("far", ago(1))
        assert [timer.key for timer in await claimed(backend)] == ["far"]

    @promise()
    async def test_waiting_ends_when_a_timer_is_due(self, backend: Timers) -> None:
        """`wait` returns about when the next timer is due."""
        await backend.schedule("soon", ahead(0.5))
        start = time.monotonic()
        while not (found := await backend.claim(1, LEASE)):
            await backend.wait(8)
        assert [timer.key for timer in found] == ["soon"]
        assert time.monotonic() - start < 2.5

    @promise()
    async def test_waiting_ends_at_its_time(self, backend: Timers) -> None:
        """`wait` returns after the time that it is given, with a timer far away or none."""
        for _ in range(2):
            start = time.monotonic()
            await backend.wait(0.3)
            assert time.monotonic() - start < 2
            await backend.schedule("later", ahead(3600))
        await backend.wait(0)

    @promise()
    async def test_waiting_does_not_spin(self, backend: Timers) -> None:
        """`wait` waits while nothing is due and all that is due is claimed."""
        await backend.schedule("held", ago(1))
        await backend.schedule("later", ahead(3600))
        await claimed(backend)
        end, rounds = time.monotonic() + 0.6, 0
        while time.monotonic() < end:
            await backend.wait(0.3)
            rounds += 1
        assert rounds < 50

    @promise()
    async def test_waiting_is_woken_by_a_new_timer(self, backend: Timers) -> None:
        """`wait` returns soon when a timer that is due earlier is scheduled meanwhile."""
        await backend.schedule("later", ahead(3600))
        await _woken(backend, backend)

    @promise(needs=[Capability.MULTI_PROCESS])
    async def test_waiting_notices_another_process(self, backend: Timers, opener: Opener) -> None:
        """`wait` returns within a second or so when another process schedules a timer."""
        async with opener() as other:
            await _woken(backend, other)


async def _woken(waiting: Timers, scheduling: Timers) -> None:
    async def later() -> None:
        await anyio.sleep(0.3)
        await scheduling.schedule("now", ago(0))

    start = time.monotonic()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(later)
        found: list[Due] = []
        while not found and time.monotonic() - start < 8:
            await waiting.wait(8)
            found = list(await waiting.claim(1, LEASE))
    assert [timer.key for timer in found] == ["now"]
    assert time.monotonic() - start < 2.5
