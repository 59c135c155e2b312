"""What planted backends are built on: a plugin that opens one, and a bus that passes everything on to another."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from ticketkit.backends.spec import Backend, BackendKind, Capability, Context
from ticketkit.memory import MemoryBus
from ticketkit_sql.bus import open_bus
from ticketkit_sql.timers import open_timers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence
    from datetime import datetime

    from ticketkit.backends.bus import Bus, DeadLetter, Delivery, Subscription
    from ticketkit.events.envelope import Envelope

SHARED = frozenset({Capability.DURABLE, Capability.MULTI_PROCESS})


class Planted:
    """A plugin with one backend, which has one bug."""

    KIND: ClassVar[BackendKind]
    CAPABILITIES: ClassVar[frozenset[Capability]] = frozenset()

    def ticketkit_backends(self) -> list[Backend]:
        return [
            Backend(
                kind=self.KIND,
                name=f"planted: {type(self).__name__}",
                schemes=("planted",),
                capabilities=self.CAPABILITIES,
                open=self.open,
            )
        ]

    @asynccontextmanager
    async def open(self, url: str, context: Context) -> AsyncIterator[Any]:
        yield self.backend(context)

    def backend(self, context: Context) -> Any:
        raise AssertionError("a plugin says how its backend is made")


class PlantedBus(Planted):
    """On the bus in memory; `planted:?lease=1`."""

    KIND = BackendKind.BUS
    Bus: ClassVar[type]

    def backend(self, context: Context) -> Any:
        return self.Bus(MemoryBus(context.clock))


class PlantedSqlBus(Planted):
    """On the SQLite bus; `planted:///file?lease=1`."""

    KIND = BackendKind.BUS
    CAPABILITIES = SHARED
    Bus: ClassVar[type]

    @asynccontextmanager
    async def open(self, url: str, context: Context) -> AsyncIterator[Any]:
        async with open_bus(url.replace("planted:", "sqlite:"), context) as inner:
            yield self.Bus(inner)


class PlantedTimers(Planted):
    """On the timers in memory."""

    KIND = BackendKind.TIMERS
    Timers: ClassVar[type]

    def backend(self, context: Context) -> Any:
        return self.Timers(context.clock)


class PlantedSqlTimers(Planted):
    """On the SQLite timers; `planted:///file`."""

    KIND = BackendKind.TIMERS
    CAPABILITIES = SHARED
    Timers: ClassVar[type]

    @asynccontextmanager
    async def open(self, url: str, context: Context) -> AsyncIterator[Any]:
        async with open_timers(url.replace("planted:", "sqlite:"), context) as inner:
            yield self.Timers(inner)


class PassingParcel:
    """A delivery that passes everything on."""

    def __init__(self, inner: Delivery, member: PassingMember) -> None:
        self.inner, self.member = inner, member
        self.event, self.attempt = inner.event, inner.attempt

    async def ack(self) -> None:
        await self.inner.ack()

    async def retry(self, after: float, *, counted: bool = True) -> None:
        await self.inner.retry(after, counted=counted)

    async def bury(self, error: str) -> None:
        await self.inner.bury(error)


class PassingMember:
    """A subscription that passes everything on."""

    Parcel: ClassVar[type[PassingParcel]] = PassingParcel

    def __init__(self, inner: Subscription, group: str) -> None:
        self.inner: Any = inner
        self.group = group

    async def receive(self, limit: int) -> Sequence[Delivery]:
        return [self.Parcel(delivery, self) for delivery in await self.inner.receive(limit)]

    async def leave(self) -> None:
        """Called before the subscription is closed."""


class PassingBus:
    """A bus that passes everything on."""

    Member: ClassVar[type[PassingMember]] = PassingMember

    def __init__(self, inner: Bus) -> None:
        self.inner: Any = inner
        self.capabilities = inner.capabilities

    async def publish(self, events: Sequence[Envelope]) -> None:
        await self.inner.publish(events)

    @asynccontextmanager
    async def subscribe(self, group: str, names: Collection[str]) -> AsyncIterator[Subscription]:
        async with self.inner.subscribe(group, names) as inner:
            member = self.Member(inner, group)
            try:
                yield member
            finally:
                await member.leave()

    @asynccontextmanager
    async def broadcast(self, names: Collection[str]) -> AsyncIterator[Subscription]:
        async with self.inner.broadcast(names) as listener:
            yield listener

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        found: list[DeadLetter] = await self.inner.dead_letters(limit)
        return found

    async def replay_dead_letter(self, id: str) -> bool:
        return bool(await self.inner.replay_dead_letter(id))

    async def drop_dead_letter(self, id: str) -> bool:
        return bool(await self.inner.drop_dead_letter(id))

    async def lag(self) -> Mapping[str, int]:
        found: Mapping[str, int] = await self.inner.lag()
        return found

    async def replay(self, group: str, *, since: datetime | None = None, sequence: int | None = None) -> None:
        await self.inner.replay(group, since=since, sequence=sequence)
