"""Servers that die, freeze and forget: everything pauses, nothing is lost, and the same objects go on."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from ticketkit.backends.errors import Unavailable
from ticketkit.backends.spec import Context
from ticketkit.events.envelope import Envelope
from ticketkit.testing.servers import Nats
from ticketkit_nats.bus import NatsBus, open_bus

pytestmark = pytest.mark.anyio
NAMES = ["order.created"]
Make = Callable[..., Envelope]


@pytest.fixture
def server() -> Iterator[Nats]:
    with Nats() as server:
        yield server


@pytest.fixture
async def bus(server: Nats) -> AsyncIterator[NatsBus]:
    async with open_bus(f"{server.url}?lease=2&timeout=1", Context()) as bus:
        yield bus


async def back(attempt: Callable[[], Any], *, within: float = 15) -> Any:
    """Try until it is available."""
    async with asyncio.timeout(within):
        while True:
            try:
                return await attempt()
            except Unavailable:
                await asyncio.sleep(0.05)


async def unavailable(attempt: Callable[[], Any], *, within: float = 5) -> None:
    """It says so, in bounded time."""
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(attempt(), within)
    assert time.monotonic() - began < within


async def test_a_killed_server_pauses_everything_and_loses_nothing(
    server: Nats, bus: NatsBus, event: Make, hear: Any
) -> None:
    async with bus.subscribe("a", NAMES) as member, bus.broadcast(NAMES) as listener:
        sent = [event() for _ in range(50)]
        await bus.publish(sent)
        held = await hear.all(member, 10)
        waiting = asyncio.create_task(member.receive(100))
        server.kill()
        if not waiting.done():
            await asyncio.wait([waiting], timeout=3)
        found = [] if waiting.exception() else list(waiting.result())
        await unavailable(lambda: bus.publish([event()]))
        await unavailable(lambda: member.receive(10))
        await unavailable(lambda: listener.receive(10)) if not (await _heard(listener)) else None
        await unavailable(held[0].ack)
        await unavailable(lambda: held[1].retry(0))
        server.start()
        more = event()
        await back(lambda: bus.publish([more]))
        for delivery in [*held, *found]:
            await back(delivery.ack)
        ids = {one.event.id for one in [*held, *found]}
        async with asyncio.timeout(20):
            while len(ids) < 51:
                for delivery in await back(lambda: member.receive(100)):
                    ids.add(delivery.event.id)
                    await delivery.ack()
        assert ids == {one.id for one in [*sent, more]}


async def _heard(listener: Any) -> bool:
    try:
        await asyncio.wait_for(listener.receive(100), 2)
    except (Unavailable, TimeoutError):
        return False
    return True


async def test_a_broadcast_goes_on_where_it_was_after_a_reconnect(
    server: Nats, bus: NatsBus, event: Make, hear: Any
) -> None:
    async with bus.broadcast(NAMES) as listener:
        first, second, third = event(), event(), event()
        await bus.publish([first])
        assert hear.events(await hear.all(listener, 1)) == [first]
        async with open_bus(server.url, Context()) as other:
            await other.publish([second])
        server.kill()
        await unavailable(lambda: bus.publish([third]))
        server.start()
        await back(lambda: bus.publish([third]))
        found: list[Envelope] = []
        async with asyncio.timeout(10):
            while len(found) < 2:
                found += hear.events(await back(lambda: listener.receive(100)))
        assert found == [second, third]


async def test_counted_tries_survive_the_death_of_server_and_members(
    server: Nats, bus: NatsBus, event: Make, hear: Any
) -> None:
    async with bus.subscribe("a", NAMES) as member:
        await bus.publish([event()])
        for attempt in (1, 2):
            delivery = await hear.one(member)
            assert delivery.attempt == attempt
            await delivery.retry(0)
    server.kill()
    server.start()
    async with (
        open_bus(f"{server.url}?lease=2&timeout=1", Context()) as later,
        later.subscribe("a", NAMES) as member,
    ):
        delivery = await hear.one(member)
        assert delivery.attempt == 3
        await delivery.ack()


@pytest.mark.parametrize("end", ["restart", "kill"])
async def test_a_retry_is_not_early_though_the_server_restarts(
    server: Nats, bus: NatsBus, event: Make, hear: Any, end: str
) -> None:
    async with bus.subscribe("a", NAMES) as member:
        await bus.publish([event()])
        delivery = await hear.one(member)
        began = time.monotonic()
        await delivery.retry(3.0, counted=False)
        if end == "restart":
            server.restart()
        else:
            server.kill()
            server.start()
        (again,) = await back(lambda: member.receive(1))
        assert time.monotonic() - began >= 3.0
        assert again.attempt == 1
        await again.ack()


async def test_a_frozen_server_is_unavailable_and_goes_on_later(
    server: Nats, bus: NatsBus, event: Make, hear: Any
) -> None:
    async with bus.subscribe("a", NAMES) as member:
        first, second = event(), event()
        await bus.publish([first])
        delivery = await hear.one(member)
        server.pause()
        try:
            await unavailable(lambda: bus.publish([second]))
            await unavailable(delivery.ack)
        finally:
            server.resume()
        await back(lambda: bus.publish([second]))
        seen = set()
        async with asyncio.timeout(15):
            while second.id not in seen:
                for one in await back(lambda: member.receive(10)):
                    seen.add(one.event.id)
                    await one.ack()


async def test_a_publish_whose_answer_was_lost_is_stored_once_when_tried_again(
    server: Nats, bus: NatsBus, event: Make, hear: Any
) -> None:
    async with bus.subscribe("a", NAMES) as member:
        events = [event() for _ in range(20)]
        await bus.publish([event()])
        await (await hear.one(member)).ack()
        server.pause()
        try:
            # The server gets the bytes, and nobody gets its answers.
            await unavailable(lambda: bus.publish(events))
        finally:
            server.resume()
        await back(lambda: bus.publish(events))
        found = await hear.all(member, 20)
        assert len({one.id for one in hear.events(found)}) == 20
        for one in found:
            await one.ack()
        assert await hear.nothing(member)
        await bus.publish(events[:1])  # and this is meant
        assert hear.events(await hear.all(member, 1)) == events[:1]


async def test_a_lost_consumer_is_made_anew_behind_what_was_acknowledged(
    server: Nats, bus: NatsBus, event: Make, hear: Any
) -> None:
    async with bus.subscribe("a", NAMES) as member:
        events = [event() for _ in range(6)]
        await bus.publish(events)
        for delivery in await hear.all(member, 3):
            await delivery.ack()
        await bus.groups.note("a", NAMES[0])
        await bus.connection.call(lambda jetstream: jetstream.delete_consumer("ticketkit", "a+order~created"))
        found = await hear.all(member, 3)
        assert hear.events(found) == events[3:]
        for delivery in found:
            await delivery.ack()
    await bus.connection.call(lambda jetstream: jetstream.delete_consumer("ticketkit", "a+order~created"))
    later = event()
    await bus.publish([later])
    async with bus.subscribe("a", NAMES) as member:
        async with asyncio.timeout(10):
            seen: list[Envelope] = []
            while later not in seen:
                seen += hear.events(await member.receive(10))
    assert not {one.id for one in seen} & {one.id for one in events[:3]}


async def test_a_lost_stream_is_made_anew(server: Nats, bus: NatsBus, event: Make, hear: Any) -> None:
    await bus.connection.call(lambda jetstream: jetstream.delete_stream("ticketkit"))
    sent = event()
    await unavailable(lambda: bus.publish([sent]))
    async with bus.broadcast(NAMES) as listener:
        await bus.publish([sent])
        assert hear.events(await hear.all(listener, 1)) == [sent]


async def test_what_is_given_up_does_not_cost_the_connection(server: Nats, bus: NatsBus, event: Make) -> None:
    client = await bus.connection.client()
    server.pause()
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bus.connection.send([]), 0.2)
        await unavailable(lambda: bus.connection.send([]))
    finally:
        server.resume()
    began = time.monotonic()
    await back(lambda: bus.publish([event()]))
    await bus.connection.send([])
    assert time.monotonic() - began < 3
    assert await bus.connection.client() is client


async def test_no_server_at_all_is_unavailable_at_once() -> None:
    server = Nats()
    began = time.monotonic()
    with pytest.raises(Unavailable, match="can't be reached"):
        async with open_bus(server.url, Context()):
            pass
    assert time.monotonic() - began < 2


async def test_a_member_closes_cleanly_though_the_server_is_away(
    server: Nats, bus: NatsBus, event: Make, hear: Any
) -> None:
    async with bus.subscribe("a", NAMES) as member, bus.broadcast(NAMES) as listener:
        await bus.publish([event() for _ in range(10)])
        held = await hear.all(member, 5)
        assert await hear.all(listener, 1)
        server.kill()
        began = time.monotonic()
    assert time.monotonic() - began < 8
    assert len(held) == 5
