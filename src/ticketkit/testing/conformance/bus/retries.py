"""What becomes of a delivery: acknowledged, retried, given back, buried."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel

from ticketkit.backends.errors import BackendError
from ticketkit.backends.spec import Capability
from ticketkit.testing.conformance.bus.post import (
    GROUP,
    ORDER,
    OTHER,
    acknowledge,
    event,
    events,
    ids,
    known,
    nothing,
    take,
    take_all,
)
from ticketkit.testing.conformance.conformance import Conformance, Opener
from ticketkit.testing.conformance.promise import promise

if TYPE_CHECKING:
    from ticketkit.backends.bus import Bus, Delivery, Subscription

ROUNDING: Final = 0.01
"""Seconds by which a delay may be shorter, for servers that count in milliseconds."""


class Retries(Conformance):
    """Acknowledged never again; retried not before its time; given back at once; counted only when told."""

    @promise()
    async def test_what_is_acknowledged_never_comes_again(self, backend: Bus, lease: float) -> None:
        """What a group acknowledged is not delivered to it again, also not to a member that comes later."""
        async with backend.subscribe(GROUP, [ORDER]) as member:
            await backend.publish(events(3))
            await acknowledge(await take(member, 3))
        async with backend.subscribe(GROUP, [ORDER]) as member:
            await nothing(member, "it was acknowledged", seconds=min(lease, 1) + 0.3)

    @promise()
    async def test_a_retry_comes_again(self, backend: Bus) -> None:
        """What is to be tried again at once comes again, until it is acknowledged."""
        async with backend.subscribe(GROUP, [ORDER]) as member:
            (sent,) = events(1)
            await backend.publish([sent])
            for _ in range(4):
                (got,) = await take(member)
                assert got.event == sent
                await got.retry(0)
            await acknowledge(await take(member))
            await nothing(member, "it was acknowledged")

    @promise()
    async def test_a_delayed_retry_does_not_come_early(self, backend: Bus) -> None:
        """What is to be tried again after a while does not come before, and then it does."""
        async with backend.subscribe(GROUP, [ORDER]) as member:
            (sent,) = events(1)
            await backend.publish([sent])
            (got,) = await take(member)
            start = time.monotonic()
            await got.retry(0.8)
            (again,) = await take(member)
            assert time.monotonic() - start >= 0.8 - ROUNDING
            assert again.event == sent
            await again.ack()

    @promise()
    async def test_a_delayed_retry_outlives_its_member(self, backend: Bus) -> None:
        """A delayed retry is not lost, and keeps its delay, when the member that asked for it leaves."""
        async with backend.subscribe(GROUP, [ORDER]) as member:
            await backend.publish(events(1))
            (got,) = await take(member)
            start = time.monotonic()
            await got.retry(0.7)
        async with backend.subscribe(GROUP, [ORDER]) as member:
            (again,) = await take(member)
            assert time.monotonic() - start >= 0.7 - ROUNDING
            assert again.attempt == 2
            await again.ack()

    @promise()
    async def test_a_counted_retry_counts(self, backend: Bus) -> None:
        """`attempt` is 1 at first, and one more for each counted retry."""
        async with backend.subscribe(GROUP, [ORDER]) as member:
            await backend.publish(events(1))
            for attempt in range(1, 5):
                (got,) = await take(member)
                assert got.attempt == attempt
                await got.retry(0.05)

    @promise()
    async def test_an_outage_of_others_is_not_counted_as_attempt(self, backend: Bus) -> None:
        """An uncounted retry (because something else was unavailable) leaves `attempt` as it is."""
        async with backend.subscribe(GROUP, [ORDER]) as member:
            await backend.publish(events(1))
            for counted, attempt in ((False, 1), (False, 1), (True, 1), (False, 2), (True, 2), (False, 3)):
                (got,) = await take(member)
                assert got.attempt == attempt
                await got.retry(0, counted=counted)

    @promise()
    async def test_retries_of_one_group_are_not_seen_by_another(self, backend: Bus) -> None:
        """What one group retries or buries is neither delivered to another group again, nor counted there."""
        async with backend.subscribe(GROUP, [ORDER]) as one, backend.subscribe(OTHER, [ORDER]) as other:
            await backend.publish(events(2))
            first, second = await take(one, 2)
            await first.retry(0)
            await second.bury("bad")
            mine = await take(other, 2)
            assert [got.attempt for got in mine] == [1, 1]
            await acknowledge(mine)
            assert (await take(one))[0].attempt == 2
            await nothing(other, "another group retried it")

    @promise()
    async def test_a_retry_does_not_stall_the_rest(self, backend: Bus) -> None:
        """An event that waits for its next try does not hold up the others of its group."""
        async with backend.subscribe(GROUP, [ORDER]) as member:
            await backend.publish([event()])
            (bad,) = await take(member)
            await bad.retry(20)
            sent = events(5)
            await backend.publish(sent)
            assert ids(await take_all(member, sent, within=5)) == ids(sent)

    @promise()
    async def test_what_is_held_does_not_stall_the_rest(self, backend: Bus) -> None:
        """A member may hold many deliveries unended and gets more."""
        async with backend.subscribe(GROUP, [ORDER]) as member:
            sent = events(120)
            await backend.publish(sent)
            held = await take(member, 120)
            assert ids(held) == ids(sent)
            await acknowledge(held)

    @promise()
    async def test_a_member_that_leaves_gives_back_at_once(self, backend: Bus) -> None:
        """What a member holds unended when it leaves comes to another at once, uncounted, and only that."""
        sent = events(4)
        async with backend.subscribe(GROUP, [ORDER]) as stays:
            async with backend.subscribe(GROUP, [ORDER]) as leaves:
                await backend.publish(sent)
                held = await take(leaves, 4)
                await held[0].ack()
            again = await take(stays, 3, within=1.5)
            assert ids(again) == ids(held[1:])
            assert [got.attempt for got in again] == [1, 1, 1]
            await acknowledge(again)
            await nothing(stays, "it was acknowledged")

    @promise()
    async def test_a_member_that_fails_gives_back_at_once(self, backend: Bus) -> None:
        """What a member holds when an error ends it comes to another at once."""
        await known(backend, GROUP)
        (sent,) = events(1)
        await backend.publish([sent])
        with suppress(ZeroDivisionError):
            async with backend.subscribe(GROUP, [ORDER]) as fails:
                await take(fails)
                raise ZeroDivisionError
        async with backend.subscribe(GROUP, [ORDER]) as member:
            (again,) = await take(member, within=1.5)
            assert (again.event, again.attempt) == (sent, 1)
            await again.ack()

    @promise()
    async def test_a_late_end_of_what_was_given_back_is_void(self, backend: Bus) -> None:
        """Whoever ends a delivery that went to another member in the meantime changes nothing for that one."""
        ways = (_ack, _retry, _bury)
        async with backend.subscribe(GROUP, [ORDER]) as stays:
            async with backend.subscribe(GROUP, [ORDER]) as leaves:
                await backend.publish(events(3))
                late = await take(leaves, 3)
            taken = await take(stays, 3)
            for end, delivery in zip(ways, late, strict=True):
                with suppress(BackendError):  # it may be told so
                    await end(delivery)
            await nothing(stays, "its holder has not ended it yet")
            for delivery in taken:
                await delivery.retry(0)
            again = await take(stays, 3)
            assert ids(again) == ids(late)
            assert [got.attempt for got in again] == [2, 2, 2]
            await acknowledge(again)
        assert await backend.dead_letters(10) == []

    @promise()
    async def test_a_cancelled_receive_loses_nothing(self, backend: Bus, stress: int, lease: float) -> None:
        """Whenever a `receive` is cancelled, no event is lost: what it had taken comes again."""
        sent = events(20 * stress)
        got: list[str] = []
        async with backend.subscribe(GROUP, [ORDER]) as member:
            for number, one in enumerate(sent):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_receive_once, member, got)
                    await anyio.sleep(0.005)
                    await backend.publish([one])
                    for _ in range(number % 4):
                        await anyio.lowlevel.checkpoint()
                    await anyio.sleep(0.002 * (number % 5))
                    tasks.cancel_scope.cancel()
            missing = [one for one in sent if one.id not in got]
            await take_all(member, missing, within=2 * lease + 5)

    @promise(needs=[Capability.DURABLE])
    async def test_a_delayed_retry_survives_reopening(self, opener: Opener) -> None:
        """What waits for its next try survives that the bus is closed and opened, with its attempts."""
        async with opener() as bus, bus.subscribe(GROUP, [ORDER]) as member:
            await bus.publish(events(1))
            (got,) = await take(member)
            start = time.monotonic()
            await got.retry(0.7)
        async with opener() as bus, bus.subscribe(GROUP, [ORDER]) as member:
            (again,) = await take(member)
            assert time.monotonic() - start >= 0.7 - ROUNDING
            assert again.attempt == 2
            await again.ack()


async def _ack(delivery: Delivery) -> None:
    await delivery.ack()


async def _retry(delivery: Delivery) -> None:
    await delivery.retry(0)


async def _bury(delivery: Delivery) -> None:
    await delivery.bury("late")


async def _receive_once(member: Subscription, got: list[str]) -> None:
    for delivery in await member.receive(5):
        got.append(delivery.event.id)  # first: when the acknowledgement is cancelled, it came all the same
        await delivery.ack()
