"""The bus: groups, broadcast, leases, dead letters."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ticketkit.backends.spec import Context
from ticketkit.events.envelope import Envelope
from ticketkit_sql.bus import SqlBus, open_bus

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", ["sqlite"], indirect=True)]
NAMES = ["order.created"]


@pytest.fixture
async def bus(url: str, clock: Any) -> AsyncIterator[SqlBus]:
    async with open_bus(url, Context(clock=clock)) as bus:
        yield bus


async def receive(subscription: Any, limit: int = 100) -> list[Any]:
    return list(await asyncio.wait_for(subscription.receive(limit), 5))


async def silent(subscription: Any) -> bool:
    try:
        await asyncio.wait_for(subscription.receive(1), 0.15)
    except TimeoutError:
        return True
    return False


async def test_each_group_gets_each_event_once_among_its_members(bus: SqlBus, event: Callable[..., Envelope]) -> None:
    events = [event() for _ in range(20)]
    async with bus.subscribe("a", NAMES) as one, bus.subscribe("a", NAMES) as two, bus.subscribe("b", NAMES) as other:
        await bus.publish(events)
        mine, more, all_of_b = await receive(one, 10), await receive(two, 10), await receive(other)
        for delivery in (*mine, *more, *all_of_b):
            await delivery.ack()
        assert await silent(one)
    ids = {one.id for one in events}
    assert {delivery.event.id for delivery in (*mine, *more)} == ids
    assert [delivery.event for delivery in all_of_b] == events


async def test_a_group_gets_what_was_published_while_nobody_was_there(
    bus: SqlBus, event: Callable[..., Envelope]
) -> None:
    await bus.publish([event()])
    async with bus.subscribe("a", NAMES):
        pass
    later = event()
    await bus.publish([later, event("ticket.sold")])
    async with bus.subscribe("a", NAMES) as member:
        assert [delivery.event for delivery in await receive(member)] == [later]


async def test_what_a_dead_member_had_comes_again(url: str, clock: Any, event: Callable[..., Envelope]) -> None:
    async with open_bus(url, Context(clock=clock)) as bus, bus.subscribe("a", NAMES) as member:
        await bus.publish([event()])
        (late,) = await receive(member)
        late._member._open.clear()  # nobody renews its lease any more
        clock.advance(seconds=31)
        (again,) = await receive(member)
        await late.ack()
        assert again.attempt == 1
        await again.retry(0)
        (third,) = await receive(member)
        assert third.attempt == 2


async def test_the_lease_of_a_living_member_is_renewed(bus: SqlBus, clock: Any, event: Callable[..., Envelope]) -> None:
    async with bus.subscribe("a", NAMES) as member, bus.subscribe("a", NAMES) as other:
        await bus.publish([event()])
        (delivery,) = await receive(member)
        for _ in range(6):
            clock.advance(seconds=11)
            await asyncio.sleep(0.05)
        assert await silent(other)
        await delivery.ack()


async def test_a_member_that_leaves_gives_back_what_it_has_not_ended(
    bus: SqlBus, event: Callable[..., Envelope]
) -> None:
    async with bus.subscribe("a", NAMES) as member:
        await bus.publish([event(), event()])
        first, second = await receive(member)
        await first.ack()
    async with bus.subscribe("a", NAMES) as member:
        (again,) = await receive(member)
        assert again.event == second.event


async def test_a_retry_waits_and_counts_only_when_told(bus: SqlBus, clock: Any, event: Callable[..., Envelope]) -> None:
    async with bus.subscribe("a", NAMES) as member:
        await bus.publish([event()])
        (delivery,) = await receive(member)
        await delivery.retry(10, counted=False)
        assert await silent(member)
        clock.advance(seconds=10)
        (delivery,) = await receive(member)
        assert delivery.attempt == 1


async def test_a_dead_letter_is_shown_replayed_and_dropped(bus: SqlBus, event: Callable[..., Envelope]) -> None:
    async with bus.subscribe("a:b", NAMES) as member:
        poison = event()
        await bus.publish([poison])
        (delivery,) = await receive(member)
        await delivery.bury("bad")
        (letter,) = await bus.dead_letters(5)
        assert (letter.group, letter.event, letter.attempts, letter.error) == ("a:b", poison, 1, "bad")
        assert await bus.replay_dead_letter(letter.id)
        assert not await bus.drop_dead_letter(letter.id)
        (delivery,) = await receive(member)
        await delivery.bury("worse")
        assert await bus.drop_dead_letter(letter.id)
        assert await bus.dead_letters(5) == []
        assert not await bus.replay_dead_letter("nonsense")


async def test_a_broadcast_reaches_every_listener_from_now_on(bus: SqlBus, event: Callable[..., Envelope]) -> None:
    await bus.publish([event()])
    async with bus.broadcast(NAMES) as one, bus.broadcast([*NAMES, "ticket.sold"]) as two:
        order, ticket = event(), event("ticket.sold")
        await bus.publish([order, ticket])
        assert [delivery.event for delivery in await receive(one)] == [order]
        assert [delivery.event for delivery in await receive(two)] == [order, ticket]
        assert await silent(one)


async def test_another_process_is_heard(bus: SqlBus, url: str, event: Callable[..., Envelope]) -> None:
    # On its own clock and writer: as another process would be.
    async with open_bus(url, Context()) as other, other.subscribe("a", NAMES) as member, other.broadcast(NAMES) as ear:
        sent = event()
        await bus.publish([sent])
        assert [delivery.event for delivery in await receive(ear)] == [sent]
        bus_clock = bus._database.clock
        assert bus_clock is not other._database.clock
        assert member is not None


async def test_messages_that_nobody_waits_for_are_purged(
    bus: SqlBus, clock: Any, event: Callable[..., Envelope]
) -> None:
    async with bus.subscribe("a", ["ticket.sold"]) as member:
        waited_for = event("ticket.sold")
        await bus.publish([event(), waited_for])
        clock.advance(minutes=10)
        await bus.publish([event()])
        count = await bus._database.read(
            lambda c: c.exec_driver_sql("SELECT count(*) FROM ticketkit_bus_messages").scalar()
        )
        assert count == 2
        assert [delivery.event for delivery in await receive(member)] == [waited_for]
