"""What was acknowledged is cut; what was not never is."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ticketkit.backends.spec import Context
from ticketkit.events.envelope import Envelope
from ticketkit_redis.bus import RedisBus, open_bus

pytestmark = pytest.mark.anyio
NAMES = ["order.created"]
Make = Callable[..., Envelope]


async def length(bus: RedisBus) -> int:
    return int(await bus._server.listening.xlen(bus._server.keys.events("order.created")))


async def test_a_slow_group_gets_all_while_publishers_trim_under_load(url: str, event: Make) -> None:
    events = [event() for _ in range(3000)]
    longest = 0
    async with (
        open_bus(f"{url}&keep=0.05", Context()) as bus,
        bus.subscribe("slow", NAMES) as slow,
        bus.subscribe("fast", NAMES) as fast,
    ):
        got: dict[str, set[str]] = {"slow": set(), "fast": set()}

        async def publish() -> None:
            nonlocal longest
            for begin in range(0, len(events), 50):
                await bus.publish(events[begin : begin + 50])
                longest = max(longest, await length(bus))

        async def consume(name: str, member: Any, limit: int) -> None:
            while len(got[name]) < len(events):
                for number, delivery in enumerate(await member.receive(limit)):
                    if name == "slow" and number % 7 == 0 and delivery.attempt == 1:
                        await delivery.retry(0.05)
                    else:
                        await delivery.ack()
                        got[name].add(delivery.event.id)

        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(publish())
            tasks.create_task(consume("fast", fast, 200))
            tasks.create_task(consume("slow", slow, 20))
        assert got["slow"] == got["fast"] == {one.id for one in events}
        await asyncio.sleep(0.06)  # `keep`, by the server's clock
        await bus.trim()
        assert await length(bus) < 200 < longest  # whole nodes of the stream go: up to 100 entries stay


async def test_what_a_group_without_members_has_not_read_is_kept(url: str, event: Make) -> None:
    async with open_bus(f"{url}&keep=0.001", Context()) as bus:
        await bus.publish([event() for _ in range(300)])
        async with bus.subscribe("a", NAMES):
            pass
        await bus.publish([event() for _ in range(300)])
        await bus.trim()
        assert 300 <= await length(bus) < 500
        got = 0
        async with bus.subscribe("a", NAMES) as member:
            while got < 300:
                got += len(await member.receive(300))


async def test_what_a_member_holds_is_kept_and_what_came_before_it_goes(url: str, event: Make) -> None:
    async with open_bus(f"{url}&keep=0.001", Context()) as bus, bus.subscribe("a", NAMES) as member:
        await bus.publish([event() for _ in range(500)])
        held = await member.receive(500)
        for delivery in (*held[:250], *held[251:]):
            await delivery.ack()
        await bus.trim()
        assert 250 <= await length(bus) <= 350
        stream = bus._server.keys.events("order.created")
        assert await bus._server.listening.xrange(stream, held[250].place[1], held[250].place[1])  # type: ignore[attr-defined]


async def test_an_event_is_kept_for_listeners_that_were_away_for_less_than_keep(url: str, event: Make) -> None:
    async with open_bus(f"{url}&keep=600", Context()) as bus, bus.broadcast(NAMES) as listener:
        await bus.publish([event() for _ in range(300)])
        await bus.trim()
        assert len(await listener.receive(1000)) == 300
