"""Buses that are wrong about what was published."""

from __future__ import annotations

import unicodedata
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
from tests.planted.planting import PassingBus, PlantedBus, PlantedSqlBus

from ticketkit.backends.spec import Context
from ticketkit.memory.bus import MemoryBus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from anyio.abc import TaskGroup

    from ticketkit.backends.bus import Bus, Settled
    from ticketkit.events.envelope import Envelope


class PublishBeforeDurable(PlantedSqlBus):
    class Bus(PassingBus):
        tasks: TaskGroup

        async def publish(self, events: Sequence[Envelope]) -> None:
            self.tasks.start_soon(self._later, events)

        async def _later(self, events: Sequence[Envelope]) -> None:
            await anyio.sleep(0.1)
            await self.inner.publish(events)

    @asynccontextmanager
    async def open(self, url: str, context: Context) -> AsyncIterator[Any]:
        async with super().open(url, context) as bus, anyio.create_task_group() as bus.tasks:
            yield bus


class DroppedById(PlantedBus):
    class Bus(PassingBus):
        def __init__(self, inner: Bus) -> None:
            super().__init__(inner)
            self.seen: set[str] = set()

        async def publish(self, events: Sequence[Envelope]) -> None:
            await super().publish([event for event in events if event.id not in self.seen])
            self.seen |= {event.id for event in events}


class BatchCutOff(PlantedBus):
    class Bus(PassingBus):
        async def publish(self, events: Sequence[Envelope]) -> None:
            await super().publish(events[:1000])


class Milliseconds(PlantedBus):
    class Bus(PassingBus):
        async def publish(self, events: Sequence[Envelope]) -> None:
            await super().publish(
                [
                    replace(event, time=event.time.replace(microsecond=event.time.microsecond // 1000 * 1000))
                    for event in events
                ]
            )


class TextsNormalized(PlantedBus):
    class Bus(PassingBus):
        async def publish(self, events: Sequence[Envelope]) -> None:
            await super().publish(
                [replace(event, data=unicodedata.normalize("NFC", event.data.decode()).encode()) for event in events]
            )


class SettledEarly(PlantedBus):
    class Bus(MemoryBus):
        async def hand_over(self, events: Sequence[Envelope], settled: Settled) -> None:
            await self.publish(events)
            for event in events:
                settled(event.id, None)

    def backend(self, context: Context) -> MemoryBus:
        return self.Bus(context.clock)


class SettledByLeaving(PlantedBus):
    class Bus(MemoryBus):
        @asynccontextmanager
        async def subscribe(self, group: str, names: Any) -> Any:
            async with super().subscribe(group, names) as member:
                try:
                    yield member
                finally:
                    for delivery in list(member._unended):  # type: ignore[attr-defined]
                        if delivery._message.receipt is not None:
                            delivery._message.receipt.end()

    def backend(self, context: Context) -> MemoryBus:
        return self.Bus(context.clock)
