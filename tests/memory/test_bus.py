from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence

import anyio
import pytest

from ticketkit.backends.bus import Delivery, Subscription
from ticketkit.events.envelope import Envelope
from ticketkit.memory import MemoryBus, VirtualClock
from ticketkit.memory._settling import settle

pytestmark = pytest.mark.anyio
MakeEvent = Callable[..., Envelope]
NAMES = ("order.created",)


@pytest.fixture
def bus(clock: VirtualClock) -> MemoryBus:
    return MemoryBus(clock)


async def take(subscription: Subscription, limit: int = 100) -> list[Delivery]:
    """What is there now; nothing when one would have to wait."""
    found: list[Delivery] = []

    async def receive() -> None:
        found.extend(await subscription.receive(limit))

    async with anyio.create_task_group() as group:
        group.start_soon(receive)
        await settle()
        group.cancel_scope.cancel()
    return found


def events_of(deliveries: Sequence[Delivery]) -> list[Envelope]:
    return [delivery.event for delivery in deliveries]


class TestGroups:
    async def test_each_group_gets_each_event_once(self, bus: MemoryBus, event: MakeEvent) -> None:
        async with bus.subscribe("payments", NAMES) as payments, bus.subscribe("expiration", NAMES) as expiration:
            sent = [event(), event()]
            await bus.publish(sent)
            assert events_of(await take(payments)) == events_of(await take(expiration)) == sent
            assert await take(payments) == []

    async def test_members_of_a_group_compete(self, bus: MemoryBus, event: MakeEvent, clock: VirtualClock) -> None:
        got: list[str] = []

        async def member() -> None:
            async with bus.subscribe("payments", NAMES) as subscription:
                while True:
                    for delivery in await subscription.receive(1):
                        got.append(delivery.event.id)
                        await delivery.ack()

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(member)
            await clock.settle()
            await bus.publish([event() for _ in range(50)])
            await clock.settle()
            group.cancel_scope.cancel()
        assert sorted(got) == sorted(f"event-{number}" for number in range(1, 51))

    async def test_only_the_names_that_were_asked_for_come(self, bus: MemoryBus, event: MakeEvent) -> None:
        async with bus.subscribe("payments", ["order.created", "order.cancelled"]) as subscription:
            await bus.publish([event("ticket.sold"), event("order.cancelled"), event("order.completed")])
            assert [found.name for found in events_of(await take(subscription))] == ["order.cancelled"]

    async def test_no_more_than_the_limit_comes_at_once(self, bus: MemoryBus, event: MakeEvent) -> None:
        async with bus.subscribe("payments", NAMES) as subscription:
            await bus.publish([event() for _ in range(5)])
            assert [len(await take(subscription, 2)) for _ in range(3)] == [2, 2, 1]

    async def test_who_waits_gets_what_comes(self, bus: MemoryBus, event: MakeEvent, clock: VirtualClock) -> None:
        got: list[Envelope] = []

        async def member() -> None:
            async with bus.subscribe("payments", NAMES) as subscription:
                got.extend(events_of(await subscription.receive(10)))

        async with anyio.create_task_group() as group:
            group.start_soon(member)
            await clock.settle()
            await bus.publish([sent := event()])
        assert got == [sent]

    async def test_a_group_keeps_what_comes_while_it_has_no_member(self, bus: MemoryBus, event: MakeEvent) -> None:
        sent = [event(), event(), event()]
        await bus.publish(sent[:1])  # nobody has ever subscribed
        async with bus.subscribe("payments", NAMES):
            await bus.publish(sent[1:2])
        await bus.publish(sent[2:])
        async with bus.subscribe("payments", NAMES) as subscription:
            assert events_of(await take(subscription)) == sent[1:]

    async def test_what_a_member_did_not_end_goes_to_another_one(self, bus: MemoryBus, event: MakeEvent) -> None:
        async with bus.subscribe("payments", NAMES) as survivor:
            async with bus.subscribe("payments", NAMES) as dying:
                sent = [event(), event(), event()]
                await bus.publish(sent)
                first, *_ = deliveries = await take(dying)
                await first.ack()
                assert await take(survivor) == []
            found = await take(survivor)
            assert events_of(found) == sent[1:]
            assert [delivery.attempt for delivery in found] == [1, 1]
            await deliveries[1].retry(0)  # too late: it is another's now
            await deliveries[2].bury("too late")
            assert await take(survivor) == []
            assert await bus.dead_letters(10) == []

    async def test_new_names_replace_the_old_ones_when_nobody_is_there(self, bus: MemoryBus, event: MakeEvent) -> None:
        async with bus.subscribe("payments", ["order.created"]):
            pass
        async with bus.subscribe("payments", ["order.cancelled"]) as subscription:
            await bus.publish([event("order.created"), event("order.cancelled")])
            assert [found.name for found in events_of(await take(subscription))] == ["order.cancelled"]

    async def test_members_that_are_there_together_add_their_names(self, bus: MemoryBus, event: MakeEvent) -> None:
        async with bus.subscribe("payments", ["order.created"]) as old, bus.subscribe("payments", ["order.cancelled"]):
            await bus.publish([event("order.created"), event("order.cancelled")])
            assert len(await take(old)) == 2


