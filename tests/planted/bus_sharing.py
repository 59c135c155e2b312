"""Buses that are wrong about who gets an event."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.planted.planting import PassingBus, PlantedBus

from ticketkit.backends.spec import Context
from ticketkit.memory.bus import MemoryBus, _Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from ticketkit.backends.bus import Settled, Subscription
    from ticketkit.events.envelope import Envelope


class GroupShared(PlantedBus):
    class Bus(PassingBus):
        @asynccontextmanager
        async def subscribe(self, group: str, names: Collection[str]) -> AsyncIterator[Subscription]:
            async with super().subscribe("consumers", names) as member:
                yield member


class BroadcastShared(PlantedBus):
    class Bus(PassingBus):
        @asynccontextmanager
        async def broadcast(self, names: Collection[str]) -> AsyncIterator[Subscription]:
            async with self.inner.subscribe("listeners", names) as member:
                yield member


class GroupStartsLate(PlantedBus):
    class Bus(PassingBus):
        @asynccontextmanager
        async def subscribe(self, group: str, names: Collection[str]) -> AsyncIterator[Subscription]:
            queue = self.inner._groups.get(group)
            if queue is not None and not queue.members:
                queue._waiting.clear()
            async with super().subscribe(group, names) as member:
                yield member


class MembersEachGetAll(PlantedBus):
    class Bus(PassingBus):
        @asynccontextmanager
        async def subscribe(self, group: str, names: Collection[str]) -> AsyncIterator[Subscription]:
            known = self.inner._groups.get(group)
            name = group if known is None or not known.members else f"{group} {known.members + 1}"
            async with super().subscribe(name, names) as member:
                yield member


class NamesNotFiltered(PlantedBus):
    class Bus(MemoryBus):
        def _spread(self, event: Envelope, settled: Settled | None) -> None:
            for queue in (*self._groups.values(), *self._listeners):
                queue.put(_Message(event))

    def backend(self, context: Context) -> MemoryBus:
        return self.Bus(context.clock)


class ReplayedToAll(PlantedBus):
    class Bus(PassingBus):
        async def replay_dead_letter(self, id: str) -> bool:
            events = [letter.event for letter in await self.dead_letters(100) if letter.id == id]
            await self.publish(events)
            return await self.drop_dead_letter(id)
