"""What `publish` promises: what it returned for is kept."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import anyio

from ticketkit.backends.spec import BackendKind, Capability
from ticketkit.testing.conformance.bus import workers
from ticketkit.testing.conformance.bus.post import (
    GROUP,
    ORDER,
    acknowledge,
    events,
    ids,
    known,
    nothing,
    take,
    take_all,
)
from ticketkit.testing.conformance.conformance import Conformance, Opener
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.worker import Worker

if TYPE_CHECKING:
    from ticketkit.backends.bus import Bus
    from ticketkit.testing.conformance.target import Target


class Publishing(Conformance):
    """Published is kept: over the death of the publisher, and as often as it was published."""

    @promise()
    async def test_a_published_event_is_there_when_publish_returns(self, backend: Bus) -> None:
        """When `publish` has returned, the events can be received at once."""
        async with backend.subscribe(GROUP, [ORDER]) as member:
            for _ in range(10):
                sent = events(1)
                await backend.publish(sent)
                got = await take(member, within=2)
                assert ids(got) == ids(sent)
                await acknowledge(got)

    @promise()
    async def test_nothing_published_is_nothing_sent(self, backend: Bus) -> None:
        """Publishing no events, and events that nobody hears, is fine."""
        await backend.publish([])
        await backend.publish(events(3))
        async with backend.subscribe(GROUP, [ORDER]) as member:
            sent = events(1)
            await backend.publish([])
            await backend.publish(sent)
            await take_all(member, sent)

    @promise()
    async def test_an_event_published_again_comes_again(self, backend: Bus) -> None:
        """The same event published again after it was handled (an outbox replays) is delivered again."""
        (sent,) = events(1)
        async with backend.subscribe(GROUP, [ORDER]) as member:
            for _ in range(3):
                await backend.publish([sent])
                (got,) = await take(member)
                assert got.event == sent
                await got.ack()

    @promise()
    async def test_an_event_published_twice_at_once_comes(self, backend: Bus) -> None:
        """The same event published twice, in one batch or two, comes once or twice."""
        first, second = events(2)
        async with backend.subscribe(GROUP, [ORDER]) as member:
            await backend.publish([first, second, first])
            await backend.publish([second])
            found = await take_all(member, [first, second])
            assert set(ids(found)) == {first.id, second.id}

    @promise(limit=60)
    async def test_a_large_batch_arrives_whole(self, backend: Bus) -> None:
        """A batch of 2,000 events arrives whole."""
        sent = events(2000)
        async with backend.subscribe(GROUP, [ORDER]) as member:
            await backend.publish(sent)
            assert ids(await take(member, 2000, within=30)) == ids(sent)

    @promise(needs=[Capability.DURABLE])
    async def test_events_survive_reopening(self, opener: Opener) -> None:
        """What was published survives that the bus is closed and opened; so does what was acknowledged of it."""
        sent = events(6)
        async with opener() as bus, bus.subscribe(GROUP, [ORDER]) as member:
            await bus.publish(sent)
            found = await take(member, 2)
            await acknowledge(found)
        left = {one.id for one in sent} - set(ids(found))
        async with opener() as bus, bus.subscribe(GROUP, [ORDER]) as member:
            again = await take(member, 4)
            assert set(ids(again)) == left
            await acknowledge(again)
            await nothing(member, "it was acknowledged")

    @promise(needs=[Capability.DURABLE])
    async def test_publish_returns_only_when_durable(self, opener: Opener, target: Target, lease: float) -> None:
        """What `publish` returned for is kept also when the process is killed in the same instant."""
        async with opener() as bus:
            await known(bus, GROUP)
        async with Worker(BackendKind.BUS, target, f"{workers.__name__}:publish", 5, 1) as worker:
            kept = await worker.hear()
            worker.kill()
            await worker.ended()
        async with opener() as bus, bus.subscribe(GROUP, [ORDER]) as member:
            found = await take(member, 5, within=lease + 5)
            assert ids(found) == sorted(kept)
            await acknowledge(found)

    @promise(needs=[Capability.DURABLE], long=True, limit=90)
    async def test_publishers_that_are_killed_at_random_lose_nothing(
        self, opener: Opener, target: Target, stress: int, lease: float
    ) -> None:
        """Publishers are killed again and again in the midst of it: all that they were told is kept comes."""
        async with opener() as bus:
            await known(bus, GROUP)
        kept: set[str] = set()
        for _ in range(4 * stress):
            async with Worker(BackendKind.BUS, target, f"{workers.__name__}:publish", 10, None) as worker:
                await worker.hear()
                await anyio.sleep(random.uniform(0, 0.2))  # noqa: S311 - chance, no secret
                worker.kill()
                await worker.ended()
                kept |= {id for batch in worker.told for id in batch}
        async with opener() as bus, bus.subscribe(GROUP, [ORDER]) as member:
            with anyio.move_on_after(lease + 30):
                while kept:
                    for got in await member.receive(500):
                        await got.ack()
                        kept.discard(got.event.id)
        assert not kept
