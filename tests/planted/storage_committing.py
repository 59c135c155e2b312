"""Storages on SQLite that commit in several parts, or share their file wrongly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
from tests.planted.storage_planting import PassingStorage, PlantedSqlStorage

from ticketkit.backends.ledger import Ledger
from ticketkit.backends.storage import Answer
from ticketkit.domain.decision import Changes, Keys, Need
from ticketkit.domain.entities import key_of
from ticketkit.ids import new_id
from ticketkit_sql.reads import TABLES
from ticketkit_sql.rows import micros

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from ticketkit.domain.decision import Command, Decision, State
    from ticketkit.domain.entities import Entity


class EventsLater(PlantedSqlStorage):
    class Storage(PassingStorage):
        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            told: list[Changes] = []

            def quiet(state: State) -> Changes | Need:
                changes = decision(state)
                if isinstance(changes, Need):
                    return changes
                told[:] = [replace(changes, answer=changes.put)]
                return replace(changes, facts=(), answer=(*changes.answer, *changes.put))

            answer: Answer = await self.inner.decide(reads, quiet, command, **options)
            if answer.replayed or not told:
                return answer
            number = len(answer.entities) - len(told[0].put)
            await self.inner._database.writer.run(_tell(told[0], answer.entities[number:], command))
            return Answer(answer.entities[:number])


class TriedAgain(PlantedSqlStorage):
    class Storage(PassingStorage):
        """Takes every fifth answer for lost, and gives the decision to the database once more."""

        _number = 0

        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            self._number += 1
            if self._number % 5 == 0:
                lost = replace(command, id=new_id(), consumer=None, event_id=None)
                await self.inner.decide(reads, decision, lost, **options)
            answer: Answer = await self.inner.decide(reads, decision, command, **options)
            return answer


class RecordLater(PlantedSqlStorage):
    class Storage(PassingStorage):
        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            if (known := await self.inner.outcome(command.id)) is not None:
                return known  # type: ignore[no-any-return]
            first = replace(command, id=new_id(), consumer=None, event_id=None, causation_id=command.id)
            answer: Answer = await self.inner.decide(reads, decision, first, **options)
            await self.inner.decide(reads, lambda _: Changes(answer=answer.entities), command)
            return answer


class MarkBeforeEffect(PlantedSqlStorage):
    class Storage(PassingStorage):
        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            if command.consumer is None:
                return await self.inner.decide(reads, decision, command, **options)  # type: ignore[no-any-return]
            marked: Answer = await self.inner.decide(reads, lambda _: Changes(), command, **options)
            if marked.replayed:
                return marked
            effect = replace(command, id=new_id(), consumer=None, event_id=None)
            answer: Answer = await self.inner.decide(reads, decision, effect, **options)
            return answer


class AloneInItsProcess(PlantedSqlStorage):
    class Storage(PassingStorage):
        def __init__(self, inner: Any) -> None:
            super().__init__(inner)
            self._lock = anyio.Lock()

        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            async with self._lock:
                found = await self.inner.get(reads.all)
                await anyio.lowlevel.checkpoint()

                def stale(state: State) -> Changes | Need:
                    stored = {key: found.get(key) if key in reads.all else new for key, new in state.entities.items()}
                    return decision(replace(state, entities=stored))

                answer: Answer = await self.inner.decide(reads, stale, command, **options)
                return answer


def _tell(changes: Changes, written: Sequence[Entity], command: Command) -> Any:
    """A job that puts the events of a decision into the outbox, after its commit."""
    keys = Keys.of(*(key_of(entity) for entity in written))

    def job(connection: Connection, now: datetime) -> None:
        ledger = Ledger(now=now, new_id=new_id)
        ledger.load({key_of(entity): replace(entity, version=entity.version - 1) for entity in written})
        ledger.run(keys, lambda _: changes, command)
        for event in ledger.events:
            values = {name: getattr(event, name) for name in ("id", "type", "source", "subject", "aggregateversion")}
            values |= {name: getattr(event, name) for name in ("correlationid", "causationid", "actor", "traceparent")}
            values |= {"data": event.data.decode(), "attempts": 0, "time": micros(now), "free_at": micros(now)}
            connection.execute(TABLES["outbox"].insert().values(**values))

    return job
