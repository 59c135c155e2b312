"""The storage: decisions through the writer, reads beside it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from ticketkit.backends.spec import Context
from ticketkit.backends.storage import Answer, Claimed, DeadEvent, KeptEvent, Page, TicketQuery, Totals
from ticketkit_sql import outbox, reads
from ticketkit_sql.opening import AnyDatabase, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Sequence

    from ticketkit.domain.decision import Command, Decision, Keys
    from ticketkit.domain.entities import Charge, Entity, Key, Kind, LiveEvent, Order, Refund, Session, Ticket, Webhook

_FEW: Final = 16
"""Keys of one kind that are looked up right here, in one statement; more, or several kinds, on another thread."""
_PURGE: Final = 2000
"""Rows deleted in one transaction: others write in between."""


class SqlStorage:
    """`Storage` on a database.

    Args:
        database: Open.
    """

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database
        self.capabilities = database.capabilities

    async def decide(
        self, reads: Keys, decision: Decision, command: Command, *, within: object | None = None
    ) -> Answer:
        return await self._database.decide(reads, decision, command, within=within)

    async def outcome(self, command_id: str) -> Answer | None:
        return await self._database.read(partial(reads.outcome, command_id=command_id))

    async def get(self, keys: Iterable[Key]) -> dict[Key, Entity]:
        wanted = list(keys)
        query = partial(reads.by_keys, dialect=self._database.dialect, keys=wanted)
        if len(wanted) <= _FEW and len({key.kind for key in wanted}) <= 1:
            return await self._database.look(query)
        return await self._database.read(query)

    async def find_tickets(self, query: TicketQuery) -> Page[Ticket]:
        return await self._database.read(partial(reads.tickets, query=query))

    async def find_live_events(
        self, *, text: str = "", status: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[LiveEvent]:
        return await self._database.read(
            partial(reads.live_events, text=text, status=status, limit=limit, cursor=cursor)
        )

    async def find_orders(self, buyer_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Order]:
        return await self._database.read(partial(reads.orders, buyer_id=buyer_id, limit=limit, cursor=cursor))

    async def open_orders(self, *, limit: int = 50, cursor: str | None = None) -> Page[Order]:
        return await self._database.read(partial(reads.open_orders, limit=limit, cursor=cursor))

    async def scan(self, kind: Kind, *, limit: int = 500, cursor: str | None = None) -> Page[Entity]:
        return await self._database.read(partial(reads.scan, kind=kind, limit=limit, cursor=cursor))

    async def due_orders(self, limit: int) -> list[str]:
        return await self._database.read_at(partial(reads.due_orders, limit=limit))

    async def due_charges(self, limit: int) -> list[Charge]:
        return await self._database.read_at(partial(reads.due_charges, limit=limit))

    async def due_refunds(self, limit: int) -> list[Refund]:
        return await self._database.read_at(partial(reads.due_refunds, limit=limit))

    async def charge_by_reference(self, provider: str, reference: str) -> Charge | None:
        return await self._database.read(partial(reads.charge_by_reference, provider=provider, reference=reference))

    async def unapplied_webhooks(self, limit: int) -> list[Webhook]:
        return await self._database.read(partial(reads.unapplied_webhooks, limit=limit))

    async def webhooks_about(self, references: Collection[str], *, limit: int = 500) -> list[Webhook]:
        return await self._database.read(partial(reads.webhooks_about, references=list(references), limit=limit))

    async def revoked_sessions(self, limit: int) -> list[Session]:
        return await self._database.read_at(partial(reads.revoked_sessions, limit=limit))

    async def claim_events(self, limit: int, lease: timedelta) -> list[Claimed]:
        if not await self._events_wait():  # looking needs no writing
            return []
        token = self._database.new_id()
        return await self._database.run(partial(outbox.claim, limit=limit, lease=lease, token=token))

    async def mark_published(self, claims: Sequence[Claimed]) -> None:
        if claims:
            await self._database.run(partial(outbox.mark_published, claims=claims))

    async def mark_failed(
        self, claim: Claimed, *, error: str, retry_in: timedelta | None, counted: bool = True
    ) -> None:
        await self._database.run(
            partial(outbox.mark_failed, claim=claim, error=error, retry_in=retry_in, counted=counted)
        )

    async def wait_for_events(self, seconds: float) -> None:
        await self._database.decided.wait_until(self._events_wait, seconds)

    async def dead_events(self, limit: int) -> list[DeadEvent]:
        return await self._database.read(partial(outbox.dead, limit=limit))

    async def waiting_events(self, limit: int) -> list[KeptEvent]:
        return await self._database.read(partial(outbox.unpublished, limit=limit))

    async def events_about(
        self, subjects: Collection[str], *, since: datetime | None = None, limit: int = 500
    ) -> list[KeptEvent]:
        return await self._database.read(partial(outbox.about, subjects=list(subjects), since=since, limit=limit))

    async def replay_event(self, event_id: str) -> bool:
        return await self._database.run(partial(outbox.replay, event_id=event_id), signal=self._database.decided)

    async def drop_event(self, event_id: str) -> bool:
        return await self._database.run(partial(outbox.drop, event_id=event_id))

    async def purge(self, *, events_before: datetime, commands_before: datetime, marks_before: datetime) -> int:
        job = partial(outbox.purge, events=events_before, commands=commands_before, marks=marks_before, limit=_PURGE)
        total = 0
        while True:
            some = await self._database.run(job)
            total += some
            if some < _PURGE:
                return total

    async def totals(self) -> Totals:
        return await self._database.read_at(reads.totals)

    async def now(self) -> datetime:
        return await self._database.now()

    async def _events_wait(self) -> bool:
        return await self._database.look_at(outbox.waiting)


@asynccontextmanager
async def open_storage(url: str, context: Context) -> AsyncIterator[SqlStorage]:
    """Open a storage by URL."""
    async with opened(url, context) as database:
        yield SqlStorage(database)
