"""Listening: every event of some names from now on, for whoever wants to hear it."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

import anyio

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.events.envelope import Event, MalformedEvent
from ticketkit.events.registry import UnknownContract
from ticketkit.runtime.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    from ticketkit.backends.bus import Bus, Delivery, Subscription
    from ticketkit.backends.clock import Clock
    from ticketkit.events.registry import Registry

log = logging.getLogger(__name__)

AT_ONCE: Final = 64

C = TypeVar("C")


class Listening(Generic[C]):
    """An async iterator of events as they come, each at most once.

    An event that can't be read here is passed over, aloud. While the bus can't be reached it waits, and goes on. It is
    for one task.

    Args:
        subscription: To the broadcast.
        registry: To read events.
        clock: To wait.
    """

    def __init__(self, subscription: Subscription, *, registry: Registry, clock: Clock) -> None:
        self._subscription = subscription
        self._registry, self._clock = registry, clock
        self._heard: deque[Delivery] = deque()
        self._backoff = Backoff()
        self._scope: anyio.CancelScope | None = None
        self._over = False

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> Event[C]:
        """The next event; the iteration is over after `end`."""
        while not self._over:
            if not self._heard:
                with anyio.CancelScope() as self._scope:
                    self._heard.extend(await self._receive())
                continue
            if (event := await self._read(self._heard.popleft())) is not None:
                return event
        raise StopAsyncIteration

    def end(self) -> None:
        """Hear no more: whoever waits for the next event is told that there is none."""
        self._over = True
        if self._scope is not None:
            self._scope.cancel()

    async def _receive(self) -> Sequence[Delivery]:
        while True:
            try:
                found = await self._subscription.receive(AT_ONCE)
            except (Unavailable, OutcomeUnknown) as error:
                await _pause(error, self._backoff, self._clock)
            else:
                self._backoff.reset()
                return found

    async def _read(self, delivery: Delivery) -> Event[Any] | None:
        try:
            return self._registry.read(delivery.event)
        except (UnknownContract, MalformedEvent) as error:
            log.warning("a listener passes over an event: %s", error)
            return None
        finally:
            await delivery.ack()


@asynccontextmanager
async def listening(
    bus: Bus, names: Collection[str], *, registry: Registry, clock: Clock
) -> AsyncIterator[Listening[Any]]:
    """Listen to a bus; entering waits until everything that is published afterwards is heard.

    Args:
        bus: To its broadcast.
        names: Of events, without version.
        registry: To read events.
        clock: To wait while the bus can't be reached.
    """
    async with AsyncExitStack() as stack:
        subscription = await _subscribed(stack, bus, names, clock)
        yield Listening(subscription, registry=registry, clock=clock)


async def _subscribed(stack: AsyncExitStack, bus: Bus, names: Collection[str], clock: Clock) -> Subscription:
    backoff = Backoff()
    while True:
        try:
            return await stack.enter_async_context(bus.broadcast(names))
        except (Unavailable, OutcomeUnknown) as error:
            await _pause(error, backoff, clock)


async def _pause(error: Exception, backoff: Backoff, clock: Clock) -> None:
    pause = backoff.next()
    if backoff.failures == 1:
        log.warning("a listener pauses: %s", error)
    await clock.sleep(pause)
