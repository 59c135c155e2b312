"""Storages that decide wrongly."""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
from tests.planted.planting import Planted
from tests.planted.storage_planting import DURABLE, LockingStorage, PlantedStorage

from ticketkit.backends.errors import Refused
from ticketkit.backends.ledger import Ledger
from ticketkit.backends.spec import BackendKind, Context
from ticketkit.backends.storage import Answer
from ticketkit.domain.decision import Changes, Keys, Need
from ticketkit.domain.entities import key_of
from ticketkit.ids import new_id
from ticketkit.memory.storage import MemoryStorage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from ticketkit.backends.clock import Clock
    from ticketkit.domain.decision import Command, Decision, State
    from ticketkit.domain.entities import Entity, Key


class _Hasty(LockingStorage):
    """Writes whatever it decided, whatever is there by now."""

    def commit(self, ledger: Ledger) -> None:
        for entity in ledger.written.values():
            self._entities.put(entity)
        ledger.written.clear()
        super().commit(ledger)


class CheckThenAct(PlantedStorage):
    class Storage(_Hasty):
        def locked(self, reads: Keys, command: Command) -> Iterable[object]:
            return [("", command.id)]


class LastWriteWins(PlantedStorage):
    class Storage(_Hasty):
        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            self.stale = {key: self._entities.get(key) for key in reads.all}
            return await super().decide(reads, decision, command, **options)

        def loaded(self, reads: Keys, seen: dict[Key, Entity | None]) -> dict[Key, Entity | None]:
            return {key: self.stale.get(key, self._entities.get(key)) for key in reads.all}


class AbsentNotHeld(PlantedStorage):
    class Storage(_Hasty):
        def locked(self, reads: Keys, command: Command) -> Iterable[object]:
            return [("", command.id), *(key for key in sorted(reads.held) if self._entities.get(key))]


class SharedNotHeld(PlantedStorage):
    class Storage(LockingStorage):
        def locked(self, reads: Keys, command: Command) -> Iterable[object]:
            return [("", command.id), *sorted(reads.held)]


class CommandNotHeld(PlantedStorage):
    class Storage(LockingStorage):
        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            if command.id in self._records:
                return await super().decide(reads, decision, command, **options)
            cause, correlation = command.causation_id or command.id, command.correlation_id or command.id
            fresh = replace(command, id=new_id(), causation_id=cause, correlation_id=correlation)
            answer = await super().decide(reads, decision, fresh, **options)
            self._records[command.id] = self._records.pop(fresh.id)
            return answer


class NeedOnStaleFirstPart(PlantedStorage):
    class Storage(_Hasty):
        def loaded(self, reads: Keys, seen: dict[Key, Entity | None]) -> dict[Key, Entity | None]:
            for key in reads.all:
                seen.setdefault(key, self._entities.get(key))
            return seen


class KeepsWhileItAsks(PlantedStorage):
    class Storage(LockingStorage):
        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            return await self._more(reads, decision, command, frozenset())

        async def _more(self, reads: Keys, decision: Decision, command: Command, had: frozenset[Key]) -> Answer:
            async with self._all(sorted(reads.all - had)):
                ledger = self.ledger()
                kept = self._records.get(command.id)
                ledger.load_record(command.id, kept.record if kept else None)
                ledger.load(self.loaded(reads, {}))
                found = ledger.run(reads, decision, command)
                await anyio.lowlevel.checkpoint()
                if not isinstance(found, Need):
                    self.commit(ledger)
                    return found
                if reads | found.keys == reads:
                    return await super().decide(reads, decision, command)
                return await self._more(reads | found.keys, decision, command, reads.all)

        @asynccontextmanager
        async def _all(self, keys: list[Key]) -> AsyncIterator[None]:
            if not keys:
                yield
                return
            async with self._locks.setdefault(keys[0], anyio.Lock()), self._all(keys[1:]):
                yield


