"""Consumers: from the bus to the handlers of services and apps."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio
from opentelemetry.trace import SpanKind

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.events.envelope import Event, MalformedEvent
from ticketkit.events.registry import Registry, UnknownContract
from ticketkit.runtime.backoff import Backoff, after
from ticketkit.runtime.listening import listening
from ticketkit.services.correlation import caused_by, correlated
from ticketkit.services.tracing import Tracing

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ticketkit.backends.bus import Bus, Delivery, Subscription
    from ticketkit.backends.clock import Clock

log = logging.getLogger(__name__)

AT_ONCE: Final = 64
TRIES: Final = 8
UNKNOWN_AGAIN: Final = 30.0
"""Seconds after which an event of an unknown version is looked at again: a newer release may read it."""

Handle = Callable[[Event[Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Consumer:
    """A group and what it does with each event.

    Attributes:
        name: Of the group; also the name by which events are marked as consumed.
        handlers: By event name without version.
    """

    name: str
    handlers: Mapping[str, Handle]


class ConsumerRunner:
    """Runs one consumer: up to 64 events at once, each acknowledged after its handler returned.

    An unavailable backend pauses the consumer and never counts as a try of the event. A handler that fails is tried
    again with growing pauses; after 8 tries the event goes to the dead letters of the group.

    Args:
        consumer: What to run.
        bus: To receive from.
        registry: To read events.
        clock: To wait.
        tracing: A span of each try, within the trace of what caused the event.
    """

    def __init__(
        self, consumer: Consumer, bus: Bus, *, registry: Registry, clock: Clock, tracing: Tracing | None = None
    ) -> None:
        self._consumer, self._bus = consumer, bus
        self._registry, self._clock = registry, clock
        self._tracing = tracing or Tracing()
        self._backoff = Backoff()
        self._open = anyio.Event()
        self._open.set()
        self.name = consumer.name
        self.busy = 0
        self.ready = anyio.Event()

    async def run(self) -> None:
        """Consume until cancelled."""
        names = sorted(self._consumer.handlers)
        while True:
            try:
                async with self._bus.subscribe(self._consumer.name, names) as subscription:
                    self.ready.set()
                    await self._consume(subscription)
            except (Unavailable, OutcomeUnknown) as error:
                await self._pause(error)

    async def _consume(self, subscription: Subscription) -> None:
        limiter = anyio.Semaphore(AT_ONCE)

        async def one(delivery: Delivery) -> None:
            try:
                await self._deliver(delivery)
            finally:
                self.busy -= 1
                limiter.release()

        async with anyio.create_task_group() as group:
            while True:
                await self._open.wait()
                await limiter.acquire()
                limiter.release()
                try:
                    deliveries = await subscription.receive(AT_ONCE)
                except (Unavailable, OutcomeUnknown) as error:  # here: a task group would wrap it, and end the others
                    await self._pause(error)
                    continue
                for delivery in deliveries:
                    await limiter.acquire()
                    self.busy += 1
                    group.start_soon(one, delivery)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            await self._handle(delivery)
        except (Unavailable, OutcomeUnknown) as error:
            # The acknowledgement did not get through: the bus delivers it again, and its mark makes that harmless.
            log.warning("consumer %s: %s", self._consumer.name, error)

    async def _handle(self, delivery: Delivery) -> None:
        envelope = delivery.event
        try:
            event = self._registry.read(envelope)
            with self._processing(delivery) as span, correlated(caused_by(envelope, span)):
                await self._consumer.handlers[envelope.name](event)
        except UnknownContract as error:
            log.warning("consumer %s: %s It waits.", self._consumer.name, error)
            await delivery.retry(UNKNOWN_AGAIN, counted=False)
        except MalformedEvent as error:
            await self._bury(delivery, error)
        except (Unavailable, OutcomeUnknown) as error:
            await delivery.retry(after(1, first=0.5, most=5), counted=False)
            await self._pause(error)
        except Exception as error:  # noqa: BLE001 - the loop of a runner: whatever a handler raises ends here
            await self._failed(delivery, error)
        else:
            await delivery.ack()
            self._backoff.reset()

    def _processing(self, delivery: Delivery) -> AbstractContextManager[str | None]:
        envelope = delivery.event
        return self._tracing.span(
            f"process {envelope.name}",
            kind=SpanKind.CONSUMER,
            parent=envelope.traceparent,
            attributes={
                "messaging.system": "ticketkit",
                "messaging.operation.type": "process",
                "messaging.operation.name": "process",
                "messaging.destination.name": envelope.name,
                "messaging.consumer.group.name": self._consumer.name,
                "messaging.message.id": envelope.id,
                "messaging.message.conversation_id": envelope.correlationid,
                "ticketkit.subject": envelope.subject,
                "ticketkit.attempt": delivery.attempt,
            },
        )

    async def _failed(self, delivery: Delivery, error: Exception) -> None:
        if delivery.attempt >= TRIES:
            await self._bury(delivery, error)
            return
        log.warning(
            "consumer %s: try %s of %s failed: %r",
            self._consumer.name,
            delivery.attempt,
            delivery.event.type,
            error,
            exc_info=error,
            extra={"consumer": self._consumer.name, "event": delivery.event.id},
        )
        await delivery.retry(after(delivery.attempt, first=0.5, most=60))

    async def _bury(self, delivery: Delivery, error: Exception) -> None:
        log.error(
            "consumer %s: %s goes to the dead letters: %r",
            self._consumer.name,
            delivery.event.type,
            error,
            exc_info=error,
            extra={"consumer": self._consumer.name, "event": delivery.event.id},
        )
        await delivery.bury(repr(error))

    async def _pause(self, error: Exception) -> None:
        if not self._open.is_set():
            return
        pause = self._backoff.next()
        if self._backoff.failures == 1:
            log.warning("consumer %s pauses: %s", self._consumer.name, error)
        self._open = anyio.Event()
        try:
            await self._clock.sleep(pause)
        finally:
            self._open.set()


async def listen(
    bus: Bus, names: list[str], handle: Handle, *, registry: Registry, clock: Clock, ready: anyio.Event
) -> None:
    """Hear broadcast events until cancelled; see `ticketkit.runtime.listening`."""
    async with listening(bus, names, registry=registry, clock=clock) as events:
        ready.set()
        async for event in events:
            await handle(event)