class TestRetries:
    async def test_a_retry_comes_after_its_time_and_counts(
        self, bus: MemoryBus, event: MakeEvent, clock: VirtualClock
    ) -> None:
        async with bus.subscribe("payments", NAMES) as subscription:
            await bus.publish([event()])
            (delivery,) = await take(subscription)
            await delivery.retry(10)
            await clock.advance(seconds=9.999)
            assert await take(subscription) == []
            await clock.advance(milliseconds=1)
            (again,) = await take(subscription)
            assert (again.event, again.attempt) == (delivery.event, 2)
            await again.retry(0, counted=False)
            (third,) = await take(subscription)
            assert third.attempt == 2

    async def test_who_waits_is_woken_when_a_retry_is_due(
        self, bus: MemoryBus, event: MakeEvent, clock: VirtualClock
    ) -> None:
        began, times = clock.now(), []

        async def member() -> None:
            async with bus.subscribe("payments", NAMES) as subscription:
                for after in (30, 5, 0):
                    (delivery,) = await subscription.receive(1)
                    times.append((clock.now() - began).total_seconds())
                    await delivery.retry(after)

        async with anyio.create_task_group() as group:
            group.start_soon(member)
            await clock.settle()
            await bus.publish([event()])
            await clock.advance(minutes=1)
        assert times == [0, 30, 35]

    async def test_a_retry_does_not_keep_others_waiting(
        self, bus: MemoryBus, event: MakeEvent, clock: VirtualClock
    ) -> None:
        async with bus.subscribe("payments", NAMES) as subscription:
            await bus.publish([event()])
            (delivery,) = await take(subscription)
            await delivery.retry(60)
            await bus.publish([other := event()])
            assert events_of(await take(subscription)) == [other]

    async def test_a_delivery_is_ended_once(self, bus: MemoryBus, event: MakeEvent) -> None:
        async with bus.subscribe("payments", NAMES) as subscription:
            await bus.publish([event()])
            (delivery,) = await take(subscription)
            await delivery.ack()
            await delivery.retry(0)
            await delivery.bury("no")
            assert await take(subscription) == []
        async with bus.subscribe("payments", NAMES) as subscription:
            assert await take(subscription) == []


class TestDeadLetters:
    async def test_what_is_buried_is_kept_for_its_group_alone(self, bus: MemoryBus, event: MakeEvent) -> None:
        async with bus.subscribe("payments", NAMES) as payments, bus.subscribe("other", NAMES) as other:
            await bus.publish([sent := event()])
            (delivery,) = await take(payments)
            await delivery.retry(0)
            (delivery,) = await take(payments)
            await delivery.bury("it breaks the handler")
            (letter,) = await bus.dead_letters(10)
            assert (letter.group, letter.event, letter.attempts, letter.error) == (
                "payments",
                sent,
                2,
                "it breaks the handler",
            )
            assert await take(payments) == []
            assert len(await take(other)) == 1

    async def test_a_replayed_letter_comes_to_its_group_as_if_new(self, bus: MemoryBus, event: MakeEvent) -> None:
        async with bus.subscribe("payments", NAMES) as payments, bus.subscribe("other", NAMES) as other:
            await bus.publish([event()])
            await take(other)
            (delivery,) = await take(payments)
            await delivery.bury("")
            (letter,) = await bus.dead_letters(10)
            assert await bus.replay_dead_letter(letter.id)
            (again,) = await take(payments)
            assert (again.event, again.attempt) == (letter.event, 1)
            assert await take(other) == []
            assert not await bus.replay_dead_letter(letter.id)

    async def test_letters_are_listed_oldest_first_and_dropped_one_by_one(
        self, bus: MemoryBus, event: MakeEvent
    ) -> None:
        async with bus.subscribe("payments", NAMES) as subscription:
            await bus.publish([event() for _ in range(3)])
            for delivery in await take(subscription):
                await delivery.bury("")
        letters = await bus.dead_letters(10)
        assert [letter.event.id for letter in letters] == ["event-1", "event-2", "event-3"]
        assert await bus.dead_letters(1) == letters[:1]
        assert await bus.drop_dead_letter(letters[1].id)
        assert not await bus.drop_dead_letter(letters[1].id)
        assert await bus.dead_letters(10) == [letters[0], letters[2]]


