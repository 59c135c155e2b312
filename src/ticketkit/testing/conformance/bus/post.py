"""What the tests of a bus send, and how they wait for it."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import anyio

from ticketkit.events.envelope import Envelope
from ticketkit.ids import new_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from ticketkit.backends.bus import Bus, Delivery, Subscription

ORDER: Final = "order.created"
TICKET: Final = "ticket.sold"
GROUP: Final = "payments"
OTHER: Final = "expiration"

WITHIN: Final = 10.0
"""Seconds in which an event that may be delivered has to come."""
QUIET: Final = 0.3
"""Seconds without a delivery that count as none: longer than a backend's polling of what other processes did."""


def event(name: str = ORDER, *, version: int = 1, **values: Any) -> Envelope:
    """One event, as a service would send it."""
    given = {
        "id": new_id(),
        "type": f"ticketkit.{name}.v{version}",
        "source": "/ticketkit/orders",
        "subject": new_id(),
        "time": datetime.now(UTC),
        "aggregateversion": 1,
        "correlationid": new_id(),
        "data": b'{"id":"1","version":1}',
    }
    return Envelope(**{**given, **values})


def events(number: int, name: str = ORDER) -> list[Envelope]:
    """As many events."""
    return [event(name) for _ in range(number)]


def body(value: Any) -> bytes:
    """A body, in the form that ticketkit writes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def ids(of: Iterable[Delivery | Envelope]) -> list[str]:
    """Ids of events, sorted: their order is not promised."""
    return sorted(one.id if isinstance(one, Envelope) else one.event.id for one in of)


async def take(subscription: Subscription, number: int = 1, *, within: float = WITHIN) -> list[Delivery]:
    """Receive exactly so many deliveries.

    Raises:
        AssertionError: Fewer came in so many seconds.
    """
    found: list[Delivery] = []
    with anyio.move_on_after(within):
        while len(found) < number:
            wanted = number - len(found)
            some = await subscription.receive(wanted)
            assert 1 <= len(some) <= wanted, f"receive({wanted}) returned {len(some)} deliveries"
            found += some
    assert len(found) == number, f"{len(found)} of {number} events came within {within} s"
    return found


async def take_all(subscription: Subscription, wanted: Iterable[Envelope], *, within: float = WITHIN) -> list[Delivery]:
    """Receive and acknowledge until each of these events came at least once; returns all deliveries."""
    left = {one.id for one in wanted}
    found: list[Delivery] = []
    with anyio.move_on_after(within):
        while left:
            for delivery in await subscription.receive(500):
                await delivery.ack()
                left.discard(delivery.event.id)
                found.append(delivery)
    assert not left, f"{len(left)} events did not come within {within} s"
    return found


async def nothing(subscription: Subscription, why: str, *, seconds: float = QUIET) -> None:
    """Nothing comes.

    Raises:
        AssertionError: Something did; with `why` it should not.
    """
    found: Any = ()
    with anyio.move_on_after(seconds):
        found = await subscription.receive(10)
    assert not found, f"{ids(found)} came: {why}"


async def acknowledge(deliveries: Iterable[Delivery]) -> None:
    """Acknowledge all."""
    for delivery in deliveries:
        await delivery.ack()


async def known(bus: Bus, *groups: str, names: Iterable[str] = (ORDER,)) -> None:
    """Let there be these groups, with no member."""
    for group in groups:
        async with bus.subscribe(group, list(names)):
            pass


@asynccontextmanager
async def listening(bus: Bus, number: int, group: str = GROUP) -> AsyncIterator[list[Subscription]]:
    """So many members of a group."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(bus.subscribe(group, [ORDER])) for _ in range(number)]