class CancelLeak(PlantedStorage):
    class Storage(LockingStorage):
        def __init__(self, clock: Clock, new_id: Callable[[], str] = new_id) -> None:
            super().__init__(clock, new_id)
            self._queue: deque[anyio.Event] = deque()

        @asynccontextmanager
        async def holding(self, reads: Keys, command: Command) -> AsyncIterator[None]:
            turn = anyio.Event()
            self._queue.append(turn)
            self._queue[0].set()
            await turn.wait()
            try:
                yield
            finally:
                self._queue.popleft()
                if self._queue:
                    self._queue[0].set()


class OneBadFailsBatch(PlantedStorage):
    class Storage(MemoryStorage):
        def __init__(self, clock: Clock, new_id: Callable[[], str] = new_id) -> None:
            super().__init__(clock, new_id)
            self._tick = 0
            self._bad: dict[int, Exception] = {}

        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            tick = self._tick
            try:
                answer = await super().decide(reads, decision, command, **options)
            except Exception as error:
                self._bad[tick] = error
                self._tick += 1
                raise
            await anyio.lowlevel.checkpoint()
            self._tick += 1
            if tick in self._bad:
                raise self._bad[tick]
            return answer


class RefusedHalfWritten(PlantedStorage):
    class Storage(MemoryStorage):
        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            drafts: list[Changes] = []

            def noted(state: State) -> Changes | Need:
                changes = decision(state)
                if isinstance(changes, Changes):
                    drafts.append(changes)
                return changes

            try:
                return await super().decide(reads, noted, command, **options)
            except Refused:
                for entity in drafts[-1].put if drafts else ():
                    if key_of(entity) in reads.held:
                        self._entities.put(replace(entity, version=entity.version + 1))
                raise


class RefusalOnRecord(PlantedStorage):
    class Storage(MemoryStorage):
        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            try:
                return await super().decide(reads, decision, command, **options)
            except Exception:
                await super().decide(reads, lambda _: Changes(), command)
                raise


class NotOnRecord(PlantedStorage):
    class Storage(LockingStorage):
        def commit(self, ledger: Ledger) -> None:
            ledger.recorded.clear()
            super().commit(ledger)


class FingerprintIgnored(PlantedStorage):
    class Storage(MemoryStorage):
        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            return await super().decide(reads, decision, replace(command, fingerprint=""), **options)


class MarksForgotten(PlantedStorage):
    class Storage(LockingStorage):
        def commit(self, ledger: Ledger) -> None:
            for id, record in list(ledger.recorded.items()):
                if record.command.consumer is not None:
                    del ledger.recorded[id]
            super().commit(ledger)


class AlsoDropped(PlantedStorage):
    class Storage(MemoryStorage):
        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            def without(state: State) -> Changes | Need:
                changes = decision(state)
                return replace(changes, also=()) if isinstance(changes, Changes) else changes

            return await super().decide(reads, without, command, **options)


class WithinIgnored(PlantedStorage):
    class Storage(MemoryStorage):
        async def decide(
            self, reads: Keys, decision: Decision, command: Command, *, within: object | None = None
        ) -> Answer:
            return await super().decide(reads, decision, command)


class UnheldWritten(PlantedStorage):
    class Storage(MemoryStorage):
        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            return await super().decide(
                replace(reads, held=reads.all, shared=frozenset()), decision, command, **options
            )


class VersionOfTheCaller(PlantedStorage):
    class Storage(_Hasty):
        def commit(self, ledger: Ledger) -> None:
            for key, entity in ledger.written.items():
                ledger.written[key] = replace(entity, version=1)
            super().commit(ledger)


class NotDurable(Planted):
    """Declares what it can't do: it forgets everything when it is closed."""

    KIND = BackendKind.STORAGE
    CAPABILITIES = DURABLE

    def backend(self, context: Context) -> Any:
        storage = MemoryStorage(context.clock, context.new_id)
        storage.capabilities = DURABLE
        return storage
