"""The memory backends run under asyncio and trio alike."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from ticketkit.events.envelope import Envelope
from ticketkit.memory import VirtualClock

MakeEvent = Callable[..., Envelope]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def new_id() -> Callable[[], str]:
    """Ids that can be foretold: id-1, id-2, ..."""
    numbers = itertools.count(1)
    return lambda: f"id-{next(numbers)}"


@pytest.fixture
def event() -> MakeEvent:
    """Makes an event of a name, each with its own id."""
    numbers = itertools.count(1)

    def make(name: str = "order.created") -> Envelope:
        number = next(numbers)
        return Envelope(
            id=f"event-{number}",
            type=f"ticketkit.{name}.v1",
            source="/ticketkit/orders",
            subject=f"order-{number}",
            time=datetime(2026, 1, 1, tzinfo=UTC),
            aggregateversion=1,
            data=b"{}",
        )

    return make
