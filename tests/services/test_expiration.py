from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ticketkit.domain.entities import OrderStatus
from ticketkit.events.catalogue import Amount, OrderState
from ticketkit.events.envelope import Envelope, Event
from ticketkit.ids import new_id
from ticketkit.memory import MemoryBus, MemoryTimers, VirtualClock
from ticketkit.services.expiration import Expiration

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(minutes=15)
LATER = END + timedelta(seconds=60)


def heard(version: int, status: OrderStatus, expires_at: datetime) -> Event[Any]:
    data = OrderState(
        id="order",
        version=version,
        user_id="buyer",
        status=status,
        expires_at=expires_at,
        total=Amount(minor=1, currency="USD"),
        lines=(),
    )
    envelope = Envelope(
        id=new_id(),
        type="ticketkit.order.created.v1",
        source="/test",
        subject="order",
        time=START,
        aggregateversion=version,
        data=b"{}",
    )
    return Event(envelope, data)


CREATED = heard(1, OrderStatus.CREATED, END)
EXTENDED = heard(2, OrderStatus.CREATED, LATER)
OVER = heard(3, OrderStatus.COMPLETED, LATER)


class Watched:
    """An expiration service, and what it says."""

    def __init__(self) -> None:
        self.clock = VirtualClock(start=START)
        self.bus = MemoryBus(self.clock)
        self.expiration = Expiration(MemoryTimers(self.clock, new_id), self.bus, clock=self.clock, new_id=new_id)

    async def said(self) -> list[datetime]:
        """When it said that the order is due, minute by minute over twenty."""
        found = []
        async with self.bus.subscribe("test", ["order.expiration_due"]) as subscription:
            for _ in range(20 * 60):
                await self.clock.advance(seconds=1)
                if await self.expiration.fire():
                    assert all(one.event.subject == "order" for one in await subscription.receive(10))
                    found.append(self.clock.now())
        return found


@pytest.mark.parametrize("events", list(itertools.permutations([CREATED, EXTENDED])))
async def test_a_prolonged_lock_is_said_to_be_due_at_its_end_whatever_came_first(
    events: tuple[Event[Any], ...],
) -> None:
    watched = Watched()
    for event in (*events, *events):
        await watched.expiration.handle_order(event)
    assert await watched.said() == [END, LATER]


async def test_an_order_that_is_over_is_not_due_at_its_last_end() -> None:
    watched = Watched()
    for event in (CREATED, EXTENDED, OVER):
        await watched.expiration.handle_order(event)
    assert await watched.said() == [END]


async def test_a_lock_is_never_said_to_be_due_early() -> None:
    watched = Watched()
    await watched.expiration.handle_order(CREATED)
    await watched.clock.advance(minutes=14, seconds=59)
    assert await watched.expiration.fire() == 0
    await watched.clock.advance(seconds=1)
    assert await watched.expiration.fire() == 1
