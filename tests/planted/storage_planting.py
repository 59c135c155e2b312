"""What planted storages are built on, all of it sound: a storage that locks keys, and one that passes everything on."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
import anyio.lowlevel
from tests.planted.planting import SHARED, Planted

from ticketkit.backends.errors import CapabilityNotSupported
from ticketkit.backends.ledger import DecisionError, Ledger
from ticketkit.backends.spec import BackendKind, Capability, Context
from ticketkit.domain.decision import Need
from ticketkit.ids import new_id
from ticketkit.memory.storage import MemoryStorage
from ticketkit_sql.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from ticketkit.backends.clock import Clock
    from ticketkit.backends.storage import Answer
    from ticketkit.domain.decision import Command, Decision, Keys
    from ticketkit.domain.entities import Entity, Key


class PlantedStorage(Planted):
    """On the storage in memory; `planted:`."""

    KIND = BackendKind.STORAGE
    Storage: ClassVar[type]

    def backend(self, context: Context) -> Any:
        return self.Storage(context.clock, context.new_id)


class PlantedSqlStorage(Planted):
    """On the storage on SQLite; `planted:///file`."""

    KIND = BackendKind.STORAGE
    CAPABILITIES = SHARED
    Storage: ClassVar[type]

    @asynccontextmanager
    async def open(self, url: str, context: Context) -> AsyncIterator[Any]:
        async with open_storage(url.replace("planted:", "sqlite:"), context) as inner:
            yield self.Storage(inner)


class LockingStorage(MemoryStorage):
    """Holds the keys of a decision one by one and in order, and commits a moment later: as a database does."""

    def __init__(self, clock: Clock, new_id: Callable[[], str] = new_id) -> None:
        super().__init__(clock, new_id)
        self._locks: dict[object, anyio.Lock] = {}

    async def decide(
        self, reads: Keys, decision: Decision, command: Command, *, within: object | None = None
    ) -> Answer:
        if within is not None:
            raise CapabilityNotSupported
        seen: dict[Key, Entity | None] = {}
        while True:
            async with self.holding(reads, command):
                ledger = self.ledger()
                kept = self._records.get(command.id)
                ledger.load_record(command.id, kept.record if kept else None)
                ledger.load(self.loaded(reads, seen))
                found = ledger.run(reads, decision, command)
                await anyio.lowlevel.checkpoint()
                if not isinstance(found, Need):
                    self.commit(ledger)
                    return found
            if reads | found.keys == reads:
                raise DecisionError
            reads = reads | found.keys

    @asynccontextmanager
    async def holding(self, reads: Keys, command: Command) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for name in self.locked(reads, command):
                await stack.enter_async_context(self._locks.setdefault(name, anyio.Lock()))
            yield

    def locked(self, reads: Keys, command: Command) -> Iterable[object]:
        return [("", command.id), *sorted(reads.all)]

    def ledger(self) -> Ledger:
        return Ledger(now=self._clock.now(), new_id=self._new_id)

    def loaded(self, reads: Keys, _seen: dict[Key, Entity | None]) -> dict[Key, Entity | None]:
        return {key: self._entities.get(key) for key in reads.all}

    def commit(self, ledger: Ledger) -> None:
        self._commit(ledger)


class PassingStorage:
    """Passes everything on."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class SoundMemoryStorage(PlantedStorage):
    Storage = MemoryStorage


class SoundLockingStorage(PlantedStorage):
    Storage = LockingStorage


class SoundSqlStorage(PlantedSqlStorage):
    Storage = PassingStorage


DURABLE = frozenset({Capability.DURABLE})
