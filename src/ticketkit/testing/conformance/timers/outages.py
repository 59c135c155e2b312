"""The server goes away and comes back: no timer is lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.testing.conformance.conformance import Conformance, Opener
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.timers.alarms import LEASE, ago, ahead, claimed, schedule_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ticketkit.backends.timers import Timers
    from ticketkit.testing.conformance.proxy import Proxy
    from ticketkit.testing.conformance.target import Target

BOUNDED: Final = 15.0
"""Seconds in which a call has to say that the server is away."""


class Outages(Conformance):
    """While the server is away calls say `Unavailable`; afterwards the same object works again."""

    @promise(network=True, limit=90)
    async def test_calls_say_that_the_server_is_away(self, opener: Opener, target: Target, proxy: Proxy) -> None:
        """Each call says `Unavailable` in bounded time while the server is away; afterwards all timers are there."""
        async with opener(target.through(proxy.port)) as timers:
            await schedule_all(timers, [("held", ago(9)), ("due", ago(1)), ("later", ahead(3600))])
            (held,) = await claimed(timers, limit=1)
            proxy.leave()
            await _says_so(lambda: timers.schedule("more", ago(1)))
            await _says_so(lambda: timers.claim(5, LEASE))
            await _says_so(lambda: timers.cancel("due"))
            await _says_so(lambda: timers.done(held))
            start = time.monotonic()
            with anyio.move_on_after(BOUNDED):
                await _wait(timers)
            assert time.monotonic() - start < BOUNDED
            proxy.mend()
            await _until_taken(lambda: timers.done(held))
            await _until_taken(lambda: timers.schedule("more", ago(1)))
            found = await _claimed_after_all(timers)
            assert {timer.key for timer in found} == {"due", "more"}

    @promise(network=True, limit=60)
    async def test_a_lost_answer_is_not_waited_for_for_ever(self, opener: Opener, target: Target, proxy: Proxy) -> None:
        """Scheduling says in bounded time when the server's answers are lost, and can be done again."""
        async with opener(target.through(proxy.port)) as timers:
            await timers.schedule("first", ago(9))
            proxy.swallow()
            await _says_so(lambda: timers.schedule("second", ago(1)))
            proxy.mend()
            await _until_taken(lambda: timers.schedule("second", ago(1)))
            found = await _claimed_after_all(timers)
            assert [timer.key for timer in found] == ["first", "second"]

    @promise(network=True, limit=60)
    async def test_a_cut_connection_is_made_again(self, opener: Opener, target: Target, proxy: Proxy) -> None:
        """A connection that is cut is made again."""
        async with opener(target.through(proxy.port)) as timers:
            for number in range(3):
                await _until_taken(lambda key=f"order-{number}": timers.schedule(key, ago(1)))  # type: ignore[misc]
                proxy.cut()
            assert len(await _claimed_after_all(timers)) == 3


async def _says_so(call: Callable[[], Awaitable[Any]]) -> None:
    start = time.monotonic()
    with anyio.move_on_after(BOUNDED), pytest.raises((Unavailable, OutcomeUnknown)):
        await call()
    assert time.monotonic() - start < BOUNDED, f"it did not say within {BOUNDED} s that the server is away"


async def _wait(timers: Timers) -> None:
    try:
        await timers.wait(0.5)
    except Unavailable:
        return


async def _until_taken(call: Callable[[], Awaitable[Any]]) -> Any:
    with anyio.fail_after(20):
        while True:
            try:
                return await call()
            except (Unavailable, OutcomeUnknown):
                await anyio.sleep(0.1)


async def _claimed_after_all(timers: Timers) -> list[Any]:
    found: list[Any] = []
    while some := await _until_taken(lambda: timers.claim(10, LEASE)):
        found += some
    return found
