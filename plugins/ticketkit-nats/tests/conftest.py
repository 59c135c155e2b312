"""A bus on streams of its own, and short words for what the tests do with it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from ticketkit.backends.bus import Delivery, Subscription
from ticketkit.backends.spec import Context
from ticketkit.events.envelope import Envelope
from ticketkit.ids import new_id
from ticketkit_nats.bus import NatsBus, open_bus

_numbers = itertools.count(1)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def stream() -> str:
    """A name that no other test has."""
    return f"t{next(_numbers)}-{new_id()[-8:]}"


@pytest.fixture
def url(nats_url: str, stream: str) -> str:
    return f"{nats_url}?stream={stream}&lease=1.5&timeout=2"


@pytest.fixture
async def bus(url: str) -> AsyncIterator[NatsBus]:
    async with open_bus(url, Context()) as bus:
        yield bus


@pytest.fixture
def event() -> Callable[..., Envelope]:
    def make(name: str = "order.created", *, version: int = 1, data: bytes = b'{"n":1}', **values: Any) -> Envelope:
        attributes: dict[str, Any] = {
            "id": new_id(),
            "type": f"ticketkit.{name}.v{version}",
            "source": "/ticketkit/orders",
            "subject": new_id(),
            "time": datetime(2026, 12, 1, 12, 30, 15, 250000, tzinfo=UTC),
            "aggregateversion": 3,
            "data": data,
        }
        return Envelope(**{**attributes, **values})

    return make


class Hearing:
    """Words for receiving, each bounded in time."""

    async def some(self, subscription: Subscription, limit: int = 100, *, within: float = 10) -> list[Delivery]:
        async with asyncio.timeout(within):
            return list(await subscription.receive(limit))

    async def one(self, subscription: Subscription, *, within: float = 10) -> Delivery:
        (found,) = await self.some(subscription, 1, within=within)
        return found

    async def all(self, subscription: Subscription, number: int, *, within: float = 10) -> list[Delivery]:
        """Receive until there are so many."""
        found: list[Delivery] = []
        async with asyncio.timeout(within):
            while len(found) < number:
                found += await subscription.receive(number - len(found))
        return found

    async def nothing(self, subscription: Subscription, seconds: float = 0.3) -> bool:
        """Whether nothing comes for some time."""
        try:
            await asyncio.wait_for(subscription.receive(1), seconds)
        except TimeoutError:
            return True
        return False

    def events(self, deliveries: Sequence[Delivery]) -> list[Envelope]:
        return [delivery.event for delivery in deliveries]


@pytest.fixture
def hear() -> Hearing:
    return Hearing()
