"""What outlives a marketplace, for tests that stop one and start another: storages, a bus, and the payment provider.

A stage is a plugin: `stage:name` is a storage (or bus) of that name, `stage:` the payment provider. Whatever it keeps
can be made to fail, or to stop the world at a commit.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import anyio

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.backends.spec import Backend, BackendKind, Capability, Context
from ticketkit.ids import new_id
from ticketkit.marketplace import Marketplace
from ticketkit.memory import FakePayments, MemoryBus, MemoryStorage, MemoryTimers, VirtualClock
from ticketkit.runtime.config import ALL
from ticketkit.services.catalogue import ServiceName

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

    from ticketkit.events.envelope import Envelope


class Faulty:
    """A backend in front of another one, which can be away.

    Attributes:
        away: Names of the methods that fail with `Unavailable`; `None` is all.
        calls: Names of the methods that were called, in order.
    """

    capabilities = frozenset({Capability.MULTI_PROCESS})

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.away: Collection[str] | None = ()
        self.calls: list[str] = []

    def goes(self, *methods: str) -> None:
        """From now on methods fail; all, if none is named."""
        self.away = methods or None

    def comes_back(self) -> None:
        self.away = ()

    def check(self, name: str) -> None:
        self.calls.append(name)
        if self.away is None or name in self.away:
            raise Unavailable

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            self.check(name)
            return await method(*arguments, **options)

        return call


class StageStorage(Faulty):
    """A storage that can stop the world at a commit.

    Attributes:
        commits: How many there were.
        stop_at: The number of the commit at which everything stops, counted from 1.
        stop_after: Whether that commit still happens.
        stopped: Set when it has.
        lose_at: The number of the commit that happens, but whose answer is lost.
    """

    def __init__(self, inner: MemoryStorage) -> None:
        super().__init__(inner)
        self.commits, self.stop_at, self.stop_after = 0, 0, False
        self.stopped = anyio.Event()
        self.lose_at = 0

    def go_on(self) -> None:
        """As after a restart."""
        self.stop_at, self.stopped = 0, anyio.Event()

    async def decide(self, *arguments: Any, **options: Any) -> Any:
        self.check("decide")
        self.commits += 1
        number = self.commits
        stops = number == self.stop_at
        if stops and not self.stop_after:
            self.stopped.set()
        if self.stopped.is_set():
            await anyio.sleep_forever()
        answer = await self.inner.decide(*arguments, **options)
        if stops:
            self.stopped.set()
            await anyio.sleep_forever()
        if number == self.lose_at:
            raise OutcomeUnknown
        return answer


class StageBus(Faulty):
    """A bus between processes: what it took is published, and subscribing may fail too."""

    inner: MemoryBus

    @asynccontextmanager
    async def subscribe(self, group: str, names: Collection[str]) -> AsyncIterator[Any]:
        self.check("subscribe")
        async with self.inner.subscribe(group, names) as subscription:
            yield _Receiving(self, subscription)

    @asynccontextmanager
    async def broadcast(self, names: Collection[str]) -> AsyncIterator[Any]:
        self.check("broadcast")
        async with self.inner.broadcast(names) as subscription:
            yield _Receiving(self, subscription)

    def __getattr__(self, name: str) -> Any:
        if name == "hand_over":  # it is no bus inside the process
            raise AttributeError(name)
        return super().__getattr__(name)

    async def publish(self, events: Sequence[Envelope]) -> None:
        self.check("publish")
        await self.inner.publish(events)


class _Receiving:
    def __init__(self, bus: StageBus, subscription: Any) -> None:
        self._bus, self._subscription = bus, subscription

    async def receive(self, limit: int) -> Any:
        self._bus.check("receive")
        return await self._subscription.receive(limit)


class Stage:
    """Makes marketplaces on what outlives them.

    Args:
        new_id: Makes the ids of events and of the provider, so that a run can be made again.
    """

    def __init__(self, new_id: Callable[[], str] = new_id) -> None:
        self.clock = VirtualClock()
        self.new_id = new_id
        self.storages: dict[str, StageStorage] = {}
        self.buses: dict[str, StageBus] = {}
        self.timers: dict[str, Any] = {}
        self.provider = FakePayments(self.clock, new_id)
        self.provider.capabilities |= {Capability.DURABLE}  # as long as the stage, which outlives its marketplaces
        self._payers = 0

    def storage(self, name: str = "market") -> StageStorage:
        return self.storages.setdefault(name, StageStorage(MemoryStorage(self.clock, self.new_id)))

    def bus(self, name: str = "bus") -> StageBus:
        return self.buses.setdefault(name, StageBus(MemoryBus(self.clock)))

    def market(self, **options: Any) -> Marketplace:
        """One on the storage `stage:market`; timers and bus are inside the process unless options say otherwise."""
        if "services" not in options and "config" not in options:
            options["services"] = ALL - {ServiceName.AUTH}  # it hashes a password at each start
        given = {"storage": "stage:market", "timers": "memory:", "payments": "stage:", "drain": 0.2, **options}
        return Marketplace(clock=self.clock, plugins=[self], **given)

    def ticketkit_backends(self) -> list[Backend]:
        shared = frozenset({Capability.MULTI_PROCESS})

        @asynccontextmanager
        async def open_storage(url: str, context: Context) -> AsyncIterator[StageStorage]:
            storage = self.storage(url.partition(":")[2])
            storage.check("open")
            yield storage

        @asynccontextmanager
        async def open_bus(url: str, context: Context) -> AsyncIterator[StageBus]:
            bus = self.bus(url.partition(":")[2])
            bus.check("open")
            yield bus

        @asynccontextmanager
        async def open_timers(url: str, context: Context) -> AsyncIterator[Any]:
            yield self.timers.setdefault(url.partition(":")[2], MemoryTimers(self.clock, self.new_id))

        @asynccontextmanager
        async def open_payments(url: str, context: Context) -> AsyncIterator[FakePayments]:
            async with self.provider if self._payers == 0 else nullcontext():
                self._payers += 1
                try:
                    yield self.provider
                finally:
                    self._payers -= 1

        opening = {
            BackendKind.STORAGE: open_storage,
            BackendKind.BUS: open_bus,
            BackendKind.TIMERS: open_timers,
            BackendKind.PAYMENTS: open_payments,
        }
        return [
            Backend(kind=kind, name="stage", schemes=("stage",), capabilities=shared, open=opening_of)
            for kind, opening_of in opening.items()
        ]
