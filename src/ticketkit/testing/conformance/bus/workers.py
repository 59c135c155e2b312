"""What the child processes of the bus's tests do; see `Worker`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio

from ticketkit.testing.conformance.bus.post import ORDER, events

if TYPE_CHECKING:
    from ticketkit.backends.bus import Bus, Delivery

Say = Callable[[Any], None]


async def publish(bus: Bus, say: Say, batch: int, batches: int | None) -> None:
    """Publish batch after batch, and say the ids of each once the bus says that it keeps them; then stay."""
    for _ in itertools.count() if batches is None else range(batches):
        sent = events(batch)
        await bus.publish(sent)
        say([one.id for one in sent])
    await anyio.sleep_forever()


async def hold(bus: Bus, say: Say, group: str, number: int) -> None:
    """Receive so many, say their ids and attempts, and keep them without an end."""
    async with bus.subscribe(group, [ORDER]) as member:
        held: list[Delivery] = []
        while len(held) < number:
            held += await member.receive(number - len(held))
        say([[one.event.id, one.attempt] for one in held])
        await anyio.sleep_forever()


async def hold_through_a_freeze(bus: Bus, say: Say, group: str, seconds: float) -> None:
    """Receive one, notice when this process was frozen for a while, and acknowledge it then: too late."""
    async with bus.subscribe(group, [ORDER]) as member:
        (held,) = await member.receive(1)
        last = time.monotonic()  # before it is said: whoever hears it freezes us at once
        say(held.event.id)
        while time.monotonic() - last < seconds:
            last = time.monotonic()
            await anyio.sleep(0.02)
        await held.ack()
        say("acknowledged")
        await anyio.sleep_forever()


async def handle(bus: Bus, say: Say, group: str) -> None:
    """Handle what comes: say its id, then acknowledge it."""
    async with bus.subscribe(group, [ORDER]) as member:
        say("ready")
        while True:
            for one in await member.receive(10):
                say(one.event.id)
                await one.ack()
