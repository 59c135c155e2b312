"""A storage on dicts: the reference for all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import anyio.lowlevel

from ticketkit.backends.errors import CapabilityNotSupported
from ticketkit.backends.ledger import DecisionError, Ledger, Record
from ticketkit.backends.storage import Answer, Claimed, DeadEvent, KeptEvent, Page, TicketQuery, Totals
from ticketkit.domain.decision import Need
from ticketkit.domain.entities import Charge, Entity, Refund
from ticketkit.ids import new_id
from ticketkit.memory._bell import Bell
from ticketkit.memory._entities import Entities
from ticketkit.memory._outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from datetime import datetime, timedelta

    from ticketkit.backends.clock import Clock
    from ticketkit.backends.spec import Capability
    from ticketkit.domain.decision import Command, Decision, Keys
    from ticketkit.domain.entities import Key, Kind, LiveEvent, Order, Session, Ticket, Webhook

_MOST_TICKETS: Final = 1000


@dataclass(frozen=True, slots=True)
class _Kept:
    record: Record
    at: datetime


class MemoryStorage:
    """The storage protocol on dicts. A decision runs and is written without a pause, so there is one at a time.

    Args:
        clock: The storage's clock.
        new_id: For event ids.
    """

    capabilities: frozenset[Capability] = frozenset()

    def __init__(self, clock: Clock, new_id: Callable[[], str] = new_id) -> None:
        self._clock = clock
        self._new_id = new_id
        self._entities = Entities()
        self._outbox = Outbox()
        self._records: dict[str, _Kept] = {}
        self._committed = Bell(clock)

    async def decide(
        self, reads: Keys, decision: Decision, command: Command, *, within: object | None = None
    ) -> Answer:
        if within is not None:
            msg = "The memory storage has no transactions that it could join (capability own_tables)."
            raise CapabilityNotSupported(msg)
        await anyio.lowlevel.checkpoint()
        ledger = Ledger(now=self._clock.now(), new_id=self._new_id)
        kept = self._records.get(command.id)
        ledger.load_record(command.id, kept.record if kept else None)
        answer = self._run(ledger, reads, decision, command)
        self._commit(ledger)
        return answer

    async def outcome(self, command_id: str) -> Answer | None:
        await anyio.lowlevel.checkpoint()
        kept = self._records.get(command_id)
        return None if kept is None else Answer(kept.record.answer, replayed=True)

    async def get(self, keys: Iterable[Key]) -> dict[Key, Entity]:
        await anyio.lowlevel.checkpoint()
        found = ((key, self._entities.get(key)) for key in keys)
        return {key: entity for key, entity in found if entity is not None}

    async def find_tickets(self, query: TicketQuery) -> Page[Ticket]:
        await anyio.lowlevel.checkpoint()
        if query.limit > _MOST_TICKETS:
            msg = f"A page has at most {_MOST_TICKETS} tickets."
            raise ValueError(msg)
        return self._entities.tickets(query)

    async def find_live_events(
        self, *, text: str = "", status: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[LiveEvent]:
        await anyio.lowlevel.checkpoint()
        return self._entities.live_events(text, status, limit=limit, cursor=cursor)

    async def find_orders(self, buyer_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Order]:
        await anyio.lowlevel.checkpoint()
        return self._entities.orders(buyer_id, limit=limit, cursor=cursor)

    async def open_orders(self, *, limit: int = 50, cursor: str | None = None) -> Page[Order]:
        await anyio.lowlevel.checkpoint()
        return self._entities.open_orders(limit=limit, cursor=cursor)

    async def scan(self, kind: Kind, *, limit: int = 500, cursor: str | None = None) -> Page[Entity]:
        await anyio.lowlevel.checkpoint()
        return self._entities.scan(kind, limit=limit, cursor=cursor)

    async def due_orders(self, limit: int) -> list[str]:
        await anyio.lowlevel.checkpoint()
        return [order.id for order in self._entities.due_orders(self._clock.now())[:limit]]

    async def due_charges(self, limit: int) -> list[Charge]:
        await anyio.lowlevel.checkpoint()
        return cast("list[Charge]", self._entities.due(Charge, self._clock.now(), limit))

    async def due_refunds(self, limit: int) -> list[Refund]:
        await anyio.lowlevel.checkpoint()
        return cast("list[Refund]", self._entities.due(Refund, self._clock.now(), limit))

    async def charge_by_reference(self, provider: str, reference: str) -> Charge | None:
        await anyio.lowlevel.checkpoint()
        return self._entities.charge_by_reference(provider, reference)

    async def unapplied_webhooks(self, limit: int) -> list[Webhook]:
        await anyio.lowlevel.checkpoint()
        return self._entities.unapplied_webhooks(limit)

    async def webhooks_about(self, references: Collection[str], *, limit: int = 500) -> list[Webhook]:
        await anyio.lowlevel.checkpoint()
        return self._entities.webhooks_about(references, limit)

    async def revoked_sessions(self, limit: int) -> list[Session]:
        await anyio.lowlevel.checkpoint()
        return self._entities.revoked_sessions(self._clock.now(), limit)

    async def claim_events(self, limit: int, lease: timedelta) -> list[Claimed]:
        await anyio.lowlevel.checkpoint()
        return self._outbox.claim(limit, lease, self._clock.now())

    async def mark_published(self, claims: Sequence[Claimed]) -> None:
        await anyio.lowlevel.checkpoint()
        for claim in claims:
            self._outbox.publish(claim, self._clock.now())

    async def mark_failed(
        self, claim: Claimed, *, error: str, retry_in: timedelta | None, counted: bool = True
    ) -> None:
        await anyio.lowlevel.checkpoint()
        now = self._clock.now()
        retry_at = None if retry_in is None else now + retry_in
        self._outbox.fail(claim, now, error=error, retry_at=retry_at, counted=counted)
        self._committed.ring()

    async def wait_for_events(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        now = self._clock.now()
        free_at = self._outbox.free_at(now)
        if free_at is not None:
            seconds = min(seconds, (free_at - now).total_seconds())
        await self._committed.wait(seconds)

    async def dead_events(self, limit: int) -> list[DeadEvent]:
        await anyio.lowlevel.checkpoint()
        return self._outbox.dead_events(limit)

    async def waiting_events(self, limit: int) -> list[KeptEvent]:
        await anyio.lowlevel.checkpoint()
        return self._outbox.waiting_events(limit)

    async def events_about(
        self, subjects: Collection[str], *, since: datetime | None = None, limit: int = 500
    ) -> list[KeptEvent]:
        await anyio.lowlevel.checkpoint()
        return self._outbox.about(subjects, since=since, limit=limit)

    async def replay_event(self, event_id: str) -> bool:
        await anyio.lowlevel.checkpoint()
        replayed = self._outbox.replay(event_id)
        self._committed.ring()
        return replayed

    async def drop_event(self, event_id: str) -> bool:
        await anyio.lowlevel.checkpoint()
        return self._outbox.drop(event_id)

    async def purge(self, *, events_before: datetime, commands_before: datetime, marks_before: datetime) -> int:
        await anyio.lowlevel.checkpoint()
        old = [
            id
            for id, kept in self._records.items()
            if kept.at < (commands_before if kept.record.command.consumer is None else marks_before)
        ]
        for id in old:
            del self._records[id]
        return len(old) + self._outbox.purge(events_before)

    async def totals(self) -> Totals:
        await anyio.lowlevel.checkpoint()
        return Totals(
            by_status=self._entities.counts(),
            unpublished=self._outbox.waiting,
            dead=self._outbox.dead,
            oldest=self._outbox.oldest,
            overdue_locks=len(self._entities.due_orders(self._clock.now())),
        )

    async def now(self) -> datetime:
        await anyio.lowlevel.checkpoint()
        return self._clock.now()

    def _run(self, ledger: Ledger, reads: Keys, decision: Decision, command: Command) -> Answer:
        while True:
            ledger.load({key: self._entities.get(key) for key in ledger.missing(reads)})
            found = ledger.run(reads, decision, command)
            if not isinstance(found, Need):
                return found
            if reads | found.keys == reads:
                msg = "A decision asked for what it holds already."
                raise DecisionError(msg)
            reads = reads | found.keys

    def _commit(self, ledger: Ledger) -> None:
        for key, entity in ledger.written.items():
            stored = self._entities.get(key)
            if entity.version != (1 if stored is None else stored.version + 1):
                msg = f"{key.kind} {key.id} was written as if it were new."
                raise DecisionError(msg)
        for entity in ledger.written.values():
            self._entities.put(entity)
        self._outbox.append(ledger.events)
        self._records.update((id, _Kept(record, ledger.now)) for id, record in ledger.recorded.items())
        if ledger.events:
            self._committed.ring()