class TestHandingOver:
    """Who hands events over hears when every group has handled them."""

    async def test_an_event_is_settled_when_the_last_group_has_acknowledged_it(
        self, bus: MemoryBus, event: MakeEvent, clock: VirtualClock
    ) -> None:
        settled: list[tuple[str, str | None]] = []
        async with bus.subscribe("payments", NAMES) as payments, bus.subscribe("other", NAMES) as other:
            await bus.hand_over([event()], lambda *told: settled.append(told))
            (delivery,) = await take(payments)
            await delivery.ack()
            (delivery,) = await take(other)
            await delivery.retry(1)
            await clock.advance(seconds=1)
            assert settled == []
            (delivery,) = await take(other)
            await delivery.ack()
            assert settled == [("event-1", None)]

    async def test_what_nobody_hears_is_settled_at_once(self, bus: MemoryBus, event: MakeEvent) -> None:
        settled: list[tuple[str, str | None]] = []
        async with bus.broadcast(NAMES) as listener:
            await bus.hand_over([event()], lambda *told: settled.append(told))
            assert settled == [("event-1", None)]
            assert len(await take(listener)) == 1

    async def test_what_a_group_buries_is_settled_with_its_error_and_no_dead_letter_here(
        self, bus: MemoryBus, event: MakeEvent
    ) -> None:
        settled: list[tuple[str, str | None]] = []
        async with bus.subscribe("payments", NAMES) as payments, bus.subscribe("other", NAMES) as other:
            await bus.hand_over([event()], lambda *told: settled.append(told))
            (delivery,) = await take(payments)
            await delivery.bury("it breaks")
            assert settled == []
            (delivery,) = await take(other)
            await delivery.ack()
            assert settled == [("event-1", "payments: it breaks")]
            assert await bus.dead_letters(10) == []


class TestBroadcast:
    async def test_every_listener_hears_what_comes_from_now_on(self, bus: MemoryBus, event: MakeEvent) -> None:
        await bus.publish([event()])
        async with bus.broadcast(NAMES) as one, bus.broadcast(NAMES) as two, bus.subscribe("group", NAMES) as group:
            await bus.publish([sent := event(), event("ticket.sold")])
            assert events_of(await take(one)) == events_of(await take(two)) == events_of(await take(group)) == [sent]

    async def test_a_listener_that_comes_back_has_missed_what_came_meanwhile(
        self, bus: MemoryBus, event: MakeEvent
    ) -> None:
        async with bus.broadcast(NAMES):
            await bus.publish([event()])
        await bus.publish([event()])
        async with bus.broadcast(NAMES) as listener:
            assert await take(listener) == []

    async def test_a_listener_can_have_an_event_again_but_leaves_no_dead_letters(
        self, bus: MemoryBus, event: MakeEvent, clock: VirtualClock
    ) -> None:
        async with bus.broadcast(NAMES) as listener:
            await bus.publish([event()])
            (delivery,) = await take(listener)
            await delivery.retry(1)
            await clock.advance(seconds=1)
            (again,) = await take(listener)
            assert again.attempt == 2
            await again.bury("")
            assert await bus.dead_letters(10) == []

    async def test_what_a_listener_does_not_acknowledge_is_not_kept(self, bus: MemoryBus, event: MakeEvent) -> None:
        async with bus.broadcast(NAMES) as listener:
            await bus.publish([event()])
            heard = [weakref.ref(delivery) for delivery in await take(listener)]
            gc.collect()
            assert [ref() for ref in heard] == [None]
