"""The server goes away and comes back: the bus pauses, and loses nothing."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest

from ticketkit.backends.errors import Unavailable
from ticketkit.testing.conformance.bus.post import GROUP, ORDER, WITHIN, acknowledge, events, ids, known, take
from ticketkit.testing.conformance.conformance import Conformance, Opener
from ticketkit.testing.conformance.promise import promise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from ticketkit.backends.bus import Bus, Delivery, Subscription
    from ticketkit.events.envelope import Envelope
    from ticketkit.testing.conformance.proxy import Proxy
    from ticketkit.testing.conformance.target import Target

BOUNDED: Final = 15.0
"""Seconds in which a call has to say that the server is away."""


class Outages(Conformance):
    """While the server is away calls say `Unavailable`; afterwards the same objects work again."""

    @promise(network=True, limit=60)
    async def test_publish_says_that_the_server_is_away(self, opener: Opener, target: Target, proxy: Proxy) -> None:
        """`publish` says `Unavailable` in bounded time while the server is away, and works again afterwards."""
        async with opener() as bus, opener(target.through(proxy.port)) as far:
            await known(bus, GROUP)
            sent = events(3)
            await far.publish(sent[:1])
            proxy.leave()
            await _says_so(lambda: far.publish(sent[1:2]))
            await _says_so(lambda: far.publish(sent[1:2]))
            proxy.mend()
            await _publish(far, sent[1:])
            async with bus.subscribe(GROUP, [ORDER]) as member:
                await _all_come(member, sent)

    @promise(network=True, limit=60)
    async def test_publish_does_not_wait_for_ever_for_an_answer(
        self, opener: Opener, target: Target, proxy: Proxy
    ) -> None:
        """`publish` says `Unavailable` in bounded time when the server's answers are lost."""
        async with opener() as bus, opener(target.through(proxy.port)) as far:
            await known(bus, GROUP)
            sent = events(2)
            await far.publish(sent[:1])
            proxy.swallow()
            await _says_so(lambda: far.publish(sent[1:]))
            proxy.mend()
            await _publish(far, sent[1:])
            async with bus.subscribe(GROUP, [ORDER]) as member:
                await _all_come(member, sent)

    @promise(network=True, limit=90)
    async def test_a_subscription_works_again_after_an_outage(
        self, opener: Opener, target: Target, proxy: Proxy, lease: float
    ) -> None:
        """`receive` says `Unavailable` while the server is away; afterwards the same subscription gets everything."""
        async with opener() as bus, _far_member(opener, target, proxy) as member:
            first, second, third = events(1), events(5), events(1)
            await bus.publish(first)
            await acknowledge(await take(member))
            proxy.leave()
            await _says_so(lambda: member.receive(5))
            await bus.publish(second)
            proxy.mend()
            await bus.publish(third)
            await _all_come(member, [*second, *third], within=lease + 20)

    @promise(network=True, limit=90)
    async def test_an_outage_does_not_count_as_attempt(
        self, opener: Opener, target: Target, proxy: Proxy, lease: float
    ) -> None:
        """What is held through an outage can be ended afterwards or comes again, and the outage counts for nothing."""
        async with opener() as bus, _far_member(opener, target, proxy) as member:
            sent = events(4)
            await bus.publish(sent)
            held = await take(member, 4)
            proxy.leave()
            for delivery in held[:2]:
                await _says_so(delivery.ack)
            await _says_so(lambda: member.receive(5))
            proxy.mend()
            ended = [delivery for delivery in held if await _ended(delivery)]
            assert ended, "nothing could be acknowledged after the outage"
            found = await _receive(member, lease + 5)
            assert {got.attempt for got in found} <= {1}
            await acknowledge(found)
            more = events(1)
            await bus.publish(more)
            await _all_come(member, more, within=lease + 20)

    @promise(network=True, limit=60)
    async def test_a_cut_connection_is_made_again(self, opener: Opener, target: Target, proxy: Proxy) -> None:
        """A connection that is cut is made again, for publishing, for a member and for a listener."""
        async with (
            opener(target.through(proxy.port)) as far,
            far.subscribe(GROUP, [ORDER]) as member,
            far.broadcast([ORDER]) as ear,
        ):
            for _ in range(3):
                sent = events(1)
                await _publish(far, sent)
                await _all_come(member, sent, within=20)
                proxy.cut()
            await _says_nothing_else(ear)

    @promise(network=True, limit=60)
    async def test_closing_does_not_wait_for_a_server_that_is_away(
        self, opener: Opener, target: Target, proxy: Proxy, lease: float
    ) -> None:
        """A bus closes in bounded time while its server is away, and what a member held comes to another."""
        async with opener() as bus:
            async with _far_member(opener, target, proxy) as member:
                sent = events(2)
                await bus.publish(sent)
                await take(member, 2)
                proxy.leave()
                start = time.monotonic()
            assert time.monotonic() - start < BOUNDED
            async with bus.subscribe(GROUP, [ORDER]) as other:
                await _all_come(other, sent, within=2 * lease + 10)


@asynccontextmanager
async def _far_member(opener: Opener, target: Target, proxy: Proxy) -> AsyncIterator[Subscription]:
    """A member whose connection goes through the proxy."""
    async with opener(target.through(proxy.port)) as far, far.subscribe(GROUP, [ORDER]) as member:
        yield member


async def _says_so(call: Callable[[], Awaitable[Any]]) -> None:
    start = time.monotonic()
    with anyio.move_on_after(BOUNDED), pytest.raises(Unavailable):
        await call()
    assert time.monotonic() - start < BOUNDED, f"it did not say within {BOUNDED} s that the server is away"


async def _publish(bus: Bus, sent: Sequence[Envelope]) -> None:
    """Publish as the relay does: again and again until it is taken."""
    with anyio.fail_after(20):
        while True:
            try:
                await bus.publish(sent)
                return
            except Unavailable:
                await anyio.sleep(0.1)


async def _receive(member: Subscription, seconds: float) -> list[Delivery]:
    """What comes within so many seconds, as a consumer receives it: again and again."""
    found: list[Delivery] = []
    with anyio.move_on_after(seconds):
        while True:
            try:
                found += await member.receive(100)
            except Unavailable:
                await anyio.sleep(0.1)
    return found


async def _all_come(member: Subscription, sent: Sequence[Envelope], *, within: float = WITHIN) -> None:
    left = set(ids(sent))
    with anyio.move_on_after(within):
        while left:
            try:
                for got in await member.receive(100):
                    assert got.attempt == 1, "an outage was counted as attempt"
                    await got.ack()
                    left.discard(got.event.id)
            except Unavailable:
                await anyio.sleep(0.1)
    assert not left, f"{len(left)} of {len(sent)} events did not come within {within} s"


async def _ended(delivery: Delivery) -> bool:
    for _ in range(50):
        try:
            await delivery.ack()
            return True
        except Unavailable:
            await anyio.sleep(0.2)
    return False


async def _says_nothing_else(ear: Subscription) -> None:
    """The listener raises `Unavailable` at most, and hears again."""
    with anyio.move_on_after(1):
        while True:
            try:
                await ear.receive(100)
            except Unavailable:
                await anyio.sleep(0.1)
