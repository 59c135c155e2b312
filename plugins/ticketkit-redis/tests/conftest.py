"""A key space of its own for each test, on the server of the session; and servers that a test may hurt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ticketkit.backends.spec import Context
from ticketkit.events.envelope import Envelope
from ticketkit.ids import new_id
from ticketkit.testing.servers import Redis
from ticketkit_redis.bus import RedisBus, open_bus


@pytest.fixture
def url(redis_url: str) -> str:
    return f"{redis_url}?prefix={new_id()}&lease=1&timeout=2"


@pytest.fixture
async def bus(url: str) -> AsyncIterator[RedisBus]:
    async with open_bus(url, Context()) as bus:
        yield bus


@pytest.fixture
def server() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture
def event() -> Callable[..., Envelope]:
    def make(name: str = "order.created", data: bytes = b'{"a":"\xc3\xa9"}', **values: Any) -> Envelope:
        return Envelope(
            **{
                "id": new_id(),
                "type": f"ticketkit.{name}.v1",
                "source": "/ticketkit/orders",
                "subject": "o",
                "time": datetime.now(UTC),
                "aggregateversion": 1,
                "data": data,
                **values,
            }
        )

    return make


@pytest.fixture
def receive() -> Callable[..., Any]:
    """Events within 10 seconds, or a failed test."""

    async def receive(subscription: Any, limit: int = 100) -> list[Any]:
        return list(await asyncio.wait_for(subscription.receive(limit), 10))

    return receive


@pytest.fixture
def silent() -> Callable[..., Any]:
    """Whether nothing comes for a while."""

    async def silent(subscription: Any, seconds: float = 0.3) -> bool:
        try:
            await asyncio.wait_for(subscription.receive(1), seconds)
        except TimeoutError:
            return True
        return False

    return silent
