"""Members that die, freeze or are slow: leases of deliveries."""

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

_SHARED = (Capability.DURABLE, Capability.MULTI_PROCESS)


class Members(Conformance):
    """What a dead member held comes again; what a living one holds does not."""

    @promise(needs=_SHARED)
    async def test_what_a_killed_consumer_held_comes_again(self, backend: Bus, target: Target, lease: float) -> None:
        """What a consumer held when it was killed comes to another within the lease, uncounted."""
        await known(backend, GROUP)
        sent = events(5)
        await backend.publish(sent)
        async with Worker(BackendKind.BUS, target, f"{workers.__name__}:hold", GROUP, 3) as worker:
            held = [id for id, attempt in await worker.hear() if attempt == 1]
            assert len(held) == 3
            worker.kill()
            async with backend.subscribe(GROUP, [ORDER]) as member:
                found = await take(member, 5, within=2 * lease + 5)
                assert ids(found) == ids(sent)
                assert [got.attempt for got in found] == [1] * 5
                await acknowledge(found)

    @promise(needs=_SHARED, long=True)
    async def test_a_late_ack_of_a_frozen_consumer_is_void(self, backend: Bus, target: Target, lease: float) -> None:
        """A consumer that froze for longer than its lease ends nothing of whoever took over."""
        await known(backend, GROUP)
        (sent,) = events(1)
        await backend.publish([sent])
        frozen = f"{workers.__name__}:hold_through_a_freeze"
        async with Worker(BackendKind.BUS, target, frozen, GROUP, min(lease, 1) / 2) as worker:
            assert await worker.hear() == sent.id
            worker.freeze()
            async with backend.subscribe(GROUP, [ORDER]) as member:
                (taken,) = await take(member, within=2 * lease + 5)
                worker.thaw()
                assert await worker.hear() == "acknowledged"
                worker.kill()
                await taken.retry(0)
                (again,) = await take(member, within=2 * lease + 5)
                assert (again.event, again.attempt) == (sent, 2)
                await again.ack()

    @promise(needs=_SHARED)
    async def test_what_a_slow_consumer_holds_is_not_taken(self, backend: Bus, opener: Opener, lease: float) -> None:
        """What a living member holds is not given to another, however long it takes."""
        async with (
            opener() as second,
            backend.subscribe(GROUP, [ORDER]) as slow,
            backend.subscribe(GROUP, [ORDER]) as idle,
            second.subscribe(GROUP, [ORDER]) as far,
        ):
            await backend.publish(events(2))
            held = await take(slow, 2)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(nothing, idle, "a living member holds it")
                await nothing(far, "a living member holds it", seconds=2.2 * lease)
            await held[0].ack()
            await held[1].retry(0)
            (again,) = await take(slow)
            assert (again.event, again.attempt) == (held[1].event, 2)
            await again.ack()

    @promise(needs=_SHARED, long=True, limit=90)
    async def test_consumers_that_are_killed_at_random_lose_nothing(
        self, backend: Bus, target: Target, stress: int, lease: float
    ) -> None:
        """Consumers are killed again and again in the midst of their work: every event is handled by somebody."""
        await known(backend, GROUP)
        sent = events(300)
        await backend.publish(sent[:100])
        handled: set[str] = set()
        for number in range(4 * stress):
            async with Worker(BackendKind.BUS, target, f"{workers.__name__}:handle", GROUP) as worker:
                assert await worker.hear() == "ready"
                await backend.publish(
                    sent[100 + number * 200 // (4 * stress) : 100 + (number + 1) * 200 // (4 * stress)]
                )
                with anyio.move_on_after(random.uniform(0, 0.3)):  # noqa: S311 - chance, no secret
                    while True:
                        await worker.hear()
                worker.kill()
                await worker.ended()
                handled |= set(worker.told)
        async with backend.subscribe(GROUP, [ORDER]) as member:
            left = [one for one in sent if one.id not in handled]
            await take_all(member, left, within=2 * lease + 15)
